"""Writing settings back into ``ifap.toml`` without disturbing what a person wrote there.

Lines are changed, not the document: comments, order and line ends stay. Every changed text is parsed again and taken
only when it says exactly what the old one said and the change; where no change of lines does that, the user is asked to
do it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

from ifap_twisted.basedir import Basedir
from ifap_twisted.core import limits
from ifap_twisted.errors import BadSettings
from ifap_twisted.settings.layers import FILE, FORMAT, check_text, parse_text
from ifap_twisted.settings.registry import KEYS, UNLIMITED, Key, unknown

__all__ = ["edited", "save_settings"]

SPAN: Final = 64
"""A value that goes over more lines than this is left to its author."""
HEADER: Final = re.compile(r"\s*\[")


def save_settings(basedir: Basedir, changes: Mapping[str, object]) -> None:
    """Change settings in ``ifap.toml``, durably, and make the file when there is none. It blocks.

    :param changes: by name; None removes a setting, so that its default holds.
    :raises BadSettings: a value is not what is wanted, the file is a symbolic link, or it cannot be changed safely.
    """
    basedir.require_hold()
    path = basedir.settings_file
    if basedir.files.is_link(FILE):
        raise BadSettings(f"{path} is a symbolic link, and nothing outside the basedir is changed: edit it yourself.")
    with basedir.files.changing:
        raw = basedir.files.read(FILE, limits.SETTINGS_FILE)
        old = "" if raw is None else _decoded(raw, path)
        new = edited(old or f"format = {FORMAT}\n", changes, path)
        if new != old:
            basedir.files.write(FILE, new.encode("utf-8"))


def _decoded(raw: bytes, path: Path) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise BadSettings(f"{path} is not UTF-8.") from None


def edited(text: str, changes: Mapping[str, object], path: Path) -> str:
    """The text of a settings file with some settings changed, and nothing else.

    :raises BadSettings: as :func:`save_settings`.
    """
    for name, raw in changes.items():
        if name not in KEYS:
            raise unknown(name, f"for {path}")
        key = KEYS[name]
        text = _changed(text, key, None if raw is None else _literal(key, raw, path), path)
    check_text(text, path)
    return text


def _literal(key: Key, raw: object, path: Path) -> str:
    value = key.value(raw, f"for {path}", path.parent)
    if value is None:
        return _quoted(UNLIMITED)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        shown = key.show(value)
        return shown if re.fullmatch(r"[0-9.]+", shown, re.ASCII) else _quoted(shown)
    return _quoted(str(value))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda match: f"\\u{ord(match[0]):04x}", escaped) + '"'


def _changed(text: str, key: Key, literal: str | None, path: Path) -> str:
    before = parse_text(text, path, keep_format=True)
    wanted = _with(before, key, None if literal is None else tomllib.loads(f"x = {literal}")["x"])
    if wanted == before:
        return text
    for candidate in _candidates(text, key, literal):
        try:
            if tomllib.loads(candidate) == wanted:
                return candidate
        except (ValueError, RecursionError):
            continue
    raise BadSettings(f"Cannot change {key.name} in {path} without disturbing the rest: edit it yourself.")


def _with(table: dict[str, Any], key: Key, value: object) -> dict[str, Any]:
    wanted = deepcopy(table)
    group, dot, name = key.name.rpartition(".")
    inner = wanted.setdefault(group, {}) if dot else wanted
    if not isinstance(inner, dict):
        raise BadSettings(f"{group} is not a table.")
    if value is None:
        inner.pop(name, None)
    else:
        inner[name] = value
    return wanted


def _candidates(text: str, key: Key, literal: str | None) -> Iterator[str]:
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    yield from _replacements(lines, key, literal)
    if literal is not None:
        yield from _insertions(lines, key, literal)


def _replacements(lines: list[str], key: Key, literal: str | None) -> Iterator[str]:
    """The line of the setting, and as many after it as its value may span, changed or left out."""
    group, _dot, name = key.name.rpartition(".")
    spelt = rf"(?:{_spelt(group)}\s*\.\s*)?{_spelt(name)}" if group else _spelt(name)
    line_of_key = re.compile(rf"(\s*{spelt}\s*=\s*)(.*?)(\s*)", re.DOTALL)
    for number, line in enumerate(lines):
        match = line_of_key.fullmatch(line)
        if match is None:
            continue
        tail = "" if literal is None else match[1] + literal + _comment(match[2]) + match[3]
        for end in range(number + 1, min(number + SPAN, len(lines)) + 1):
            yield "".join([*lines[:number], tail, *lines[end:]])


def _spelt(name: str) -> str:
    return rf"""(?:{name}|"{name}"|'{name}')"""


def _comment(value: str) -> str:
    """The comment behind a value on one line, with the blanks before it."""
    for match in re.finditer(r"[ \t]*#", value):
        try:
            tomllib.loads("x = " + value[: match.start()])
        except ValueError:
            continue  # this # is inside the value
        return value[match.start() :]
    return ""


def _insertions(lines: list[str], key: Key, literal: str) -> Iterator[str]:
    group, _dot, name = key.name.rpartition(".")
    end = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    headers = [number for number, line in enumerate(lines) if HEADER.match(line)]
    setting = f"{name} = {literal}{end}"
    if group:
        for number in headers:
            yield _inserted(lines, number + 1, setting, end)
        yield _inserted(lines, len(lines), f"{end}[{group}]{end}{setting}", end)
        yield from (_inserted(lines, number, f"{group}.{setting}", end) for number in [*headers, len(lines)])
    else:
        yield from (_inserted(lines, number, setting, end) for number in [*headers, len(lines)])


def _inserted(lines: list[str], number: int, added: str, end: str) -> str:
    before = "".join(lines[:number])
    gap = end if before and not before.endswith("\n") else ""
    return before + gap + added + "".join(lines[number:])
