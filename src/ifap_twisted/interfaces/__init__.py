"""The seams: what a shelf of messages promises, and what a filesystem promises.

``IMessageStore`` is below the filesystem, ``IFilesystem`` above it. Every asynchronous method returns a Deferred that
can be cancelled. The contract suites ``tests/contract/message_store.py`` and ``tests/contract/filesystem.py`` hold
every implementation to the sentences here.
"""

from __future__ import annotations

from ifap_twisted.interfaces.blocks import IBatch, IFile, ILeasing, IOpening, IStream
from ifap_twisted.interfaces.device import IJournal, ILockMemory, IMarks, IWriterIdentity
from ifap_twisted.interfaces.filesystem import IFilesystem, Listener, Progress, RemotePath, Source
from ifap_twisted.interfaces.shelf import IFolderListener, IMessageStore

__all__ = [
    "IBatch",
    "IFile",
    "IFilesystem",
    "IFolderListener",
    "IJournal",
    "ILeasing",
    "ILockMemory",
    "IMarks",
    "IMessageStore",
    "IOpening",
    "IStream",
    "IWriterIdentity",
    "Listener",
    "Progress",
    "RemotePath",
    "Source",
]
