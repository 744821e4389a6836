"""From the command line to a filesystem: the running node's, or the account opened in this process.

Everything that the verbs need of ``ifap_twisted.service`` and of the control client is called here and nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from twisted.internet.task import deferLater

from ifap_twisted.basedir import Basedir, default_basedir
from ifap_twisted.cli import nodes
from ifap_twisted.cli.passphrases import needed_passphrase
from ifap_twisted.cli.progress import waiting
from ifap_twisted.core import limits
from ifap_twisted.core.values import JSON
from ifap_twisted.errors import BasedirInUse, Unavailable
from ifap_twisted.secrecy import Secret
from ifap_twisted.settings import Settings, load_settings

if TYPE_CHECKING:
    from ifap_twisted.cli.options import Options
    from ifap_twisted.cli.session import Session
    from ifap_twisted.core.findings import Checkup
    from ifap_twisted.filesystem.rekeying import Rekeyed
    from ifap_twisted.interfaces import IFilesystem, Progress


def open_basedir(options: Options) -> Basedir:
    """The basedir that was asked for, made when it is absent."""
    return Basedir(options.basedir or default_basedir(os.environ))


def settings_of(basedir: Basedir, options: Mapping[str, object] | None = None) -> Settings:
    """The settings in force for a basedir."""
    return load_settings(options=options, environment=os.environ, basedir=basedir.path)


@asynccontextmanager
async def open_filesystem(session: Session) -> AsyncIterator[IFilesystem]:
    """The filesystem that a verb works on; closed at the end, also when the verb fails."""
    with open_basedir(session.options) as basedir:
        filesystem = await _open(session, basedir)
        try:
            await _finish(session, filesystem)
            yield filesystem
        except BaseException:
            with suppress(Exception):  # what made the verb fail is told, not what follows from it
                await filesystem.close()
            raise
        with waiting(session.console, session.reactor, "Closing the account"):
            await filesystem.close()


async def _open(session: Session, basedir: Basedir) -> IFilesystem:
    if await hold_unless_node_runs(session, basedir):
        from ifap_twisted.service import open_local  # noqa: PLC0415 -- not needed while a node runs

        settings = settings_of(basedir)
        passphrase = await needed_passphrase(session, basedir, settings)
        with waiting(session.console, session.reactor, "Opening the account"):
            return await open_local(
                session.reactor, basedir, settings, passphrase=passphrase, away=session.options.away
            )
    from ifap_twisted.control.client import HttpFilesystem  # noqa: PLC0415 -- imports treq

    def token() -> str:
        found = basedir.read_control_token()
        if found is None:
            raise Unavailable(f"There is no control token in {basedir.path}: is the node starting? Try again.")
        return found.reveal()

    return HttpFilesystem(session.reactor, basedir.control_socket, token, worker=session.worker)


async def _finish(session: Session, filesystem: IFilesystem) -> None:
    """Let what waits in the journal go first, so that the verb sees it; a node does so by itself."""
    finish = getattr(filesystem, "finish", None)
    if finish is not None:
        with waiting(session.console, session.reactor, "Storing what waits in the journal"):
            await finish()


async def hold_unless_node_runs(session: Session, basedir: Basedir) -> bool:
    """Hold the basedir and give True, or give False because a node answers on it.

    Another verb, a node that starts and one that stops are waited for, as long as ``--wait`` says.

    :raises BasedirInUse: somebody has it still, who does not answer.
    """
    deadline = session.reactor.seconds() + session.options.wait
    while True:
        try:
            await basedir.hold(0, session.reactor)
        except BasedirInUse:
            if await session.worker(lambda: nodes.answers(basedir)):
                return False
            if session.reactor.seconds() >= deadline:
                raise
            await deferLater(session.reactor, limits.BASEDIR_POLL_SECONDS)
        else:
            return True


async def log_in(
    session: Session, basedir: Basedir, options: Mapping[str, object], **secrets: Secret | None
) -> Mapping[str, JSON]:
    """Check an account, create or open its folder, and store what is needed to open it again.

    :param basedir: held.
    :param options: settings that were given, by name; those that are None were not.
    :param secrets: ``password``, ``key``, ``passphrase`` and ``recovery_code``; None for what was not given.
    :raises KeyRequired: the folder has messages, and neither a key was given nor is one stored.
    """
    from ifap_twisted.service import login  # noqa: PLC0415 -- with all that a login needs

    settings = settings_of(basedir, options)
    return await login(session.reactor, basedir, settings, keyring=None, **secrets)


async def change_passphrase(
    session: Session, basedir: Basedir, settings: Settings, new: Secret, passphrase: Secret | None
) -> bool:
    """Wrap the key under a passphrase; False when a former one may still open the folder.

    :param basedir: held.
    """
    from ifap_twisted.service import change_passphrase as change  # noqa: PLC0415 -- with all that opening needs

    return await change(session.reactor, basedir, settings, new, passphrase=passphrase)


async def make_recovery_code(
    session: Session, basedir: Basedir, settings: Settings, show: Callable[[str], None], passphrase: Secret | None
) -> bool:
    """Make a recovery code; False when a former one may still open the folder.

    :param basedir: held.
    """
    from ifap_twisted.service import make_recovery_code as make  # noqa: PLC0415 -- with all that opening needs

    return await make(session.reactor, basedir, settings, show, passphrase=passphrase)


async def recover(
    session: Session, basedir: Basedir, settings: Settings, passphrase: Secret | None, progress: Progress
) -> Checkup:
    """Build everything anew from the messages alone, mend it, and say what was done.

    :param basedir: held.
    """
    from ifap_twisted.service import recover as recovered  # noqa: PLC0415 -- with all that opening needs

    return await recovered(session.reactor, basedir, settings, passphrase=passphrase, progress=progress)


async def change_key(
    session: Session, basedir: Basedir, settings: Settings, passphrase: Secret | None, progress: Progress
) -> Rekeyed:
    """Give the folder a new key; what became of it.

    :param basedir: held.
    """
    from ifap_twisted.service import change_key as change  # noqa: PLC0415 -- with all that opening needs

    return await change(session.reactor, basedir, settings, passphrase=passphrase, progress=progress)


async def revoke_key(
    session: Session,
    basedir: Basedir,
    settings: Settings,
    ask: Callable[[], Awaitable[Secret]],
    *,
    wanted: bool,
    passphrase: Secret | None,
    progress: Progress,
) -> Rekeyed:
    """Give the folder a new key which nobody gets by a former one; what became of it.

    :param basedir: held.
    :param ask: gives the new passphrase; asked where the folder has one, or where one is ``wanted``.
    """
    from ifap_twisted.service import revoke_key as revoke  # noqa: PLC0415 -- with all that opening needs

    return await revoke(
        session.reactor, basedir, settings, ask, wanted=wanted, passphrase=passphrase, progress=progress
    )


async def facts(session: Session, filesystem: IFilesystem) -> Mapping[str, JSON]:
    """What is known of the account besides its status, capabilities and quota for example: by whoever has it open."""
    info = getattr(filesystem, "info", None)
    told: Mapping[str, JSON]
    if info is not None:
        told = await info()
    else:
        with open_basedir(session.options) as basedir:
            told = await session.worker(lambda: nodes.ask(basedir, "/v1/info"))
    return told
