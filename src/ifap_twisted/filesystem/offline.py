"""A folder that cannot be opened now, and for which writes are accepted all the same (DESIGN 4.2: ``put --queue``).

Nothing of what is on the server is known here. What is accepted descends from what was accepted before it, and carries
a new writer: where the path turns out to have another version, both stay and that is reported (FORMAT 3.2, 3.4).
"""

from __future__ import annotations

from collections.abc import Collection

from twisted.internet.defer import Deferred

from ifap_twisted.core import paths
from ifap_twisted.core.dialects import DIALECTS
from ifap_twisted.core.values import Entry, Expect, Notice
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import Unavailable
from ifap_twisted.filesystem.assembly import make_desk
from ifap_twisted.filesystem.desk import Desk, Options
from ifap_twisted.filesystem.lasting import Lasting
from ifap_twisted.filesystem.opening import Membership
from ifap_twisted.filesystem.putting import Putting, change_of
from ifap_twisted.filesystem.recovery import Place, fill, journal_notices
from ifap_twisted.filesystem.sending import no_journal_error
from ifap_twisted.filesystem.surroundings import Surroundings
from ifap_twisted.filesystem.watching import Watchers
from ifap_twisted.interfaces import IMessageStore, RemotePath, Source


class Offline:
    """Accepts writes, and nothing else.

    :ivar notices: what a person should know of the journal.
    """

    def __init__(self, desk: Desk, notices: Collection[Notice] = ()) -> None:
        self.notices = notices
        self._desk = desk
        self._lasting = Lasting(lambda: None)

    def put(
        self,
        path: RemotePath,
        data: Source,
        *,
        expect: Expect = None,
        mode: int | None = None,
        mime: str | None = None,
        modified: float | None = None,
        size: int | None = None,
        unless_equal: bool = False,
    ) -> Deferred[Entry]:
        """Accept a file; whether it is there already can only be told when the server is back.

        :raises Unavailable: which version is expected cannot be compared.
        """
        putting = Putting(
            desk=self._desk,
            lasting=self._lasting,
            path=path,
            data=data,
            size=size,
            change=change_of(mode, mime, modified),
            expect=expect,
            queue=True,
            unless_equal=unless_equal,
        )
        return self._lasting.begin(lambda: self._run(putting), putting.may_stop)

    async def _run(self, putting: Putting) -> Entry:
        self._check(paths.clean_file(putting.path), putting.expect)
        return await putting.run()

    def _check(self, path: str, expect: Expect) -> None:
        accepted = self._desk.writer.backlog.accepted(path)
        if isinstance(expect, str) and not any(version.vid == expect for version in accepted):
            raise Unavailable(
                "The mail server is away, and which version of the file is the current one is not known here.",
                path=path,
            )

    @deferred
    async def close(self) -> None:
        """Accept no more, and wait for what is about to be accepted."""
        self._lasting.close()
        await self._lasting.when_idle()
        self._desk.writer.stop()


async def offline_folder(
    store: IMessageStore,
    membership: Membership,
    surroundings: Surroundings,
    watchers: Watchers,
    place: Place,
    options: Options,
) -> Offline:
    """What accepts writes for a folder that this device has opened before.

    :param surroundings: with the journal and the backlog that the folder is opened with later.
    :raises NotSupported: there is no basedir.
    :raises Unavailable: the folder was never opened here: its key and its home are not known.
    """
    if surroundings.journal is None or surroundings.backlog is None:
        raise no_journal_error()
    if membership.home is None or membership.found is None or (membership.encrypted and not membership.keys):
        raise Unavailable(
            "This folder was never opened here, and the mail server is away: nothing can be accepted for it yet."
        )
    keys = membership.keys if membership.encrypted else ()
    journal = surroundings.journal(keys)
    desk = make_desk(
        store,
        DIALECTS[membership.found],
        keys,
        options=options,
        surroundings=surroundings,
        watchers=watchers,
        journal=journal,
        place=place,
    )
    view = desk.view
    view.adopt_home(membership.home)
    content = await journal.left()
    ours = [frozen for frozen in content.frozen if place.is_of(view, frozen)]
    await fill(surroundings.backlog, journal, content, ours, view, surroundings.worker)
    surroundings.backlog.unclean = True
    return Offline(desk, journal_notices(content, len(content.frozen) - len(ours)))
