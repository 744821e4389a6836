"""What is told of an account besides its status: never keys, passwords or names of files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ifap_twisted.core import paths
from ifap_twisted.core.index import Index
from ifap_twisted.core.values import JSON
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import StoreError
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.interfaces import IMessageStore
from ifap_twisted.store.imap import ImapStore
from ifap_twisted.store.polite import PoliteStore

if TYPE_CHECKING:
    from ifap_twisted.service.service import IFAPService


@deferred
async def facts(service: IFAPService) -> Mapping[str, JSON]:
    """Account, folder, dialect, fingerprint, capabilities, quota, counts and sizes, as far as they are known now."""
    told: dict[str, JSON] = {
        "account": str(service.settings.account),
        "folder": service.settings.folder,
        "encryption": service.settings.encryption,
        "max_file_size": service.settings.largest_file,
        "made_key": service.made_key,
    }
    opened, store = service.opened, service.store
    if opened is not None and store is not None:
        told |= folder_facts(opened, store)
        told |= await server_facts(store)
    return told


def folder_facts(filesystem: Filesystem, store: IMessageStore) -> dict[str, JSON]:
    """What is known once the folder is open."""
    view = filesystem.desk.view
    key = view.keys[0] if view.keys else None
    return {
        "dialect": view.dialect.name,
        "key_fingerprint": None if key is None else key.fingerprint,
        "max_message": store.traits.max_message,
        "counts": counts(view.index),
    }


async def server_facts(store: IMessageStore) -> dict[str, JSON]:
    """Capabilities and quota; none of a shelf that is no server, or that cannot be reached now."""
    unknown: dict[str, JSON] = {"capabilities": [], "quota": None}
    inner = store.inner if isinstance(store, PoliteStore) else store
    if not isinstance(inner, ImapStore) or inner.state != "connected":
        return unknown
    try:
        return dict(await inner.server_facts())
    except StoreError:
        return unknown


def counts(index: Index) -> dict[str, int]:
    """Files, versions and bytes of all that is live, and messages in the folder."""
    files = versions = size = 0
    for path in index.paths():
        if paths.is_reserved(path):
            continue
        history = index.history(path)
        versions += len(history.versions)
        file = index.file(path)
        if file is not None:
            files += 1
            size += file.version.size
    return {"files": files, "versions": versions, "bytes": size, "messages": len(index)}
