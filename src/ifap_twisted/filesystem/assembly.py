"""What the operations on a folder work with, put together from the bottom up; it asks the shelf nothing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ifap_twisted.core import limits
from ifap_twisted.core.dialects import Dialect
from ifap_twisted.core.keys import Key
from ifap_twisted.filesystem.admission import Budget
from ifap_twisted.filesystem.backlog import Backlog
from ifap_twisted.filesystem.chunk_places import ChunkPlaces
from ifap_twisted.filesystem.chunk_reading import ChunkReader
from ifap_twisted.filesystem.chunk_writing import ChunkWriter
from ifap_twisted.filesystem.desk import Desk, Options
from ifap_twisted.filesystem.known import Known
from ifap_twisted.filesystem.lockbook import LockBook
from ifap_twisted.filesystem.locking import Locking
from ifap_twisted.filesystem.naming import Naming
from ifap_twisted.filesystem.objects import Objects
from ifap_twisted.filesystem.reading import Reader
from ifap_twisted.filesystem.recovery import Place
from ifap_twisted.filesystem.second_look import SecondLook
from ifap_twisted.filesystem.sending import Sending
from ifap_twisted.filesystem.surroundings import Surroundings
from ifap_twisted.filesystem.view import View
from ifap_twisted.filesystem.watching import Watchers
from ifap_twisted.filesystem.writing import Writer
from ifap_twisted.interfaces import IJournal, IMessageStore


def make_desk(
    store: IMessageStore,
    dialect: Dialect,
    keys: Sequence[Key],
    *,
    options: Options,
    surroundings: Surroundings,
    watchers: Watchers,
    journal: IJournal | None,
    place: Place,
) -> Desk:
    """The desk of a folder of which nothing is known yet.

    :param keys: those that are tried, the one that is written with first; empty with encryption off.
    :param journal: keeps what is on its way over the end of the process; None: it is kept in memory only.
    """
    elapsed = surroundings.elapses
    known = Known(store, dialect=dialect, keys=keys, elapsed=elapsed)
    book = LockBook(
        known, identity=surroundings.identity, elapsed=elapsed, watchers=watchers, memory=surroundings.locks
    )
    reader = Reader(known, worker=surroundings.worker, require_bound=options.require_bound)
    objects = Objects(known, reader, surroundings.worker)
    view = View(known, book, objects, clock=surroundings.clock, worker=surroundings.worker, watchers=watchers)
    writer = _writer(view, options, surroundings, watchers, journal, place)
    locking = Locking(view, writer, book, random=surroundings.random, holder=options.holder)
    writer.guard = locking
    naming = Naming(view)
    chunks_read = ChunkReader(naming, view, reader, surroundings.worker)
    chunks = ChunkWriter(
        view,
        ChunkPlaces(view, objects),
        writer.drafting,
        writer.sending,
        naming,
        cutting=options.cutting,
        worker=surroundings.worker,
    )
    writer.look = SecondLook(view, chunks_read, chunks, writer.drafting.slices).look
    return Desk(
        view=view,
        book=book,
        locking=locking,
        reader=reader,
        chunks_read=chunks_read,
        writer=writer,
        budget=Budget(limits.FILES_IN_FLIGHT * options.held),
        lenders=Budget(limits.SILENT_SOURCES),
        clock=surroundings.clock,
        worker=surroundings.worker,
        options=options,
        objects=objects,
        chunks=chunks,
    )


def _writer(
    view: View,
    options: Options,
    surroundings: Surroundings,
    watchers: Watchers,
    journal: IJournal | None,
    place: Place,
) -> Writer:
    clock, identity = surroundings.clock, surroundings.identity
    backlog = Backlog() if surroundings.backlog is None else surroundings.backlog
    freeze = partial(place.freeze, view)
    return Writer(
        view,
        Sending(view, identity=identity, clock=clock, journal=journal, freeze=freeze, backlog=backlog),
        identity=identity,
        clock=clock,
        worker=surroundings.worker,
        random=surroundings.random,
        watchers=watchers,
        keep=options.keep,
        compat=options.compat,
        backlog=backlog,
    )
