"""Every setting there is: its name, its default, what it may be, and how it is shown (DESIGN 4.6).

A setting is here when something obeys it. Errors name the setting and what is wanted, and never repeat a value, because
it may be a secret that was put in the wrong place.
"""

from __future__ import annotations

import math
import os.path
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from ifap_twisted.accounts import EMBEDDED, Account, parse_account, validate_folder
from ifap_twisted.basedir import expanded
from ifap_twisted.core import limits
from ifap_twisted.errors import BadSettings
from ifap_twisted.settings.quantities import format_duration, format_size, parse_duration, parse_size

__all__ = ["KEYS", "Key", "key_of_variable", "unknown"]

ENVIRONMENT_PREFIX: Final = "IFAP_"
UNLIMITED: Final = "unlimited"
NEVER: Final = "never"
ENDPOINT_CHARACTERS: Final = 1024
COMMAND_CHARACTERS: Final = 4096
SHOWN_NAME: Final = 60
LARGEST_SIZE: Final = 2**60
LONGEST_SPAN: Final = 100 * 365 * 86400
MOST_PERIODS: Final = 10000
LEVELS: Final = ("debug", "info", "warn", "error", "critical")
WORDS: Final = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
SECRET_WORDS: Final = re.compile(r"password|passphrase|passwd|secret|token|oauth|recovery|(?<![a-z])key(?![a-z])")

LATER: Final = frozenset(
    {
        "cache.size",
    }
)
"""Names of the design that this version does not obey yet, so that it refuses them by name."""


@dataclass(frozen=True, slots=True)
class Key:
    """One setting.

    :ivar name: as in ``ifap.toml``, with its table: ``limits.connections``.
    :ivar wanted: what a person reads when the value is refused: "a size from ... to ...".
    :ivar parse: from what TOML, an environment variable or Python gives; a value already parsed stays as it is.
        A relative path is taken from the given directory. Raises ``ValueError`` or ``BadSettings``.
    :ivar show: the text of a value that is not None, as it could be written in the file.
    """

    name: str
    default: Any
    wanted: str
    parse: Callable[[Any, Path], Any]
    show: Callable[[Any], str] = str

    @property
    def attribute(self) -> str:
        """Its name in :class:`Settings` and among options: ``limits_connections``."""
        return self.name.replace(".", "_")

    @property
    def variable(self) -> str:
        """Its name in the environment: ``IFAP_LIMITS_CONNECTIONS``."""
        return ENVIRONMENT_PREFIX + self.attribute.upper()

    def value(self, raw: object, where: str, base: Path) -> Any:
        """Parse a value.

        :param where: for the error: ``in /…/ifap.toml``.
        :param base: relative local paths are taken from here.
        :raises BadSettings: it is not what is wanted.
        """
        try:
            return self.parse(raw, base)
        except BadSettings as error:
            raise BadSettings(f"{self.name} {where}: {error}") from None
        except (ValueError, TypeError):
            pass  # told below, out of reach of the error, which shows the value
        raise BadSettings(f"{self.name} {where} has to be {self.wanted}.")


def _text(raw: object, most: int = ENDPOINT_CHARACTERS) -> str:
    if not isinstance(raw, str) or not 0 < len(raw) <= most or not raw.isprintable():
        raise ValueError
    return raw


def _account(raw: object, _base: Path) -> Account:
    return raw if isinstance(raw, Account) else parse_account(_text(raw, limits.ACCOUNT_BYTES))


def _folder(raw: object, _base: Path) -> str:
    if not isinstance(raw, str):
        raise ValueError  # noqa: TRY004 -- told by Key.value
    return validate_folder(raw)


def _one_of(*words: str) -> Callable[[object, Path], str]:
    def parse(raw: object, _base: Path) -> str:
        if raw not in words:
            raise ValueError
        return str(raw)

    return parse


def _endpoint(raw: object, _base: Path) -> str:
    text = _text(raw)
    if not re.match(r"[a-z][a-z0-9_+.-]*:", text):
        raise ValueError
    return text


def _flag(raw: object, _base: Path) -> bool:
    if isinstance(raw, bool):
        return raw
    return WORDS[raw.lower()] if isinstance(raw, str) and raw.lower() in WORDS else _refuse()


def _refuse() -> Any:
    raise ValueError


def _integer(least: int, most: int) -> Callable[[object, Path], int]:
    def parse(raw: object, _base: Path) -> int:
        if isinstance(raw, str) and re.fullmatch(r"[0-9]{1,18}", raw, re.ASCII):
            raw = int(raw)
        if not isinstance(raw, int) or isinstance(raw, bool) or not least <= raw <= most:
            raise ValueError
        return raw

    return parse


def _rate(raw: object, _base: Path) -> float | None:
    if raw is None or raw == UNLIMITED:
        return None
    if isinstance(raw, str) and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", raw, re.ASCII):
        raw = float(raw)
    if isinstance(raw, bool) or not isinstance(raw, (int, float)) or not 0.1 <= raw <= 1000:
        raise ValueError
    return float(raw)


def _percent(raw: object, _base: Path) -> float:
    if isinstance(raw, str) and re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,9})? ?%?", raw, re.ASCII):
        raw = float(raw.rstrip("% "))
    if isinstance(raw, bool) or not isinstance(raw, (int, float)) or not 0 <= raw <= 100:
        raise ValueError
    return float(raw)


def _size(least: int, most: int) -> Callable[[object, Path], int]:
    def parse(raw: object, _base: Path) -> int:
        if not isinstance(raw, (str, int)):
            raise ValueError  # noqa: TRY004 -- told by Key.value
        size = parse_size(raw)
        return size if least <= size <= most else _refuse()

    return parse


def _daily(raw: object, base: Path) -> int | None:
    return None if raw is None or raw == UNLIMITED else _size(limits.MIB, LARGEST_SIZE)(raw, base)


def _span(least: int, most: int) -> Callable[[object, Path], int]:
    """Whole seconds of a duration."""

    def parse(raw: object, _base: Path) -> int:
        if not isinstance(raw, (str, int, float)):
            raise ValueError  # noqa: TRY004 -- told by Key.value
        seconds = int(parse_duration(raw))
        return seconds if least <= seconds <= most else _refuse()

    return parse


def _every(raw: object, base: Path) -> int | None:
    return None if raw is None or raw == NEVER else _span(limits.COLLECT_LEAST_SECONDS, LONGEST_SPAN)(raw, base)


def _path(raw: object, base: Path) -> Path:
    text = str(raw) if isinstance(raw, Path) else _text(raw, limits.PATH_BYTES)
    if text == "-":
        raise BadSettings("`-` (standard input) can be given to a verb, not kept as a setting.")
    return Path(os.path.normpath(base / expanded(text) if text.startswith("~") else base / text))


def _command(raw: object, _base: Path) -> str:
    text = _text(raw, COMMAND_CHARACTERS)
    return text if shlex.split(text) else _refuse()


def _optional(parse: Callable[[Any, Path], Any]) -> Callable[[Any, Path], Any]:
    return lambda raw, base: None if raw is None else parse(raw, base)


def _show_command(command: str) -> str:
    """Its program alone: an argument could be a secret."""
    program, *arguments = shlex.split(command)
    return f"{program} …" if arguments else program


def _show_rate(rate: float) -> str:
    return f"{rate:g}" if math.isclose(float(f"{rate:g}"), rate, rel_tol=0) else repr(rate)


def _show_percent(share: float) -> str:
    return f"{_show_rate(share)}%"


_WORDS = "true or false"
_ENDPOINT = "an endpoint like tcp:4327:interface=127.0.0.1"
_FILE = "the path of a file"
_PERIODS = f"a number from 0 to {MOST_PERIODS}"
_PERCENT = 'a percentage from 0 to 100 like "1%"'
_DAILY = f'a size from 1 MiB like "500 MB", or "{UNLIMITED}"'

_ALL: Final = (
    Key("account", EMBEDDED, "an account URL", _account),
    Key("folder", "IFAP_DATA", "the name of a folder", _folder),
    Key("dialect", None, "ifap or mailfile", _optional(_one_of("ifap", "mailfile"))),
    Key("control", "tcp:4327:interface=127.0.0.1", _ENDPOINT, _endpoint),
    Key("encryption", "required", "required or off", _one_of("required", "off")),
    Key("embedded_listen", None, _ENDPOINT, _optional(_endpoint)),
    Key("compat", False, _WORDS, _flag, lambda flag: str(flag).lower()),
    Key("require_bound", False, _WORDS, _flag, lambda flag: str(flag).lower()),
    Key("expunge", "uid", "uid or plain", _one_of("uid", "plain")),
    Key(
        "max_file_size",
        limits.MAX_FILE_SIZE,
        f'a size like "24 MiB", from 1 B to {format_size(limits.LARGEST_FILE)}',
        _size(1, limits.LARGEST_FILE),
        format_size,
    ),
    Key(
        "chunk_threshold",
        limits.CHUNK_THRESHOLD,
        f'a size like "4 MiB", up to {format_size(limits.LARGEST_FILE)}, or 0',
        _size(0, limits.LARGEST_FILE),
        format_size,
    ),
    Key("retention.keep", limits.WIRE_VERSIONS, "a number from 1 to 10000", _integer(1, 10000)),
    Key("retention.within", 0, 'a duration like "30d", or 0', _span(0, LONGEST_SPAN), format_duration),
    Key("retention.daily", 0, _PERIODS, _integer(0, MOST_PERIODS)),
    Key("retention.weekly", 0, _PERIODS, _integer(0, MOST_PERIODS)),
    Key("retention.monthly", 0, _PERIODS, _integer(0, MOST_PERIODS)),
    Key(
        "retention.grace",
        int(limits.GRACE_SECONDS),
        'a duration like "7d", from 24h to 100 years',
        _span(int(limits.LEAST_GRACE_SECONDS), LONGEST_SPAN),
        format_duration,
    ),
    Key(
        "collect.every",
        limits.COLLECT_SECONDS,
        f'a duration like "24h", from 1h, or "{NEVER}"',
        _every,
        format_duration,
    ),
    Key("check.share_per_day", limits.CHECKED_PER_DAY, _PERCENT, _percent, _show_percent),
    Key(
        "limits.connections",
        limits.CONNECTIONS,
        f"a number from 1 to {limits.CONNECTIONS}",
        _integer(1, limits.CONNECTIONS),
    ),
    Key("limits.commands_per_second", None, f'a number from 0.1 to 1000, or "{UNLIMITED}"', _rate, _show_rate),
    Key("limits.upload_per_day", None, _DAILY, _daily, format_size),
    Key("limits.download_per_day", None, _DAILY, _daily, format_size),
    Key("log.level", "info", "one of " + ", ".join(LEVELS), _one_of(*LEVELS)),
    Key("password_file", None, _FILE, _optional(_path)),
    Key("password_command", None, "a command line", _optional(_command), _show_command),
    Key("key_file", None, _FILE, _optional(_path)),
    Key("passphrase_file", None, _FILE, _optional(_path)),
    Key("keyring", False, _WORDS, _flag, lambda flag: str(flag).lower()),
    Key("ca_file", None, _FILE, _optional(_path)),
)
KEYS: Final = {key.name: key for key in _ALL}
TABLES: Final = frozenset(name.partition(".")[0] for name in (*KEYS, *LATER) if "." in name)
_VARIABLES: Final = {key.variable: key for key in _ALL}


def key_of_variable(variable: str) -> Key | None:
    """The setting that an environment variable stands for, or None."""
    return _VARIABLES.get(variable)


def unknown(name: str, where: str) -> BadSettings:
    """The error for a name that is no setting: with the nearest name that is one."""
    plain = name.lower().removeprefix(ENVIRONMENT_PREFIX.lower())
    later = {one: one for one in LATER} | {one.replace(".", "_"): one for one in LATER}
    if plain in later:
        return BadSettings(f"{later[plain]} {where} is a setting of a later version; this one cannot obey it.")
    shown = ascii(name if len(name) <= SHOWN_NAME else name[:SHOWN_NAME] + "…")[1:-1]
    near = get_close_matches(plain, [one for key in _ALL for one in (key.name, key.attribute)], n=1, cutoff=0.6)
    hint = f": did you mean {_as_written(near[0], name)}?" if near else "."
    if SECRET_WORDS.search(plain):
        files = "password_file, key_file or passphrase_file"
        hint = f": a secret is never a setting; name its file with {files}, or run `ifap login`."
    return BadSettings(f"There is no setting {shown} ({where}){hint}")


def _as_written(near: str, name: str) -> str:
    key = next(key for key in _ALL if near in {key.name, key.attribute})
    return key.variable if name.startswith(ENVIRONMENT_PREFIX) else key.name
