"""What the model of the reference finds in simulated folders, and that it finds it."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.testing.scenario import draw
from ifap_twisted.testing.simulation import simulate
from tests.campaigns.reference import undisputed, unread_by_reference
from tests.campaigns.simulated import case
from tests.reference_reader import ReferenceReader


class SimulatedTests(SynchronousTestCase):
    """The campaign of simulated folders."""

    def test_sample(self) -> None:
        """The reference reads what is there, on shelves in memory and over the wire."""
        found = [case(number) for number in range(100, 112)]
        self.assertEqual([], [wrong for _counts, some in found for wrong in some])
        self.assertLess(5, sum(counts["read by the reference"] for counts, _wrong in found))

    def test_another_content(self) -> None:
        """Where it reads another content than we do, it is told: here that of another message behind the header."""
        trace = next(one for one in map(simulate, map(draw, range(20))) if any(undisputed(one)))
        path, _content = next(undisputed(trace))
        reader = ReferenceReader(trace.messages, "ifaplib", trace.key)
        reader.synchronize()
        uid = reader.tree[path].uid
        head = trace.messages[uid].partition(b"\r\n\r\n")[0]
        body = trace.messages[min(trace.messages)].partition(b"\r\n\r\n")[2]
        spliced = {**trace.messages, uid: head + b"\r\n\r\n" + body}
        (wrong,) = unread_by_reference(replace(trace, messages=spliced))
        self.assertIn(f"the reference reads {path} as", wrong)
