"""A world for simulated runs over the wire: the real driver, a network that breaks, a server that misbehaves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from random import Random

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ifap_twisted.deferreds import detach
from ifap_twisted.imap.connector import Connector
from ifap_twisted.imap.sasl import password
from ifap_twisted.imap.security import Security
from ifap_twisted.interfaces import IMessageStore
from ifap_twisted.store.imap import ImapStore
from ifap_twisted.store.polite import PoliteStore
from ifap_twisted.testing.memory_world import DAYS, FATES
from ifap_twisted.testing.network import Endpoint, Record, Road
from ifap_twisted.testing.scenario import Place, Step
from ifap_twisted.testing.wire_account import Order, Treatment
from ifap_twisted.testing.wire_server import FOLDER, PASSWORD, USER, SimulatedConnection, SimulatedServer

COMMANDS = (b"APPEND", b"APPEND", b"UID FETCH", b"UID FETCH", b"NOOP", b"SELECT", b"UID SEARCH", b"UID STORE")
ANSWERS = (
    b"NO It did not work.",
    b"NO [UNAVAILABLE] Try again.",
    b"NO [LIMIT] Too fast.",
    b"NO [THROTTLED] Suggested Backoff Time: 5000 milliseconds",
    b"NO [OVERQUOTA] The mailbox is full.",
    b"BYE The server is going down.",
    b"BYE [UNAVAILABLE] Too many connections.",
    b"BAD What?",
)
SEARCH_LAG = 60.0


class Session:
    """One process of a device: its road to the server, its treatment there, and its store."""

    def __init__(
        self, server: SimulatedServer, place: Place, quirks: Collection[str], road: Road, clock: IReactorTime
    ) -> None:
        self.road = road
        self.treatment = Treatment(only_selecting=place.late, search_lag=SEARCH_LAG if "slow-search" in quirks else 0.0)
        self.refused_until = 0.0
        self.greets = False
        self._server = server
        self._profile = {*quirks, *(["poor"] if place.poor else [])}
        self.connector = connector = Connector(
            clock,
            Endpoint(road, self._accept),
            security=Security.plain(),
            authenticate=password(USER, PASSWORD),
            folder=FOLDER,
            random=road.random.random,
        )
        self.store: IMessageStore = PoliteStore(ImapStore(connector), clock=clock, random=road.random.random)

    def _accept(self) -> SimulatedConnection | None:
        refused = self.road.clock.seconds() < self.refused_until
        if refused and not self.greets:
            return None
        connection = self._server.accept(self.treatment, self._profile, self.road.cut)
        if connection is not None:
            connection.unwelcome = refused
        return connection

    def cut_off(self, seconds: float, *, greets: bool) -> None:
        """Break its connections, and refuse others for a while; ``greets``: with a BYE."""
        self.refused_until = self.road.clock.seconds() + seconds
        self.greets = greets
        self.road.cut()

    def say_goodbye(self) -> None:
        """The server ends its connections in good order."""
        for connection in self.connections():
            connection.say_goodbye(b"Sorry")

    def connections(self) -> list[SimulatedConnection]:
        """Those on which it has selected the folder."""
        return [one for one in self._server.connections(self.treatment) if one.state == "select"]

    def behave(self) -> None:
        """From now on, no fault."""
        self.treatment.behave()
        self.refused_until = 0.0
        self.road.behave()


class WireWorld:
    """One folder on an IMAP server, and the ways that devices have to it.

    :param quirks: besides ``drops-known`` those of :data:`~ifap_twisted.testing.scenario.PROFILE`.
    """

    _log = Logger()

    def __init__(self, seed: int, clock: IReactorTime, quirks: Collection[str]) -> None:
        self.server = SimulatedServer(clock, drops_known="drops-known" in quirks)
        self._seed = seed
        self._clock = clock
        self._quirks = quirks
        self._record = Record()
        self._sessions: dict[int, Session] = {}
        self._treated: dict[int, Treatment] = {}
        self._all: list[Session] = []

    @property
    def messages(self) -> Mapping[int, bytes]:
        """What is in the folder."""
        return self.server.messages

    @property
    def fingerprint(self) -> str:
        """Of every byte that was delivered, and when."""
        return self._record.digest()

    def connect(self, device: int, place: Place, clock: IReactorTime) -> IMessageStore:
        """A store for a process of a device."""
        random = Random(f"road {self._seed} {device} {len(self._all)}")  # noqa: S311 -- repeatable on purpose
        shatters = "shatters" in self._quirks
        road = Road(self._clock, random, self._record, f"device {device}", latency=place.latency, shatters=shatters)
        session = self._sessions[device] = Session(self.server, place, self._quirks, road, clock)
        self._all.append(session)
        if before := self._treated.get(device):  # no process is shown more than the one before, because it is new
            session.treatment.hidden, session.treatment.lag = before.hidden, before.lag
        self._treated[device] = session.treatment
        return session.store

    def hang_up(self, device: int, *, before: bool) -> None:
        """A device died; ``before``: nothing that was on its way is stored any more."""
        session = self._sessions.pop(device, None)
        if session is not None:
            session.road.die(before=before)

    def end(self) -> None:
        """All is over: end every connection, and let every store go."""
        for session in self._all:
            session.road.bury()
            detach(session.store.close(), self._log, "closing the store of a dead device")

    @property
    def dropped(self) -> int:
        """How many messages the server said it had stored, and did not, because it knew their Message-ID."""
        return self.server.dropped

    def is_hiding(self, device: int) -> bool:
        """Whether a device is shown less than there is."""
        return device in self._sessions and self._sessions[device].treatment.incomplete

    def add(self, message: bytes) -> int:
        """Store a message of somebody else."""
        return self.server.add(message)

    def expunge(self, uid: int) -> None:
        """Somebody else removes a message."""
        self.server.expunge([uid])

    def heal(self) -> None:
        """From now on the server behaves."""
        self.server.closed_until = 0.0
        self.server.deliver_late()
        for session in self._all:  # of the dead, too: what they had on its way arrives now or never
            session.behave()

    def strike(self, step: Step) -> bool:
        """Let a fault happen; tells whether there was anything to strike."""
        if step.verb in self._SERVER:
            self._SERVER[step.verb](self, step.number)
            return True
        session = self._sessions.get(step.who)
        if session is None:
            return False
        if step.verb in FATES:
            session.treatment.fates.extend([FATES[step.verb]] * (1 + step.number % 2))
            return True
        return self._STRIKES[step.verb](self, session, step.number)

    # The server

    def _renumber(self, number: int) -> None:
        order = list(self.messages)
        if number % 3 == 0:
            Random(number).shuffle(order)  # noqa: S311 -- repeatable on purpose
        for treatment in self._treated.values():
            treatment.hidden = frozenset()
        self.server.renumber(order)

    def _deliver(self, _number: int) -> None:
        self.server.deliver_late()

    def _days(self, _number: int) -> None:
        self.server.pass_days(DAYS)

    def _restart(self, number: int) -> None:
        self.server.closed_until = self._clock.seconds() + number % 9
        for session in self._sessions.values():
            if number % 2:
                session.say_goodbye()
            else:
                session.road.cut()

    # A network

    def _cut_off(self, session: Session, number: int) -> bool:
        session.cut_off(0.5 + number % 40, greets=number % 4 == 0)
        return True

    def _cut(self, session: Session, number: int) -> bool:
        return session.road.after(_bytes(number), session.road.cut, upstream=number % 2 == 0)

    def _mute(self, session: Session, number: int) -> bool:
        """Now, or in the middle of something; both ends wait, and know nothing."""
        seconds = 1.0 + number % 200
        if number % 3:
            return session.road.after(
                _bytes(number), lambda: session.road.fall_silent(seconds), upstream=number % 2 == 0
            )
        session.road.fall_silent(seconds)
        return True

    def _slow(self, session: Session, number: int) -> bool:
        session.road.slow_down(1.0 + number % 30)
        return True

    # A session

    def _fail(self, session: Session, number: int) -> bool:
        answer = ANSWERS[number % len(ANSWERS)]
        name = COMMANDS[number // len(ANSWERS) % len(COMMANDS)]
        session.treatment.orders.append(Order(name, answer, 1 + number % 3))
        return True

    def _bye(self, session: Session, _number: int) -> bool:
        session.say_goodbye()
        return True

    def _miscount(self, session: Session, number: int) -> bool:
        """A number of messages that is wrong."""
        connections = session.connections()
        for connection in connections:
            connection.sendLine(b"* %d EXISTS" % max(len(self.messages) + number % 7 - 3, 0))  # type: ignore[no-untyped-call]
        return bool(connections)

    def _misplace(self, session: Session, number: int) -> bool:
        session.treatment.misplaced = 1 + number % 3
        return True

    def _lag(self, session: Session, number: int) -> bool:
        session.treatment.lag = 1.0 + number % 50
        return self._later(session, number // 50)

    def _hide(self, session: Session, number: int) -> bool:
        session.treatment.hidden = self._some(number)
        return self._later(session, number)

    def _some(self, number: int) -> frozenset[int]:
        """Some, or the newest, as on a copy of the mailbox that is behind."""
        if number % 2:
            return frozenset(list(self.messages)[-1 - number % 4 :])
        random = Random(number)  # noqa: S311 -- repeatable on purpose
        return frozenset(uid for uid in self.messages if random.random() < 0.3)

    def _later(self, session: Session, number: int) -> bool:
        device = next(device for device, one in self._sessions.items() if one is session)
        self._clock.callLater(1.0 + number % 50, self._show_all, device)
        return True

    def _show_all(self, device: int) -> None:
        self._treated[device].hidden = frozenset()
        self._treated[device].lag = 0.0

    _SERVER: Mapping[str, Callable[[WireWorld, int], None]] = {
        "renumber": _renumber,
        "deliver": _deliver,
        "days": _days,
        "restart": _restart,
    }
    _STRIKES: Mapping[str, Callable[[WireWorld, Session, int], bool]] = {
        "offline": _cut_off,
        "cut": _cut,
        "mute": _mute,
        "slow": _slow,
        "fail": _fail,
        "bye": _bye,
        "miscount": _miscount,
        "misplace": _misplace,
        "lag": _lag,
        "hide": _hide,
    }


def _bytes(number: int) -> int:
    """Few or many: in a line, in a literal small or large, or between."""
    return (number // 2) ** 2 % (5000 if number % 5 else 150_000)
