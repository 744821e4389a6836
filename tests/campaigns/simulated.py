"""``python -m tests.campaigns.simulated``: simulated folders, of which the model of the reference reads what is left.

Each case is a seed of ``ifap_twisted.testing.simulate``, which judges it by itself: that command finds the shortest
script of one that is wrong. Here what is there in the end is read by ``tests/reference_reader.py``, too, which is no
part of the installed package (promise P11). Exit status: 1 when a promise was broken, or the reference reads otherwise.
"""

from __future__ import annotations

from collections import Counter

from ifap_twisted.testing.judgement import judge
from ifap_twisted.testing.scenario import draw
from ifap_twisted.testing.simulation import simulate
from ifap_twisted.testing.worlds import WORLDS
from tests.campaigns.reference import undisputed, unread_by_reference
from tests.campaigns.seeded import command


def case(number: int) -> tuple[Counter[str], list[str]]:
    """One seed."""
    trace = simulate(draw(number, tuple(WORLDS)))
    wrong = [str(violation) for violation in judge(trace)]
    if wrong:
        return Counter(), wrong
    counts = Counter([f"folders: {trace.scenario.world}"])
    counts["read by the reference"] = sum(1 for _file in undisputed(trace))
    counts["messages"] = len(trace.messages)
    return counts, unread_by_reference(trace)


main = command(case, "Simulate folders, judge them, and let the model of the reference read what is left.")


if __name__ == "__main__":
    main()
