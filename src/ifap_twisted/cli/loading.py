"""The group of verbs, each imported when it is asked for: nothing here imports Twisted.

A verb lives in ``cmd_VERB.py`` as ``command``. Its docstring is its help text: paragraphs are wrapped, indented blocks
are shown as they are.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import import_module
from typing import Final

import click

from ifap_twisted.cli.options import Options, Work, common_options

VERBS: Final = (
    "login",
    "logout",
    "info",
    "ls",
    "du",
    "put",
    "get",
    "cat",
    "mv",
    "cp",
    "mkdir",
    "rmdir",
    "rm",
    "undelete",
    "versions",
    "vers",
    "restore",
    "lock",
    "unlock",
    "locks",
    "conflicts",
    "resolve",
    "sync",
    "gc",
    "snapshot",
    "check",
    "recover",
    "passphrase",
    "rekey",
    "recovery",
    "status",
    "watch",
    "create-node",
    "start",
    "stop",
    "restart",
    "help",
    "completion",
)

LOCAL_PATH: Final = click.Path(readable=False)
"""A local path: shells complete it; whether it can be used is found out by using it."""


class Verb(click.Command):
    """A verb: a click command whose help keeps indented blocks as they are."""

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the docstring: paragraphs wrapped, indented blocks untouched."""
        del ctx
        write_docstring(self.help or "", formatter)


class VerbGroup(click.Group):
    """All verbs, loaded one by one on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the verbs, in the order of the manual."""
        del ctx
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a verb."""
        del ctx
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"ifap_twisted.cli.cmd_{cmd_name.replace('-', '_')}").command
        return command

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the docstring: paragraphs wrapped, indented blocks untouched."""
        del ctx
        write_docstring(self.help or "", formatter)


def write_docstring(text: str, formatter: click.HelpFormatter) -> None:
    """Write a docstring in reST as help: inline literals lose their quotes, ``::`` its second colon."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        formatter.write_paragraph()
        if paragraph.startswith("    "):
            formatter.write(paragraph.rstrip() + "\n")
            continue
        with formatter.indentation():
            formatter.write_text(paragraph.replace("``", "").replace("::", ":").replace("\n", " "))


def plain_verb(name: str, callback: Callable[..., int | None], *parameters: click.Parameter) -> Verb:
    """A verb that needs neither a filesystem nor a reactor.

    :param callback: called with the :class:`Options` and the values of the parameters; gives the exit status.
    """

    def invoke(**values: object) -> int:
        options = click.get_current_context().find_object(Options)
        assert options is not None
        return callback(options, **values) or 0

    return Verb(
        name,
        params=[*parameters, *common_options(hidden=True)],
        callback=invoke,
        help=inspect.cleandoc(callback.__doc__ or ""),
    )


def filesystem_verb(
    function: Callable[..., Awaitable[None]],
    *parameters: click.Parameter,
    name: str | None = None,
    away: Callable[[Mapping[str, object]], bool] = lambda _values: False,
    changes: bool | Callable[[Mapping[str, object]], bool] = False,
) -> Verb:
    """A verb ``async def function(filesystem, session, **values)``; its docstring is the help text.

    :param away: whether, with these values, it can do its work while the mail server is away.
    :param changes: whether it changes something, perhaps with these values only: when it is interrupted, what was on
        its way may be done.
    """

    def begin(options: Options, **values: object) -> Work:
        from ifap_twisted.cli.session import working_on  # noqa: PLC0415 -- imports Twisted

        options.away = away(values)
        changing = changes(values) if callable(changes) else changes
        return working_on(lambda filesystem, session: function(filesystem, session, **values), changes=changing)

    return _verb(function, begin, parameters, name)


def reactor_verb(
    function: Callable[..., Awaitable[None]], *parameters: click.Parameter, name: str | None = None
) -> Verb:
    """A verb ``async def function(session, **values)`` that needs a reactor."""
    return _verb(function, lambda _options, **values: lambda session: function(session, **values), parameters, name)


def _verb(
    function: Callable[..., Awaitable[None]],
    begin: Callable[..., Work],
    parameters: Sequence[click.Parameter],
    name: str | None,
) -> Verb:
    def invoke(options: Options, **values: object) -> int:
        return options.runner(options, begin(options, **values))

    invoke.__doc__ = function.__doc__
    return plain_verb(name or function.__name__, invoke, *parameters)
