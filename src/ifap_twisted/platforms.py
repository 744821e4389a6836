"""The operating systems that the service runs on.

It imports nothing that only POSIX has, so that the refusal itself works where the rest would not.
"""

from __future__ import annotations

import os

from ifap_twisted.errors import NotSupported

__all__ = ["require_posix", "user_and_host"]


def require_posix(platform: str) -> None:
    """Refuse Windows with one sentence (DESIGN 4.1); call it before anything else is imported.

    :param platform: ``sys.platform``.
    :raises NotSupported: there.
    """
    if platform in {"win32", "cygwin", "msys"}:
        raise NotSupported("ifap-twisted does not run on Windows: use Linux, for example in WSL 2, or macOS.")


def user_and_host() -> str:
    """A name for people of who runs this process: ``alice@laptop``; from the system, not from the environment."""
    import pwd  # noqa: PLC0415 -- POSIX only

    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return f"{user}@{os.uname().nodename}"
