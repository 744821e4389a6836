"""What ``info`` tells: of the basedir without opening the account, of the account with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ifap_twisted.basedir import Basedir
from ifap_twisted.basedir.keyfile import KeyFile
from ifap_twisted.basedir.passwords import PasswordFile
from ifap_twisted.cli import opening
from ifap_twisted.cli.passphrases import kept_keys
from ifap_twisted.cli.printing import table
from ifap_twisted.core.values import JSON, Entry
from ifap_twisted.credentials import read_secret_file
from ifap_twisted.errors import NotFound
from ifap_twisted.settings import Settings

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session


async def show_local(session: Session, *, key: bool, password: bool, settings: bool) -> None:
    """Print what is kept in the basedir.

    :raises NotFound: there is no key, or no embedded account.
    """
    console = session.console
    with opening.open_basedir(session.options) as basedir:
        chosen = opening.settings_of(basedir)
        told: dict[str, JSON] = {}
        if key:
            told["key"] = await _key(session, basedir, chosen)
        if password:
            told["password"] = _password(basedir)
        if settings:
            told["settings"] = [{"name": n, "value": value, "source": source} for n, value, source in chosen.rows()]
    if console.json:
        console.object(told)
        return
    for name in ("key", "password"):
        if name in told:
            console.line(told[name])
    if settings:
        rows = [(row["name"], "-" if row["value"] is None else row["value"], row["source"]) for row in told["settings"]]
        for line in table(rows):
            console.line(line)


async def _key(session: Session, basedir: Basedir, settings: Settings) -> str:
    entry = KeyFile(basedir).find(settings.account, settings.folder)
    keys = () if entry is None else await kept_keys(session, settings, entry)
    if keys:
        return keys[0].reveal()
    if settings.key_file is not None:
        return read_secret_file(settings.key_file)[0].reveal()
    raise NotFound(f"No key of the folder {settings.folder} is kept here: `ifap login` makes or takes one.")


def _password(basedir: Basedir) -> str:
    found = PasswordFile(basedir).embedded()
    if found is None:
        raise NotFound("There is no embedded account here yet: it is made when it is first used.")
    return found.password.reveal()


async def show_account(session: Session) -> None:
    """Open the account, and print what is known of it."""
    async with session.options.opener(session) as filesystem:
        status = await filesystem.status()
        facts = await session.during("Looking", opening.facts(session, filesystem))
        counted = facts.get("counts") or counts(await session.during("Looking", filesystem.list("/", recursive=True)))
        whole = (await session.during("Counting", filesystem.usage("/")))[-1]
    counted = {**counted, "stored": whole.stored, "shared": whole.shared}
    told = {**status.to_json(), **facts, "counts": counted}
    if "key_fingerprint" not in told:
        told["key_fingerprint"] = _fingerprint(session)
    if session.console.json:
        session.console.object(told)
        return
    shown = {name: value for name, value in told.items() if name not in {"warnings", "last_refresh"}}
    for line in table(_rows(shown)):
        session.console.line(line)


def _fingerprint(session: Session) -> str | None:
    with opening.open_basedir(session.options) as basedir:
        settings = opening.settings_of(basedir)
        entry = KeyFile(basedir).find(settings.account, settings.folder)
    return None if entry is None else entry.fingerprint


def counts(entries: Iterable[Entry]) -> dict[str, int]:
    """How much is in a folder."""
    listed = list(entries)
    files = [entry for entry in listed if entry.type == "file"]
    return {"files": len(files), "directories": len(listed) - len(files), "bytes": sum(entry.size for entry in files)}


def _rows(told: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, value in told.items():
        if isinstance(value, Mapping):
            rows += _rows(value, f"{prefix}{name} ")
        elif isinstance(value, list):
            rows.append((prefix + name, " ".join(map(str, value)) or "-"))
        else:
            rows.append((prefix + name.replace("_", " "), "-" if value is None else str(value)))
    return rows
