"""An encrypted, versioned filesystem in an IMAP folder, as a Twisted service.

What a program needs is importable from here: ``connect`` and ``IFAPService``, the values that they give, the control
resource, and every error that a caller can meet. Names are looked up when they are first used, so that importing the
package costs nothing and never imports a reactor.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ifap_twisted._version import __version__

if TYPE_CHECKING:
    from ifap_twisted.control.resource import (
        control_resource,
    )
    from ifap_twisted.control.site import (
        control_site,
    )
    from ifap_twisted.core.collection import (
        Collection,
        Verdict,
    )
    from ifap_twisted.core.findings import (
        Checkup,
        Finding,
    )
    from ifap_twisted.core.usage import (
        Usage,
    )
    from ifap_twisted.core.values import (
        ABSENT,
        Checked,
        Entry,
        Event,
        Lock,
        Notice,
        Record,
        Status,
    )
    from ifap_twisted.errors import (
        AlreadyExists,
        AuthenticationRefused,
        BadSettings,
        BasedirInUse,
        CallerError,
        ChunkLost,
        Conflict,
        Damaged,
        DataError,
        DirectoryNotEmpty,
        Extended,
        Forbidden,
        ForeignFolder,
        ForeignKey,
        IFAPError,
        IncompleteSource,
        InvalidPath,
        IsADirectory,
        KeyChanged,
        KeyRequired,
        LeaseLost,
        Locked,
        Malformed,
        MarkedByOthers,
        MessageGone,
        NewerVersionNeeded,
        NoRoom,
        NotADirectory,
        NotFound,
        NotSupported,
        NotTrusted,
        OtherDialect,
        OutcomeUnknown,
        Oversized,
        PassphraseRequired,
        Plaintext,
        ProtocolViolation,
        QuotaExceeded,
        ReadOnly,
        Refused,
        Renumbered,
        RevokedKey,
        RolledBack,
        SnapshotCorrupt,
        Spliced,
        StoredAsConflict,
        StoreError,
        Tampered,
        Throttled,
        TimedOut,
        TooLarge,
        Truncated,
        Unauthorised,
        Unavailable,
        Unbound,
        UnknownVersion,
        UnsupportedDialect,
        VidCollision,
        WeakPassphrase,
        WrongKey,
    )
    from ifap_twisted.interfaces import (
        IFilesystem,
        IMessageStore,
    )
    from ifap_twisted.secrecy import (
        Credentials,
        Secret,
    )
    from ifap_twisted.service import (
        IFAPService,
        connect,
    )
    from ifap_twisted.settings import (
        Settings,
        load_settings,
    )

_HOMES = {
    "ABSENT": "core.values",
    "Checked": "core.values",
    "Checkup": "core.findings",
    "Collection": "core.collection",
    "Credentials": "secrecy",
    "Entry": "core.values",
    "Event": "core.values",
    "Finding": "core.findings",
    "IFAPService": "service",
    "IFilesystem": "interfaces",
    "IMessageStore": "interfaces",
    "Lock": "core.values",
    "Notice": "core.values",
    "Record": "core.values",
    "Secret": "secrecy",
    "Settings": "settings",
    "Status": "core.values",
    "Usage": "core.usage",
    "Verdict": "core.collection",
    "connect": "service",
    "control_resource": "control.resource",
    "control_site": "control.site",
    "load_settings": "settings",
}

__all__ = [
    "ABSENT",
    "AlreadyExists",
    "AuthenticationRefused",
    "BadSettings",
    "BasedirInUse",
    "CallerError",
    "Checked",
    "Checkup",
    "ChunkLost",
    "Collection",
    "Conflict",
    "Credentials",
    "Damaged",
    "DataError",
    "DirectoryNotEmpty",
    "Entry",
    "Event",
    "Extended",
    "Finding",
    "Forbidden",
    "ForeignFolder",
    "ForeignKey",
    "IFAPError",
    "IFAPService",
    "IFilesystem",
    "IMessageStore",
    "IncompleteSource",
    "InvalidPath",
    "IsADirectory",
    "KeyChanged",
    "KeyRequired",
    "LeaseLost",
    "Lock",
    "Locked",
    "Malformed",
    "MarkedByOthers",
    "MessageGone",
    "NewerVersionNeeded",
    "NoRoom",
    "NotADirectory",
    "NotFound",
    "NotSupported",
    "NotTrusted",
    "Notice",
    "OtherDialect",
    "OutcomeUnknown",
    "Oversized",
    "PassphraseRequired",
    "Plaintext",
    "ProtocolViolation",
    "QuotaExceeded",
    "ReadOnly",
    "Record",
    "Refused",
    "Renumbered",
    "RevokedKey",
    "RolledBack",
    "Secret",
    "Settings",
    "SnapshotCorrupt",
    "Spliced",
    "Status",
    "StoreError",
    "StoredAsConflict",
    "Tampered",
    "Throttled",
    "TimedOut",
    "TooLarge",
    "Truncated",
    "Unauthorised",
    "Unavailable",
    "Unbound",
    "UnknownVersion",
    "UnsupportedDialect",
    "Usage",
    "Verdict",
    "VidCollision",
    "WeakPassphrase",
    "WrongKey",
    "__version__",
    "connect",
    "control_resource",
    "control_site",
    "load_settings",
]


def __getattr__(name: str) -> Any:
    """Find a public name in its module; those that are in no other are errors."""
    if name not in __all__:
        raise AttributeError(f"module 'ifap_twisted' has no attribute {name!r}")
    return getattr(import_module(f"ifap_twisted.{_HOMES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return __all__
