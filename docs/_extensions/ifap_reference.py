"""Sphinx directives that write the references from the code, so that they cannot say anything else.

``rule`` declares a numbered rule of the specification, which the role of that name refers to; ``later`` marks what this
release does not have; the role ``shown`` names a test that shows a claim. ``error-table``, ``verbs``, ``routes``,
``json-objects``, ``setting`` and ``interface`` show what the code holds; a setting without a description, or one that
is gone, fails the build.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import click
from docutils import nodes
from docutils.parsers.rst.directives.admonitions import BaseAdmonition
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective, SphinxRole

import ifap_twisted
from ifap_twisted import errors, tap
from ifap_twisted.cli.loading import VERBS
from ifap_twisted.cli.main import program
from ifap_twisted.cli.problems import exit_status
from ifap_twisted.control.problems import status_of
from ifap_twisted.control.routes import ROUTES
from ifap_twisted.control.schemas import BODIES, OBJECTS
from ifap_twisted.core import paths
from ifap_twisted.settings.registry import KEYS

VECTORS = Path(__file__).parents[2] / "tests" / "vectors_own"
CODE = re.compile(r"`+([^`]+)`+")
LINK = re.compile(r"(\w):(?=\S)")
SPECIAL = re.compile(r"([*|\\])")


def plain(text: str) -> str:
    """A sentence from the code as reST: what stands in backticks is code, nothing else is markup."""
    pieces = CODE.split(text)
    return "".join(f"``{piece}``" if at % 2 else escaped(piece) for at, piece in enumerate(pieces))


def escaped(text: str) -> str:
    """Text in which nothing is markup, and ``tcp:4327`` no hyperlink."""
    return LINK.sub(r"\1\\:", SPECIAL.sub(r"\\\1", text))


def indented(text: str, by: str = "   ") -> str:
    """The lines, moved to the right."""
    return "\n".join(by + line if line else "" for line in text.split("\n"))


def table(header: list[str], rows: list[list[str]], widths: str = "auto") -> str:
    """A ``list-table``."""
    lines = [".. list-table::", "   :header-rows: 1", f"   :widths: {widths}", ""]
    for row in [header, *rows]:
        lines += [f"   {'* -' if not at else '  -'} {cell}" for at, cell in enumerate(row)]
    return "\n".join(lines) + "\n"


class Generated(SphinxDirective):
    """Parses what :meth:`lines` gives."""

    has_content = True

    def text(self) -> str:
        """The reST."""
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes(self.text(), allow_section_headings=True)


class Later(BaseAdmonition):
    """Marks what the specification says and this release does not do."""

    node_class = nodes.admonition
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        self.arguments = ["Not in this release"]
        self.options.setdefault("classes", ["note"])
        return list(super().run())


class Shown(SphinxRole):
    """A test that shows a claim: ``ROOM/FILE.py::CLASS::METHOD`` below ``tests``, in pieces for a narrow column."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        path, name, method = self.text.split("::")
        pieces = [nodes.literal(text=piece) for piece in (path, name, method)]
        return [node for piece in pieces for node in (piece, nodes.Text(" "))], []


# ---------------------------------------------------------------- errors


def error_classes() -> list[type[errors.IFAPError]]:
    """All errors, in the order of the module."""
    found = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.IFAPError)]
    return sorted(found, key=lambda one: inspect.getsourcelines(one)[1])


class ErrorTable(Generated):
    """Every error: code, meaning, exit status, HTTP status, whether trying again may help."""

    def text(self) -> str:
        rows = []
        for cls in error_classes():
            error = cls("")
            status, conditional = status_of(error), status_of(error, conditional=True)
            http = f"{status}" if status == conditional else f"{status}, with a precondition {conditional}"
            again = "yes" if cls.retryable else "no"
            name = f":py:exc:`~ifap_twisted.errors.{cls.__name__}`"
            rows.append([f"``{cls.code}``", name, plain(cls.title()) + ".", str(exit_status(error)), http, again])
        return table(["Code", "Class", "Meaning", "Exit", "HTTP", "Again"], rows, "18 18 40 6 12 6")


class ErrorClasses(Generated):
    """The classes with what their docstrings say."""

    def text(self) -> str:
        parts = []
        for cls in error_classes():
            base = cls.__mro__[1]
            doc = inspect.cleandoc(cls.__doc__ or "")
            if base is not Exception:
                doc += f"\n\nA kind of :py:exc:`~ifap_twisted.errors.{base.__name__}`; code ``{cls.code}``."
            parts.append(f".. py:exception:: ifap_twisted.errors.{cls.__name__}\n\n{indented(doc)}\n")
        return "\n".join(parts)


# ---------------------------------------------------------------- settings


class Setting(SphinxDirective):
    """One setting: the text is the author's, default, values and variable are the code's."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        if name not in KEYS:
            raise self.error(f"there is no setting {name}")
        documented(self.env).add(name)
        key = KEYS[name]
        default = "none" if key.default is None else f"``{key.show(key.default)}``"
        said = "\n".join(self.content)
        text = f".. confval:: {name}\n   :type: {plain(key.wanted)}\n   :default: {default}\n\n"
        text += indented(f"{said}\n\nEnvironment: ``{key.variable}``") + "\n"
        return self.parse_text_to_nodes(text)


def documented(env: Any) -> set[str]:
    """The names of the settings that were described so far."""
    if not hasattr(env, "ifap_settings"):
        env.ifap_settings = set()
    found: set[str] = env.ifap_settings
    return found


def check_settings(_app: Sphinx, env: Any) -> None:
    """Fail when a setting is not described."""
    missing = sorted(set(KEYS) - documented(env))
    if missing:
        raise ExtensionError(f"settings without a description: {', '.join(missing)}")


# ---------------------------------------------------------------- verbs


class Verbs(Generated):
    """Every verb of ``ifap``: usage, what it says of itself, arguments and options."""

    def text(self) -> str:
        group = program()
        root = click.Context(group, info_name="ifap")
        parts = [self._common(group)]
        for name in VERBS:
            verb = group.get_command(root, name)
            if verb is None:
                raise self.error(f"there is no verb {name}")
            parts.append(self._verb(name, verb, click.Context(verb, info_name=name, parent=root)))
        return "\n".join(parts)

    def _common(self, group: click.Command) -> str:
        return "Options of every verb\n---------------------\n\n" + options(group) + "\n"

    def _verb(self, name: str, verb: click.Command, context: click.Context) -> str:
        usage = " ".join(["ifap", name, *verb.collect_usage_pieces(context)])
        said = inspect.cleandoc(verb.help or "")
        return f".. _verb-{name}:\n\n{name}\n{'-' * len(name)}\n\n::\n\n    {usage}\n\n{said}\n\n{options(verb)}\n"


def options(command: click.Command) -> str:
    """The options of a command, as a definition list."""
    lines = []
    for one in command.params:
        if isinstance(one, click.Option) and not one.hidden:
            names = [*one.opts, *one.secondary_opts]
            takes = "" if one.is_flag or one.count else f" {one.metavar or choices(one)}"
            lines += [", ".join(f"``{name}{takes}``" for name in names), indented(plain(one.help or "")), ""]
    return "\n".join(lines)


class TwistdOptions(Generated):
    """The options of ``twistd ifap``."""

    def text(self) -> str:
        lines = []
        for name, short, _default, said in tap.Options.optParameters:
            names = [f"``--{name} VALUE``", *([f"``-{short} VALUE``"] if short else [])]
            lines += [", ".join(names), indented(plain(said)), ""]
        return "\n".join(["::", "", "    twistd [-n] ifap [options]", "", *lines])


def choices(option: click.Option) -> str:
    """What an option without a name for its value takes."""
    return "|".join(option.type.choices) if isinstance(option.type, click.Choice) else option.type.name.upper()


# ---------------------------------------------------------------- HTTP


class Routes(Generated):
    """Every route of the control resource."""

    def text(self) -> str:
        parts = []
        for route in ROUTES:
            title = f"{' '.join(route.methods)} {route.url}"
            lines = [title, "-" * len(title), "", plain(route.summary), ""]
            if route.open:
                lines += ["No token is needed.", ""]
            rows = [[f"``{one.name}``", one.place, plain(one.text)] for one in route.parameters]
            if rows:
                lines += [table(["Parameter", "In", "Meaning"], rows, "20 12 68")]
            if route.body:
                lines += [f"Body: {shown(route.body)}.", ""]
            answers = "; ".join(f"``{status}`` {shown(what)}" for status, what in route.answers.items())
            parts.append("\n".join([*lines, f"Answers: {answers}.", ""]))
        return "\n".join(parts)


def shown(what: str | None) -> str:
    """What a body is, in words."""
    words = {
        None: "nothing",
        "bytes": "the bytes of the file",
        "text": "text",
        "lines": "lines of JSON",
        "events": "server-sent events",
    }
    if what in words:
        return words[what]
    if what is not None and " or " in what:
        return " or ".join(shown(one) for one in what.split(" or "))
    return f":ref:`{what} <json-{str(what).lower()}>`"


class JsonObjects(Generated):
    """The JSON objects, as JSON Schema."""

    def text(self) -> str:
        parts = []
        for name, schema in [*OBJECTS.items(), *BODIES.items()]:
            block = indented(json.dumps(schema, indent=2, ensure_ascii=False))
            parts.append(f".. _json-{name.lower()}:\n\n{name}\n{'-' * len(name)}\n\n.. code-block:: json\n\n{block}\n")
        return "\n".join(parts)


# ---------------------------------------------------------------- the specification


class MediaTypes(Generated):
    """The media types that a name suggests."""

    def text(self) -> str:
        by_type: dict[str, list[str]] = {}
        for suffix, media_type in vars(paths)["_MEDIA_TYPES"].items():
            by_type.setdefault(media_type, []).append(f"``{suffix}``")
        rows = [[f"``{name}``", ", ".join(sorted(suffixes))] for name, suffixes in sorted(by_type.items())]
        return table(["Type", "Suffixes"], rows)


def manifest() -> dict[str, Any]:
    """The manifest of the vectors."""
    found: dict[str, Any] = json.loads((VECTORS / "manifest.json").read_text(encoding="utf-8"))
    return found


class Vector(Generated):
    """What the manifest says of one message, and its key."""

    required_arguments = 1

    def text(self) -> str:
        whole = manifest()
        entry = next(one for one in whole["messages"] if one["id"] == self.arguments[0])
        shown = {"key": whole["keys"][entry["key"]], "message": entry}
        return ".. code-block:: json\n\n" + indented(json.dumps(shown, indent=2)) + "\n"


class VectorTable(Generated):
    """All messages and what a reader makes of them."""

    def text(self) -> str:
        rows = [
            [f"``{one['id']}``", one["key"] or "none", f"``{one['listed']}``", f"``{one['opened']}``"]
            for one in manifest()["messages"]
        ]
        return table(["Message", "Reader's key", "Header", "Content"], rows)


class HistoryTable(Generated):
    """All folders and what is current in them."""

    def text(self) -> str:
        rows = []
        for one in manifest()["histories"]:
            there = ", ".join(f"{uid} ``{name.split('/')[1]}``" for uid, name in one["messages"].items())
            heads = ", ".join(f"``{name.split('/')[1]}``" for name in one["heads"])
            said = "conflict" if one["conflict"] else "removed" if one["deleted"] else ""
            rows.append([one["id"], there, heads, f"``{one['current'].split('/')[1]}``", said])
        return table(["Folder", "UIDs and messages", "Heads", "Current", ""], rows)


# ---------------------------------------------------------------- interfaces


class InterfaceDoc(Generated):
    """A class of ``ifap_twisted.interfaces``, from its source: zope keeps no keyword-only arguments."""

    required_arguments = 1

    def text(self) -> str:
        (name,) = self.arguments
        defined = getattr(import_module("ifap_twisted.interfaces"), name, None)
        if defined is None:
            raise self.error(f"there is no interface {name}")
        tree = ast.parse(inspect.getsource(import_module(defined.__module__)))
        (cls,) = [one for one in tree.body if isinstance(one, ast.ClassDef) and one.name == name]
        body = "\n".join(self._members(cls))
        doc = fields(ast.get_docstring(cls) or "")
        # Within ``currentmodule:: ifap_twisted``.
        shown = name if name in ifap_twisted.__all__ else f"interfaces.{name}"
        return f".. py:class:: {shown}\n\n{indented(doc)}\n\n{indented(body)}\n"

    def _members(self, cls: ast.ClassDef) -> Iterator[str]:
        for one in cls.body:
            if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and not one.name.startswith("_"):
                one.args.args = [arg for arg in one.args.args if arg.arg != "self"]
                result = f" -> {ast.unparse(one.returns)}" if one.returns else ""
                doc = fields(ast.get_docstring(one) or "")
                yield f".. py:method:: {one.name}({ast.unparse(one.args)}){result}\n\n{indented(doc)}\n"
            elif isinstance(one, ast.AnnAssign) and isinstance(one.value, ast.Call):
                said = ast.literal_eval(one.value.args[0])
                yield f".. py:attribute:: {ast.unparse(one.target)}\n\n   {said}\n"


def fields(docstring: str) -> str:
    """A docstring whose ``:raises A, B: text`` is a sentence that refers to the classes."""
    split = re.sub(r"(\S) (:raises )", r"\1\n\2", docstring)
    pattern = re.compile(r"^:raises ([A-Za-z, ]+):", re.MULTILINE)
    said = pattern.sub(lambda found: f":raises: {references(found[1])}", split)
    return re.sub(r"(``StoreError``)s", r"\1\\ s", said)


def references(names: str) -> str:
    """References to errors, by their names."""
    return ", ".join(f":py:exc:`~ifap_twisted.errors.{name}`" for name in names.replace(",", " ").split())


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_object_type("rule", "rule", objname="rule of the specification", indextemplate="single: %s")
    app.add_directive("later", Later)
    app.add_role("shown", Shown())
    app.add_directive("error-table", ErrorTable)
    app.add_directive("error-classes", ErrorClasses)
    app.add_directive("setting", Setting)
    app.add_directive("verbs", Verbs)
    app.add_directive("twistd-options", TwistdOptions)
    app.add_directive("routes", Routes)
    app.add_directive("json-objects", JsonObjects)
    app.add_directive("media-types", MediaTypes)
    app.add_directive("vector", Vector)
    app.add_directive("vector-table", VectorTable)
    app.add_directive("history-table", HistoryTable)
    app.add_directive("interface", InterfaceDoc)
    app.connect("env-check-consistency", check_settings)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
