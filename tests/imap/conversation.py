"""Scripted conversations: what the client must say, line by line, and what the server answers.

::

    talk = Conversation(self)
    talk.says("* OK ready")
    talk.hears("A1 NOOP")
    talk.says("* 3 EXISTS", "A1 OK done")

``hears`` fails when the client said anything else; :meth:`Conversation.silent` when it said anything at all.
"""

from __future__ import annotations

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import ITLSTransport
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from ifap_twisted.imap.security import Security
from ifap_twisted.imap.session import Session
from ifap_twisted.imap.wire import Wire

POOR = "IMAP4rev1 AUTH=PLAIN SASL-IR"
RICH = "IMAP4rev1 AUTH=PLAIN SASL-IR UIDPLUS LITERAL+ IDLE NAMESPACE UNSELECT"


@implementer(ITLSTransport)
class Transport(StringTransport):
    """A transport in memory that can be secured, and that loses its connection when told to."""

    secured = None
    protocol = None

    def setTcpNoDelay(self, enabled):
        """Nothing to set."""

    def setTcpKeepAlive(self, enabled):
        """Nothing to set."""

    def startTLS(self, contextFactory, normal=True):
        """Note with what it was secured."""
        self.secured = contextFactory

    def abortConnection(self):
        """End at once, as TCP does in its next turn."""
        self.disconnected = True
        self.lose()

    def loseConnection(self):
        """End."""
        super().loseConnection()
        self.lose()

    def lose(self, reason=None):
        """Tell the protocol, once, that the connection is gone."""
        protocol, self.protocol = self.protocol, None
        if self.producer is not None:
            self.producer.stopProducing()
        if protocol is not None:
            protocol.connectionLost(Failure(reason or ConnectionLost()))


class Conversation:
    """One side of the wire in the hands of a test.

    :ivar wire: the client's protocol; ``clock`` its time, ``transport`` what it writes to.
    """

    def __init__(self, case, clock=None, *, wire=None):
        self.case = case
        self.clock = clock or Clock()
        self.wire = wire or Wire(self.clock)
        self.transport = Transport()
        self.transport.protocol = self.wire
        self.wire.makeConnection(self.transport)

    def says(self, *lines):
        """The server says lines; ``bytes`` go as they are, ``str`` get CRLF."""
        block = b"".join(line if isinstance(line, bytes) else line.encode() + b"\r\n" for line in lines)
        self.wire.dataReceived(block)

    def heard(self):
        """All that the client has said since the last time."""
        said = self.transport.value()
        self.transport.clear()
        return said

    def hears(self, *lines):
        """The client has said exactly these lines."""
        wanted = b"".join(line if isinstance(line, bytes) else line.encode() + b"\r\n" for line in lines)
        self.case.assertEqual(self.heard(), wanted)

    def silent(self):
        """The client has said nothing."""
        self.case.assertEqual(self.heard(), b"")

    def loses(self, reason=None):
        """The connection breaks."""
        self.transport.lose(reason)


def greeted(case, capabilities=RICH, **kwargs):
    """A conversation after the greeting."""
    talk = Conversation(case, **kwargs)
    talk.says(f"* OK [CAPABILITY {capabilities}] ready")
    return talk


def session(case, capabilities=RICH, security=None, greeting="OK", **kwargs):
    """A conversation and a session that has begun on it (it may wait for answers)."""
    talk = Conversation(case, **kwargs)
    talk.session = Session(talk.wire, talk.clock, security or Security.plain())
    talk.begun = case.started(talk.session.begin())
    code = f"[CAPABILITY {capabilities}] " if capabilities else ""
    talk.says(f"* {greeting} {code}ready")
    return talk


class Notes:
    """A folder observer that notes what it is told."""

    def __init__(self):
        self.told = []

    def arrived(self, state):
        """Note it."""
        self.told.append(("arrived", state.exists))

    def vanished(self, uids):
        """Note it."""
        self.told.append(("vanished", list(uids)))

    def renumbered(self, uidvalidity):
        """Note it."""
        self.told.append(("renumbered", uidvalidity))

    def connected(self, session):
        """Note it."""
        self.told.append(("connected", session.folder.state.exists))

    def disconnected(self, reason):
        """Note it."""
        self.told.append(("disconnected", reason.code))


def selected(case, capabilities=RICH, *, exists=3, uidnext=10, uidvalidity=7, **kwargs):
    """A conversation with a folder ``box`` open on it; ``talk.notes`` is its observer, the next tag ``talk.tag``."""
    talk = session(case, capabilities, greeting="PREAUTH", **kwargs)
    case.successResultOf(talk.begun)
    talk.notes = Notes()
    opening = case.started(talk.session.open_folder("box", talk.notes, create=False))
    tag = 1
    if "NAMESPACE" in capabilities.split():
        talk.hears("A1 NAMESPACE")
        talk.says('* NAMESPACE (("" "/")) NIL NIL', "A1 OK done")
        tag = 2
    talk.hears(f'A{tag} SELECT "box"')
    told = [f"* {exists} EXISTS", f"* OK [UIDVALIDITY {uidvalidity}] v"]
    told += [f"* OK [UIDNEXT {uidnext}] n"] if uidnext else []
    talk.says(*told, f"A{tag} OK [READ-WRITE] done")
    case.successResultOf(opening)
    talk.folder = talk.session.folder
    talk.tag = tag + 1
    return talk


class Case:
    """Mixed into ``SynchronousTestCase``: coroutines as Deferreds."""

    def started(self, coroutine):
        """The coroutine, running."""
        from twisted.internet.defer import ensureDeferred

        return ensureDeferred(coroutine)

    def refusal(self, waiting, kind):
        """The error that a call failed with."""
        return self.failureResultOf(waiting, kind).value
