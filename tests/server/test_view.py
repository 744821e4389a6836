"""Tests of a session's view of a mailbox: a client that believes what it is told must be right."""

from __future__ import annotations

import re
from array import array

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.server.view import View


def view(*uids: int, recent: int = 1) -> View:
    return View(array("I", uids), recent)


class NumberTests(SynchronousTestCase):
    def test_by_uid(self) -> None:
        """UID sets mean those that are there; a star is the highest; order and overlaps do not matter."""
        for ranges, uids in (
            ([(1, 5)], [3, 5]),
            ([(9, 5)], [5, 9]),
            ([(None, None)], [9]),
            ([(20, None)], [9]),
            ([(9, 9), (1, 100), (3, 3)], [3, 5, 9]),
            ([(4, 4)], []),
        ):
            self.assertEqual([uid for _number, uid in view(3, 5, 9).resolve(ranges, by_uid=True)], uids)

    def test_by_number(self) -> None:
        """Numbers beyond the last mean nothing."""
        for ranges, numbers in (
            ([(2, None)], [2, 3]),
            ([(45, 2)], [2, 3]),
            ([(None, None)], [3]),
            ([(7, 9)], []),
            ([(1, 1), (3, 3)], [1, 3]),
        ):
            self.assertEqual([number for number, _uid in view(3, 5, 9).resolve(ranges, by_uid=False)], numbers)

    def test_empty(self) -> None:
        """In an empty mailbox no set means anything."""
        for by_uid in (True, False):
            self.assertEqual(view().resolve([(1, None), (None, None)], by_uid=by_uid), [])

    @given(
        st.sets(st.integers(1, 40)),
        st.lists(st.tuples(*[st.one_of(st.none(), st.integers(1, 45))] * 2), max_size=5),
        st.booleans(),
    )
    def test_as_defined(self, uids, ranges, by_uid) -> None:
        """A set means what RFC 9051 defines: every message whose number lies in one of its ranges."""
        numbered = list(enumerate(sorted(uids), 1))
        star = (max(uids, default=0)) if by_uid else len(uids)

        def meant(number: int) -> bool:
            ends = [
                sorted((star if first is None else first, star if last is None else last)) for first, last in ranges
            ]
            return any(low <= number <= high for low, high in ends)

        self.assertEqual(
            view(*sorted(uids)).resolve(ranges, by_uid=by_uid),
            [pair for pair in numbered if meant(pair[by_uid])],
        )


class UpdateTests(SynchronousTestCase):
    @given(
        st.lists(
            st.one_of(
                st.just(("arrive", 0, True)),
                st.tuples(st.just("vanish"), st.integers(0, 30), st.just(True)),
                st.tuples(st.just("change"), st.integers(0, 30), st.just(True)),
                st.tuples(st.just("tell"), st.just(0), st.booleans()),
            ),
            max_size=40,
        )
    )
    def test_client_that_believes(self, events) -> None:
        """Whatever happens in whatever order, who follows EXISTS, EXPUNGE and FETCH knows the mailbox."""
        there, flags = [1, 2, 3], {}
        subject = view(1, 2, 3)
        believed: list[int | None] = [1, 2, 3]
        highest = 3
        for what, which, expunge in [*events, ("tell", 0, True)]:
            if what == "arrive":
                highest += 1
                there.append(highest)
                subject.messages_arrived([highest])
            elif what == "vanish" and there:
                uid = there.pop(which % len(there))
                subject.messages_vanished([uid])
            elif what == "change" and there:
                uid = there[which % len(there)]
                flags[uid] = f"k{which}"
                subject.flags_changed({uid: (flags[uid],)})
            elif what == "tell":
                self._believe(subject, believed, subject.updates(expunge=expunge), flags)
        self.assertEqual(len(believed), len(there))
        self.assertEqual([uid for _number, uid in subject.all()], there)
        self.assertTrue(all(known in (None, uid) for known, uid in zip(believed, there, strict=True)))

    def _believe(self, subject, believed, lines, flags) -> None:
        for line in lines:
            number, word = line.split()[:2]
            if word == b"EXPUNGE":
                del believed[int(number) - 1]
            elif word == b"EXISTS":
                self.assertGreater(int(number), len(believed))
                believed += [None] * (int(number) - len(believed))
            elif word == b"FETCH":
                found = re.search(rb"UID (\d+) FLAGS \((\w+)", line)
                self.assertIn(believed[int(number) - 1], (None, int(found[1])))
                self.assertEqual(flags[int(found[1])].encode(), found[2])
        self.assertEqual(len(believed), len(subject))

    def test_expunge_is_withheld(self) -> None:
        """EXPUNGE comes only when it is allowed; until then the numbers stand still."""
        subject = view(1, 2, 3)
        subject.messages_vanished([2])
        self.assertEqual(subject.updates(expunge=False), [])
        self.assertTrue(subject.expunged)
        self.assertEqual(subject.number(3), 3)
        self.assertEqual(subject.updates(expunge=True), [b"2 EXPUNGE"])
        self.assertEqual(subject.number(3), 2)

    def test_recent(self) -> None:
        """New messages are recent in this session, older ones are not."""
        subject = view(1, 2, recent=3)
        self.assertEqual(subject.recent_count, 0)
        subject.messages_arrived([3])
        self.assertEqual(subject.updates(expunge=True), [b"3 EXISTS", b"1 RECENT"])
        self.assertTrue(subject.is_recent(3))
        self.assertFalse(subject.is_recent(2))

    def test_notify(self) -> None:
        """Whoever listens is called at every change."""
        calls = []
        subject = view(1)
        subject.notify = lambda: calls.append(1)
        subject.messages_arrived([2])
        subject.messages_vanished([1])
        subject.flags_changed({2: ()})
        subject.mailbox_deleted()
        self.assertEqual(len(calls), 4)
