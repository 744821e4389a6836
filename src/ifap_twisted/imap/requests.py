"""A command on its way: its text, what may overlap with it, and who takes its answers."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable

from twisted.internet.defer import Deferred

from ifap_twisted.errors import BadSettings, IFAPError
from ifap_twisted.imap.grammar import Reply, Status
from ifap_twisted.imap.names import is_safe
from ifap_twisted.imap.refusals import refusal
from ifap_twisted.imap.replies import Parts

__all__ = ["Overlap", "Request"]


class Overlap(enum.Enum):
    """What may be in flight at the same time (RFC 9051 5.5): only what cannot be mistaken for one another."""

    NONE = "none"
    """Nothing else: it changes the state of the connection, or uses or answers in message numbers."""
    FREE = "free"
    """Any that overlap at all: its answers carry UIDs, or it has none."""
    SEARCH = "search"
    """As ``FREE``, but no other SEARCH: their answers cannot be told apart."""


class Request:
    """One command.

    :param pieces: the text after the tag; literals are the second, fourth, … of them.
    :param what: what is wanted, as the end of "The mail server refused to …".
    :param receive: offered each untagged reply that nobody in flight before it took; True when it is its own.
    :param answer: called with a continuation; what it returns is sent as a line, unless None.
    :param give_way: called once, when the first other command waits behind this one.
    :param stores: once a byte of its literal has left, its outcome is unknown until the server says.
    :param secrets: never to appear in an error.
    :ivar idling: the server waits with us: its silence means nothing.
    :raises BadSettings: a text holds a line end or NUL.
    """

    __slots__ = (
        "abandoned",
        "answer",
        "begun",
        "deferred",
        "give_way",
        "idling",
        "next_piece",
        "overlap",
        "pieces",
        "receive",
        "secrets",
        "size",
        "stores",
        "tag",
        "what",
    )

    def __init__(
        self,
        *pieces: bytes,
        what: str,
        overlap: Overlap = Overlap.NONE,
        receive: Callable[[Reply, Parts], bool] | None = None,
        answer: Callable[[bytes], bytes | None] | None = None,
        give_way: Callable[[], None] | None = None,
        stores: bool = False,
        secrets: tuple[bytes, ...] = (),
    ) -> None:
        if not all(is_safe(text) for text in pieces[::2]):
            raise BadSettings("A command to the mail server may not hold line ends or NUL.")
        self.pieces = pieces
        self.what = what
        self.overlap = overlap
        self.receive = receive
        self.answer = answer
        self.give_way = give_way
        self.stores = stores
        self.secrets = secrets
        self.size = sum(len(literal) for literal in pieces[1::2])
        self.tag = b""
        self.next_piece = 0
        self.begun = False
        self.idling = False
        self.abandoned = False
        self.deferred: Deferred[Status]

    def __repr__(self) -> str:
        return f"<Request {self.tag.decode('ascii')} to {self.what}>"

    def refused(self, status: Status, secrets: Iterable[bytes] = ()) -> IFAPError:
        """The error for a NO or BAD, without these secrets and its own."""
        return refusal(self.what, status, {*secrets, *self.secrets})
