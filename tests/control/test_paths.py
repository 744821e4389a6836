"""From the raw target to a path, and from a path to a URL."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.control.paths import encode_path, parse_query, split_path
from ifap_twisted.control.problems import RequestProblem
from ifap_twisted.errors import InvalidPath

NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: name not in {".", ".."}
)


class SplitTests(SynchronousTestCase):
    """The raw target."""

    def test_decoded_once(self):
        """Escapes are decoded exactly once, as UTF-8."""
        self.assertEqual(split_path(b"/v1/files/%C3%A4%2541/b"), ("v1", "files", "ä%41", "b"))

    def test_plus_is_plus(self):
        """A plus in a path is a plus."""
        self.assertEqual(split_path(b"/a+b"), ("a+b",))

    def test_final_slash(self):
        """A final slash leaves an empty last segment."""
        self.assertEqual(split_path(b"/a/"), ("a", ""))
        self.assertEqual(split_path(b"/"), ("",))

    def test_raw_utf8(self):
        """Unescaped UTF-8, as curl sends it, is taken."""
        self.assertEqual(split_path("/ä".encode()), ("ä",))

    def test_refused(self):
        """What two programs could read differently is refused, never repaired."""
        for raw in (
            b"", b"a", b"*", b"http://localhost/a", b"//a", b"/a//b", b"/a//", b"/.", b"/a/..", b"/a/../b", b"/%2e",
            b"/%2E%2e", b"/.%2e/x", b"/a%2Fb", b"/a%2fb", b"/a%00", b"/%", b"/%4", b"/%zz", b"/%e4", b"/%C3",
            b"/%ED%A0%80", b"/\xff", b"/a b", b"/a\tb", b"/a#b", b"/%C0%AF", b"/%C0%AE%C0%AE",
        ):  # fmt: skip
            with self.assertRaises(InvalidPath, msg=raw):
                split_path(raw)

    @given(st.binary())
    def test_any_bytes(self, raw):
        """Any bytes are segments or InvalidPath, and no segment can leave its place."""
        try:
            segments = split_path(raw)
        except InvalidPath:
            return
        self.assertEqual(len(segments), raw.count(b"/"))
        for segment in segments:
            self.assertNotIn(segment, {".", ".."})
            self.assertFalse({"/", "\0"} & set(segment))

    @given(st.lists(NAMES, min_size=1, max_size=4))
    def test_there_and_back(self, names):
        """Every path that can be put into a URL is read out of it again."""
        path = "/".join(names)
        encoded = encode_path(path).encode("ascii")
        self.assertEqual(split_path(b"/v1/files/" + encoded)[2:], tuple(names))

    def test_not_encoded(self):
        """A path that no URL can carry is refused."""
        for path in ("a//b", "..", "a/../b", ".", "a\0b", "\ud800"):
            with self.assertRaises(InvalidPath, msg=path):
                encode_path(path)

    def test_root(self):
        """The root is an empty path in a URL."""
        self.assertEqual((encode_path(""), encode_path("/")), ("", ""))


class QueryTests(SynchronousTestCase):
    """The raw query."""

    def test_read(self):
        """Parameters are decoded once."""
        self.assertEqual(parse_query(b"a=1&b=%C3%A4%2541"), {"a": "1", "b": "ä%41"})
        self.assertEqual(parse_query(b""), {})
        self.assertEqual(parse_query(b"a="), {"a": ""})

    def test_refused(self):
        """A parameter named twice, bad escapes, bad UTF-8, no value, or too many are refused."""
        many = b"&".join(b"p%d=1" % number for number in range(100))
        for raw in (b"a=1&a=2", b"a=%zz", b"a=%ff", b"a", b"a=1&&b=1", b"\xff=1", many):
            with self.assertRaises(RequestProblem, msg=raw):
                parse_query(raw)

    @given(st.binary(max_size=60))
    def test_any_bytes(self, raw):
        """Any bytes are parameters or a 400."""
        try:
            parse_query(raw)
        except RequestProblem as error:
            self.assertEqual(error.status, 400)
