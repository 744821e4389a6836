"""Where settings come from: defaults < ``ifap.toml`` < environment ``IFAP_*`` < options (DESIGN 4.6).

What is not understood is refused, wherever it stands: a misspelt ``encryption`` must not be a silent default. That
goes for variables ``IFAP_*`` too; those that mean something else are in ``OTHER_VARIABLES``.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from ifap_twisted.basedir import expanded
from ifap_twisted.core import limits
from ifap_twisted.errors import BadSettings, NewerVersionNeeded
from ifap_twisted.settings.record import Settings
from ifap_twisted.settings.registry import ENVIRONMENT_PREFIX, KEYS, TABLES, Key, key_of_variable, unknown

__all__ = ["FILE", "FORMAT", "check_text", "load_settings", "parse_text"]

FILE: Final = "ifap.toml"
FORMAT: Final = 1
"""What ``format`` may be in the file; a file without it is of this one."""
OTHER_VARIABLES: Final = frozenset({"IFAP_BASEDIR"})
OTHER_PREFIXES: Final = (
    "IFAP_LIVE_",
    "IFAP_SERVERS_",
    "IFAP_COURIER_",
    "IFAP_CYRUS_",
    "IFAP_DOVECOT_",
    "IFAP_MAILUTILS_",
)
"""Those of our test suite: accounts and servers that it runs against."""
EXCLUSIVE: Final = ("password_file", "password_command")
"""The later layer's one puts the other out of force."""

_BY_ATTRIBUTE: Final = {key.attribute: key for key in KEYS.values()}


def load_settings(
    *,
    options: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    basedir: Path | None = None,
    config: Path | None = None,
) -> Settings:
    """The settings in force. It reads a small file, so call it at start.

    :param options: by name (``limits.connections``) or attribute (``limits_connections``); None is "not given".
    :param environment: ``os.environ``, or nothing; an empty variable is "not given".
    :param basedir: its ``ifap.toml`` is read when there is one.
    :param config: a file that is read instead, and has to be there.
    :raises BadSettings: as said by what is wrong.
    """
    basedir = None if basedir is None else expanded(basedir)
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    layers = [
        ("file", _from_file(basedir, config)),
        ("environment", _from_environment(environment or {})),
        ("option", _from_options(options or {})),
    ]
    for source, layer in layers:
        _settle_exclusive(layer, values, sources)
        values |= layer
        sources |= {_BY_ATTRIBUTE[attribute].name: source for attribute in layer}
    return Settings(**values, basedir=basedir, sources=sources)


def _settle_exclusive(layer: dict[str, Any], values: dict[str, Any], sources: dict[str, str]) -> None:
    if any(layer.get(name) is not None for name in EXCLUSIVE):
        for name in EXCLUSIVE:
            values.pop(name, None)
            sources.pop(name, None)


def _from_file(basedir: Path | None, config: Path | None) -> dict[str, Any]:
    path = expanded(config) if config is not None else None if basedir is None else basedir / FILE
    if path is None:
        return {}
    text = _read_text(path)
    if text is None and config is not None:
        raise BadSettings(f"There is no file {path}.")
    return _from_table(parse_text(text or "", path), path)


def check_text(text: str, path: Path) -> None:
    """See that a text would be taken as the settings file.

    :raises BadSettings: it would not.
    """
    Settings(**_from_table(parse_text(text, path), path))


def _read_text(path: Path) -> str | None:
    """The text of a settings file, or None when there is none.

    :raises BadSettings: somebody else can change it, which would let him run a ``password_command``; or it is no text.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        with os.fdopen(descriptor, "rb") as file:
            _require_trustworthy(os.fstat(file.fileno()), path)
            raw = file.read(limits.SETTINGS_FILE + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadSettings(f"Cannot read {path}: {os.strerror(error.errno or 0)}.") from error
    if len(raw) > limits.SETTINGS_FILE:
        raise BadSettings(f"{path} is longer than {limits.SETTINGS_FILE} bytes.")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise BadSettings(f"{path} is not UTF-8.") from None


def _require_trustworthy(found: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise BadSettings(f"{path} is not a regular file.")
    if found.st_uid not in {os.geteuid(), 0}:
        raise BadSettings(f"{path} belongs to another user (uid {found.st_uid}); its settings are not followed.")
    if found.st_mode & stat.S_IWOTH:
        raise BadSettings(f"{path} can be changed by every user; close it with chmod o-w.")


def parse_text(text: str, path: Path, *, keep_format: bool = False) -> dict[str, Any]:
    """The TOML of a settings file of a format that is known, without that format unless it is wanted.

    :raises BadSettings: it is not TOML.
    :raises NewerVersionNeeded: a newer version wrote it.
    """
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        where = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "a value is too long or too deep"
        raise BadSettings(f"{path} is not TOML: {where}.") from None
    found = table.get("format", FORMAT)
    if type(found) is not int or found < 1:
        raise BadSettings(f"format in {path} has to be {FORMAT}.")
    if found > FORMAT:
        raise NewerVersionNeeded(
            f"{path} has format {found}, which a newer version of ifap-twisted wrote: use that version, "
            "or another basedir."
        )
    return table if keep_format else {name: value for name, value in table.items() if name != "format"}


def _from_table(table: dict[str, Any], path: Path) -> dict[str, Any]:
    where = f"in {path}"
    values = {}
    for name, raw in _flattened(table):
        if name not in KEYS:
            raise unknown(name, where)
        values[KEYS[name].attribute] = KEYS[name].value(raw, where, path.parent)
    _require_one(values, where)
    return values


def _flattened(table: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if name in TABLES and isinstance(value, dict):
            yield from ((f"{name}.{inner}", one) for inner, one in value.items())
        else:
            yield name, value


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values = {}
    for variable, raw in environment.items():
        ours = variable.startswith(ENVIRONMENT_PREFIX) and not variable.startswith(OTHER_PREFIXES)
        if not ours or variable in OTHER_VARIABLES or not raw:
            continue
        key = key_of_variable(variable)
        if key is None:
            raise unknown(variable, "in the environment")
        values[key.attribute] = key.value(raw, f"in the environment ({variable})", Path.cwd())
    _require_one(values, "in the environment")
    return values


def _from_options(options: Mapping[str, object]) -> dict[str, Any]:
    values = {}
    for name, raw in options.items():
        if raw is not None:
            key = _option(name)
            values[key.attribute] = key.value(raw, "given as an option", Path.cwd())
    _require_one(values, "given as options")
    return values


def _option(name: str) -> Key:
    key = KEYS.get(name) or _BY_ATTRIBUTE.get(name)
    if key is None:
        raise unknown(name, "given as an option")
    return key


def _require_one(values: Mapping[str, Any], where: str) -> None:
    if all(values.get(name) is not None for name in EXCLUSIVE):
        raise BadSettings(f"{' and '.join(EXCLUSIVE)} {where} exclude each other: give one of them.")
