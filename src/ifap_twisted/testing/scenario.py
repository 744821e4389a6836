"""What happens in one simulated run, as data: drawn from a seed, written as JSON, and taken apart by the shrinker.

It decides nothing while it runs: every choice is in a step, so that a run can be repeated without some of its steps.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from random import Random
from typing import Final

PATHS: Final = ("a", "b", "d", "d/a", "d/b", "d/e/a")
READING: Final = ("read", "read", "list", "stat")
WRITING: Final = (
    "put",
    "put",
    "put",
    "put",
    "edit",
    "append",
    "create",
    "queue",
    "queue",
    "hold",
    "keep",
    "restore",
    "undelete",
    "resolve",
    "both",
)
PLACING: Final = ("move", "copy", "remove", "remove", "remove-tree", "mkdir", "rmdir", "refresh", "snapshot", "collect")
LOCKING: Final = ("lock", "lock", "unlock")
LIVING: Final = ("close", "crash", "crash", "cancel", "backup")
NETWORK: Final = ("offline", "offline", "hide", "slow", "fail", "lose", "late", "answer-lost", "drop", "double", "jump")
WIRE: Final = ("cut", "cut", "cut", "mute", "bye", "lag", "miscount", "misplace")
SERVER: Final = ("renumber", "deliver", "mail", "days")
WIRE_SERVER: Final = ("restart",)
REFERENCE: Final = ("reference-save", "reference-twice", "reference-remove", "reference-cleanup")
REPLACING: Final = ("restored", "restored", "cloned")
"""A device goes on with another disk: an earlier state of its own, or a copy of another device's."""
QUIRKS: Final = ("drops-known", "no-key")
PROFILE: Final = ("literal-", "synchronising", "multiappend", "slow-search", "shatters")
"""Quirks of a server, or of a network, that is right."""
SPARSE: Final = "sparse"
"""A quirk of the devices: they keep the newest version of some days, weeks and months besides the last ones."""
CHUNKED: Final = "chunked"
"""A quirk of the devices: what has more than some bytes goes out in chunks, and those are small."""
STRETCHES: Final = 4
"""So many stretches are in the contents of several files."""
ACTIONS: Final = frozenset(READING + WRITING + PLACING + LOCKING + LIVING + ("open", *REPLACING))
FAULTS: Final = frozenset(NETWORK + SERVER + REFERENCE + WIRE + WIRE_SERVER)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens.

    :ivar at: seconds after the beginning.
    :ivar who: the number of a device; for faults of a network, whose; for the server, 0.
    :ivar number: what else there is to choose: which version, how long, which error.
    """

    at: float
    who: int
    verb: str
    path: str = ""
    other: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """A device and its way to the server.

    :ivar poor: its server session has neither UIDPLUS nor IDLE; ``late``: it shows appends after a thorough poll only.
    :ivar latency: the mean of its answers, in seconds; ``skew``: by how much its clock is off.
    """

    poor: bool = False
    late: bool = False
    latency: float = 0.0
    skew: float = 0.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """A run: the devices, the steps in their order, and the seed of all else (secrets, latencies).

    :ivar quirks: ``drops-known``: the server drops a message whose Message-ID it has seen; ``no-key``: nobody has a key
        yet, the first device makes one; :data:`SPARSE`; :data:`CHUNKED`; in the world of wires also words of
        :data:`PROFILE`.
    """

    seed: int
    world: str
    places: tuple[Place, ...]
    steps: tuple[Step, ...]
    quirks: tuple[str, ...] = ()

    def with_steps(self, steps: Sequence[Step]) -> Scenario:
        """The same run with other steps."""
        return replace(self, steps=tuple(steps))

    def to_json(self) -> str:
        """One line for each step, so that a person can read it."""
        head = {"seed": self.seed, "world": self.world, "quirks": self.quirks}
        head["places"] = [asdict(place) for place in self.places]
        lines = ",\n  ".join(json.dumps([s.at, s.who, s.verb, s.path, s.other, s.number]) for s in self.steps)
        return json.dumps(head)[:-1] + f', "steps": [\n  {lines}\n]}}\n'

    @classmethod
    def from_json(cls, text: str) -> Scenario:
        """Read what :meth:`to_json` wrote.

        :raises ValueError, KeyError, TypeError: it is no scenario.
        """
        value = json.loads(text)
        places = tuple(Place(**place) for place in value["places"])
        steps = tuple(Step(*step) for step in value["steps"])
        unknown = {step.verb for step in steps} - ACTIONS - FAULTS
        if unknown or any(not 0 <= step.who < len(places) for step in steps):
            raise ValueError(f"not a scenario: {sorted(unknown)}")
        return cls(int(value["seed"]), str(value["world"]), places, steps, tuple(value["quirks"]))


def draw(seed: int, worlds: Sequence[str] = ("memory",)) -> Scenario:
    """The scenario of a seed: the same on every machine and under every hash seed."""
    random = Random(f"scenario {seed}")  # noqa: S311 -- repeatable on purpose
    world = Random(f"world {seed}").choice(list(worlds))  # noqa: S311 -- its own, so that it changes nothing else
    count = random.choice((2, 2, 2, 3, 3, 4, 5, 8))
    calm = random.random() < 0.15  # without any fault, whatever goes wrong is ours
    places = tuple(_place(random, calm=calm) for _ in range(count))
    moments = sorted(_moments(random, random.randint(12, 40)))
    paths = random.sample(PATHS, random.randint(1, len(PATHS)))
    openings = [Step(_opening(random), who, "open") for who in range(count)]
    begun = [Step(round(random.uniform(0.2, 3), 3), random.randrange(count), "put", path) for path in paths[::2]]
    deaths = [] if calm else [step for _ in range(random.choice((0, 0, 1, 2))) for step in _death(random, count, paths)]
    if not calm and random.random() < 0.3:
        deaths += _collection(random, count, paths)
    if not calm and random.random() < 0.2:
        deaths += _old_copy(random, count, paths)
    if random.random() < 0.1:
        deaths += _directory(random, count)
    if random.random() < 0.25:
        deaths += _lease(random, count, paths, calm=calm)
    if not calm and random.random() < 0.2:
        deaths += _outage(random, count, paths)
    faults = (NETWORK + WIRE, SERVER + WIRE_SERVER) if world == "wire" else (NETWORK, SERVER)
    steps = begun + deaths + [_step(random, moment, count, paths, faults, calm=calm) for moment in moments]
    quirks = tuple(quirk for quirk in QUIRKS if not calm and random.random() < 0.25)
    quirks += tuple(quirk for quirk in PROFILE if world == "wire" and random.random() < 0.3)
    if random.random() < 0.2:
        quirks += (SPARSE,)
        steps += _history(random, count, paths)
    drawn = Random(f"chunks {seed}")  # noqa: S311 -- its own, so that it changes nothing else
    if drawn.random() < 0.4:
        quirks += (CHUNKED,)
        steps += _sharing(drawn, count, paths, calm=calm)
    return Scenario(seed, world, places, tuple(sorted([*openings, *steps], key=_at)), quirks)


def _at(step: Step) -> float:
    return step.at


def _opening(random: Random) -> float:
    """Most devices are there from the beginning, some at the very same moment; a few come in the middle."""
    return random.choice((0.0, 0.0, 0.01, round(random.uniform(0, 40), 3)))


def _place(random: Random, *, calm: bool) -> Place:
    if calm:
        return Place(latency=random.choice((0.0, 0.05)))
    return Place(
        poor=random.random() < 0.25,
        late=random.random() < 0.15,
        latency=random.choice((0.0, 0.0, 0.02, 0.1, 0.5, 3.0)),
        skew=random.choice((0.0, 0.0, 0.0, -600.0, 600.0)),
    )


def _moments(random: Random, count: int) -> list[float]:
    """Some alone, most in bursts: what overlaps is what breaks."""
    moments: list[float] = []
    while len(moments) < count:
        start = random.uniform(0.1, 60)
        width = random.choice((0.0, 0.01, 0.2, 3.0))
        moments.extend(round(start + random.uniform(0, width), 3) for _ in range(random.randint(1, 7)))
    return moments


def _death(random: Random, count: int, paths: Sequence[str]) -> list[Step]:
    """A device dies in the middle of writing, and writes again as soon as it lives again."""
    who, path, at = random.randrange(count), random.choice(paths), random.uniform(3, 60)
    verbs = random.choices(("put", "put", "edit", "create", "remove", "move", "mkdir", "keep"), k=random.randint(1, 4))
    end = at + random.choice((0.0005, 0.01, 0.06, 0.3, 2.0))
    again = end + BORN_AGAIN + random.choice((0.001, 0.05, 0.3))
    writes = [(at + random.uniform(0, 0.01), verb, random.choice((path, random.choice(paths)))) for verb in verbs]
    writes += [(again, random.choice(("put", "edit", "remove")), path) for _ in range(random.randint(0, 2))]
    steps = [
        Step(round(moment, 4), who, verb, where, random.choice(paths), random.randrange(1000))
        for moment, verb, where in writes
    ]
    return [*steps, Step(round(end, 4), who, "crash", path, path, random.choice((1, 16)))]


BORN_AGAIN = 1.1
"""Seconds after which a device lives again that died with the number 1 or 16."""


def _collection(random: Random, count: int, paths: Sequence[str]) -> list[Step]:
    """A file with old versions is collected, while it is written to; then an old version arrives once more."""
    path, at, first = random.choice(paths), random.uniform(5, 30), random.randrange(count)
    verbs = [
        (0.0, "late"),
        (0.0, "put"),
        *((5.0 + n, random.choice(("put", "put", "append", "edit"))) for n in range(5)),
    ]
    again = 13.0 + random.choice((0.5, 70.0))
    verbs += [(11.0, "collect"), (12.0, "days"), (again, "collect"), (again + 20.0, "deliver")]
    beside = random.choices(("put", "put", "restore", "undelete", "renumber", "crash", "read"), k=random.randint(0, 3))
    verbs += [(again + random.choice((-0.01, 0.0, 0.001, 0.1)), verb) for verb in beside]
    whose = [first, first, *random.choices(range(count), k=len(verbs))]
    return [
        Step(round(at + moment, 3), who, verb, path, path, 2 * random.randrange(9))
        for who, (moment, verb) in zip(whose, verbs, strict=False)
    ]


def _history(random: Random, count: int, paths: Sequence[str]) -> list[Step]:
    """A file is written on two or three days, several times on one, and collected: a hole comes into its history."""
    path, at, who = random.choice(paths), random.uniform(5, 30), random.randrange(count)
    last: list[str] = random.choice(([], ["put"]))
    verbs = ["put", "days", *["put"] * random.randint(3, 5), "collect", "days", *last, "collect"]
    return [
        Step(round(at + 4.0 * number, 3), who, verb, path, path, 2 * random.randrange(9))
        for number, verb in enumerate(verbs)
    ]


def _sharing(random: Random, count: int, paths: Sequence[str], *, calm: bool) -> list[Step]:
    """Files with the same stretches come and go while others collect; sometimes a device is away with one half sent."""
    at, shared = random.uniform(5, 30), 3 * random.randrange(STRETCHES)
    verbs = [(0.0, "put", shared), (2.0, random.choice(("put", "remove")), 1), (4.0, "put", 1), (6.0, "collect", 0)]
    if not calm:
        verbs += [(6.5 + random.uniform(0, 0.5), "put", shared), (7.0 + random.choice((0.01, 0.05, 0.3)), "crash", 13)]
    for day in range(random.choice((1, 2, 2))):
        start = 8.0 + 9.0 * day
        verbs += [(start, "days", 0), (start + 1.0, "collect", 0)]
        around = ("put", "put", "copy", "move", "restore", "undelete", "remove", "collect")
        verbs += [(start + 1.0 + random.uniform(-0.2, 0.5), random.choice(around), shared) for _ in range(4)]
        verbs += [(start + 4.0, "collect", 0)]
    return [
        Step(round(at + moment, 4), 0 if verb == "days" else random.randrange(count), verb, path, other, number)
        for moment, verb, number in verbs
        for path, other in [(random.choice(paths), random.choice(paths))]
    ]


def _old_copy(random: Random, count: int, paths: Sequence[str]) -> list[Step]:
    """A device goes on from a backup, or from the disk of another one, when it has written more than that knows of."""
    path, at, who = random.choice(paths), random.uniform(5, 40), random.randrange(count)
    verb, other = random.choice((("restored", 0), ("restored", 0), ("cloned", random.randrange(count))))
    verbs = [(0.0, "put", 0), (3.0, "backup", 0), (4.0, "crash", 1), (6.0, "put", 0), (9.0, verb, other)]
    verbs += [(11.0 + random.uniform(0, 9), random.choice(("put", "edit", "remove")), 0) for _ in range(3)]
    steps = [Step(round(at + moment, 3), who, verb, path, path, number) for moment, verb, number in verbs]
    return [*steps, Step(steps[-1].at, other, "put", path)]


def _directory(random: Random, count: int) -> list[Step]:
    """An empty directory is made, and removed by anybody."""
    at = random.uniform(3, 60)
    verbs = ((0.0, "mkdir"), (random.choice((0.1, 5.0)), "rmdir"))
    return [Step(round(at + moment, 3), random.randrange(count), verb, "e") for moment, verb in verbs]


def _lease(random: Random, count: int, paths: Sequence[str], *, calm: bool) -> list[Step]:
    """A path is locked for a while; others write to it, and its holder once more when that is over."""
    path, at, who = random.choice(paths), random.uniform(3, 40), random.randrange(count)
    number = random.randrange(3)
    verbs = [(0.0, who, "put", 0), (1.0, who, "lock", number)]
    verbs += [(1.0 + random.uniform(0, 9), random.randrange(count), _beside_a_lock(random), number) for _ in range(4)]
    end = 1.0 + LEASES[number] + random.choice((1.5, 8.0))
    sleeps = "put" if calm else random.choice(("slow", "offline", "crash", "put"))
    verbs += [(random.choice((8.0, end - 2.0)), who, sleeps, 38)]
    verbs += [(end, random.randrange(count), random.choice(("put", "lock", "hold")), number)]
    verbs += [(end - 1.0 + random.choice((0.0, 1.2, 20.0)), who, random.choice(("put", "edit")), 0)]
    return [Step(round(at + moment, 3), whose, verb, path, path, number) for moment, whose, verb, number in verbs]


LEASES: Final = (5, 12, 40)
"""Seconds that the locks of a run last."""


def _beside_a_lock(random: Random) -> str:
    return random.choice(("put", "edit", "append", "remove", "lock", "hold", "unlock", "queue"))


def _outage(random: Random, count: int, paths: Sequence[str]) -> list[Step]:
    """Writes are accepted while the server is away, and others write meanwhile; sometimes the device dies with them."""
    path, at, who = random.choice(paths), random.uniform(3, 40), random.randrange(count)
    away = 12 + random.randrange(25)
    verbs = [(0.0, who, "queue", 0), (2.0, who, "offline", away)]
    verbs += [(2.5 + random.uniform(0, away), who, random.choice(("queue", "queue", "queue", "put")), 0)]
    verbs += [(3.0 + random.uniform(0, 3), who, "queue", number) for number in range(random.randint(1, 4))]
    verbs += [(random.uniform(2, away), random.randrange(count), random.choice(("put", "edit", "remove")), 0)]
    verbs += [(6.5, who, "crash", random.choice((1, 3)))] * random.randrange(2)
    verbs += [(7.0 + random.uniform(0, 8), who, "queue", 0)] * 2
    return [
        Step(round(at + moment, 3), whose, verb, random.choice((path, path, random.choice(paths))), path, number)
        for moment, whose, verb, number in verbs
    ]


def _step(
    random: Random, at: float, count: int, paths: Sequence[str], faults: Sequence[Sequence[str]], *, calm: bool
) -> Step:
    kinds = (READING, WRITING, PLACING, LOCKING, LIVING, *faults, REFERENCE, ("open",), REPLACING)
    weights = (20, 45, 25, 5, 0, 0, 0, 0, 2, 0) if calm else (15, 40, 18, 3, 5, 12, 3, 4, 4, 1)
    verb = random.choice(random.choices(kinds, weights)[0])
    who = 0 if verb in SERVER + WIRE_SERVER + REFERENCE else random.randrange(count)
    return Step(at, who, verb, random.choice(paths), random.choice(paths), random.randrange(1000))
