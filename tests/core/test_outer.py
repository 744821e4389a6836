"""What a header says beside what is sealed: hints that a message was changed."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.dialects import IFAP
from ifap_twisted.core.envelope import read_header, seal
from ifap_twisted.core.keys import Key
from ifap_twisted.core.outer import is_changed, is_redated
from ifap_twisted.core.values import Draft
from tests.core.strategies import fixed_random

KEY = Key.from_text("outer")
NOW = 1_700_000_000.75
DRAFT = Draft(path="a", vid="v" * 22, writer="wwwwww", clock={"wwwwww": 1}, home="AAAAAAAA", modified=1.0)
MESSAGE = seal(DRAFT, b"content", dialect=IFAP, key=KEY, now=NOW, random=fixed_random).message
VERSION = read_header(MESSAGE, dialect=IFAP, keys=(KEY,), home=None)


class ChangedTests(SynchronousTestCase):
    """Whether the token is the one that the Message-ID names."""

    def test_as_it_was_sent(self) -> None:
        """Nothing is said, of lines that end otherwise neither."""
        self.assertFalse(is_changed(MESSAGE, IFAP))
        self.assertFalse(is_changed(MESSAGE.replace(b"\r\n", b"\n"), IFAP))

    @given(st.data())
    def test_each_byte_of_the_token(self, data: st.DataObject) -> None:
        """Whichever was changed to another that counts."""
        start, end = MESSAGE.index(b"!gAAAA"), MESSAGE.index(b"To:")
        at = data.draw(st.integers(start, end - 1).filter(lambda place: MESSAGE[place] not in b" \r\n"))
        other = data.draw(st.sampled_from(b"ABCabc012-_").filter(lambda byte: byte != MESSAGE[at]))
        self.assertTrue(is_changed(MESSAGE[:at] + bytes([other]) + MESSAGE[at + 1 :], IFAP))

    def test_without_an_id_of_ours(self) -> None:
        """It cannot be told; an id in the body is none."""
        without = re.sub(rb"Message-ID: [^\r]*\r\n", b"", MESSAGE).replace(b"gAAAA", b"gAAAB", 1)
        self.assertFalse(is_changed(without, IFAP))
        self.assertFalse(is_changed(without + b"Message-ID: <" + b"A" * 22 + b"@ifap.invalid>\r\n", IFAP))

    @given(st.binary(max_size=200))
    def test_anything(self, rest: bytes) -> None:
        """Whatever a message is, it is answered."""
        is_changed(rest, IFAP)
        is_redated(b"Date: " + rest, VERSION)


class RedatedTests(SynchronousTestCase):
    """Whether the date in the header is that of the sealing."""

    def redated(self, date: bytes) -> bool:
        return is_redated(re.sub(rb"Date: [^\r]*", b"Date: " + date, MESSAGE), VERSION)

    def test_dates(self) -> None:
        """The same moment in another zone is the same."""
        self.assertFalse(is_redated(MESSAGE, VERSION))
        self.assertFalse(self.redated(b"Wed, 15 Nov 2023 00:13:20 +0200"))
        self.assertFalse(self.redated(b"Tue, 14 Nov 2023 22:13:20 +0000 (UTC)"))
        later, far = b"Tue, 14 Nov 2023 22:13:21 +0000", b"Tue, 14 Nov 99999 22:13:20 +0000"
        for date in (later, far, b"", b"yesterday", b"\xff"):
            self.assertTrue(self.redated(date), date)

    def test_who_writes_dates(self) -> None:
        """One without any, and one of a reference program, does not tell."""
        self.assertFalse(is_redated(re.sub(rb"Date: [^\r]*\r\n", b"", MESSAGE), VERSION))
        self.assertFalse(is_redated(MESSAGE.replace(b"2023", b"2024"), VERSION._replace(ours=False)))
