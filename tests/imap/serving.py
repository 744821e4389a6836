"""A scripted server behind a scripted endpoint: for tests of whoever connects again and again, on a clock."""

from __future__ import annotations

from twisted.internet import error
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from zope.interface import implementer

from ifap_twisted.imap import sasl
from ifap_twisted.imap.connector import Connector
from ifap_twisted.imap.security import Security
from ifap_twisted.store.imap import ImapStore
from tests.imap.conversation import Conversation

REFUSED, SILENT = "refused", "silent"


class Server:
    """One folder, and how each connection to it goes: it answers each command at once.

    :ivar capabilities: announced in the greeting.
    :ivar greeting: the greeting's status and text.
    :ivar answers: by command word, what is said instead of the usual: lines with ``TAG`` for the tag.
    :ivar mute: command words that are not answered.
    """

    def __init__(self, case, clock):
        self.case, self.clock = case, clock
        self.capabilities = "IMAP4rev1 AUTH=PLAIN SASL-IR UIDPLUS LITERAL+"
        self.greeting = "PREAUTH"
        self.uidvalidity, self.messages = 7, {}
        self.answers, self.mute = {}, set()
        self.talks, self.words = [], []

    def connect(self, wire):
        """A new connection."""
        talk = Conversation(self.case, self.clock, wire=wire)
        self.talks.append(talk)
        write = talk.transport.write

        def heard(data):
            write(data)
            self.clock.callLater(0, self._answer, talk)

        talk.transport.write = heard
        talk.pending = b""
        self.clock.callLater(0, self._greet, talk)
        return talk

    def _greet(self, talk):
        if talk.transport.protocol is not None:
            talk.says(f"* {self.greeting} [CAPABILITY {self.capabilities}] ready")

    def _answer(self, talk):
        talk.pending += talk.heard()
        while b"\r\n" in talk.pending and talk.transport.protocol is not None:
            line, _end, rest = talk.pending.partition(b"\r\n")
            literal = b""
            if line.endswith(b"+}"):
                size = int(line[line.rindex(b"{") + 1 : -2])
                if len(rest) < size + 2:
                    return
                literal, rest = rest[:size], rest[size + 2 :]
            talk.pending = rest
            self._command(talk, line.decode(), literal)

    def _command(self, talk, line, literal):
        tag, _blank, rest = line.partition(" ")
        words = rest.split(" ")
        word = " ".join(words[:2]) if words[0] == "UID" else words[0]
        self.words.append(word)
        if word in self.mute:
            return
        if word in self.answers:
            said = [answer.replace("TAG", tag) for answer in self.answers[word]]
            talk.says(*said)
            return
        talk.says(*self._usual(word, words, literal), f"{tag} OK {self._code(word)}done")

    def _usual(self, word, words, literal):
        uids = sorted(self.messages)
        if word == "CAPABILITY":
            return [f"* CAPABILITY {self.capabilities}"]
        if word == "SELECT":
            return [f"* {len(uids)} EXISTS", f"* OK [UIDVALIDITY {self.uidvalidity}] v", "* OK [UIDNEXT 100] n"]
        if word == "APPEND":
            self.messages[max(uids, default=0) + 1] = literal
            return [f"* {len(self.messages)} EXISTS"]
        if word == "UID FETCH":
            return [
                b"* %d FETCH (UID %d RFC822.SIZE %d BODY[HEADER.FIELDS (X-IFAP)] {2}\r\n\r\n BODY[] {%d}\r\n%b)\r\n"
                % (number, uid, len(self.messages[uid]), len(self.messages[uid]), self.messages[uid])
                for number, uid in enumerate(uids, 1)
            ]
        return ["* BYE"] if word == "LOGOUT" else []

    def _code(self, word):
        if word == "APPEND":
            return f"[APPENDUID {self.uidvalidity} {max(self.messages)}] "
        return "[READ-WRITE] " if word == "SELECT" else ""


@implementer(IStreamClientEndpoint)
class Endpoint:
    """Leads to a server, or not.

    :ivar fates: what becomes of the next attempts: ``refused``, ``silent``, or by default a connection.
    :ivar attempts: when each attempt was made.
    """

    def __init__(self, server, clock):
        self.server, self.clock = server, clock
        self.fates, self.always, self.attempts = [], None, []

    def connect(self, factory):
        """One attempt."""
        self.attempts.append(self.clock.seconds())
        fate = self.fates.pop(0) if self.fates else self.always
        if fate == REFUSED:
            return fail(error.ConnectionRefusedError())
        if fate == SILENT:
            return Deferred()
        wire = factory.buildProtocol(None)
        self.server.connect(wire)
        return succeed(wire)


class Scene:
    """A server, a way to it, a connector and a store, on one clock."""

    def __init__(self, case, *, authenticate=None, random=lambda: 0.0, **kwargs):
        self.case = case
        self.clock = Clock()
        self.server = Server(case, self.clock)
        self.endpoint = Endpoint(self.server, self.clock)
        self.connector = Connector(
            self.clock,
            self.endpoint,
            security=Security.plain(),
            authenticate=authenticate or sasl.password("me", "secret"),
            folder="box",
            random=random,
            **kwargs,
        )
        self.store = ImapStore(self.connector)

    def go(self, seconds=0.0):
        """Let time pass, and all that is due happen."""
        self.clock.advance(seconds)
        for _turn in range(30):
            self.clock.advance(0)

    def opened(self):
        """The store, open."""
        opening = self.store.open()
        self.go()
        self.case.successResultOf(opening)
        return self.store

    def result(self, waiting):
        """The result of a call, after the server has answered."""
        self.go()
        return self.case.successResultOf(waiting)

    @property
    def talk(self):
        """The newest connection."""
        return self.server.talks[-1]
