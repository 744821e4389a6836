"""Whole messages: FORMAT 1.1, 1.4, 1.5, 2.1, 4.2, 8.6."""

from __future__ import annotations

import base64
import dataclasses
import email
import email.policy
import hashlib
import itertools
import json
import re
import tracemalloc
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits, sealing
from ifap_twisted.core.dialects import DIALECTS, IFAP, MAILFILE, Dialect
from ifap_twisted.core.envelope import (
    exceeds_reference,
    is_foreign,
    is_sealed,
    read_header,
    read_message,
    same_bytes,
    seal,
    sealed_id,
    sealed_id_of,
)
from ifap_twisted.core.keys import Key
from ifap_twisted.core.metadata import text_length
from ifap_twisted.core.values import Draft, Sealed, Version
from ifap_twisted.errors import (
    DataError,
    Extended,
    ForeignFolder,
    ForeignKey,
    InvalidPath,
    Malformed,
    NewerVersionNeeded,
    OtherDialect,
    Oversized,
    Plaintext,
    Spliced,
    Tampered,
    Truncated,
    Unbound,
)
from ifap_twisted.testing import reference_writer
from tests.core.strategies import contents, dialects, drafts, fixed_random, keys
from tests.core.vectors import vector
from tests.reference_reader import ReferenceReader

KEY = Key.from_text("abc")
OTHER = Key.from_text("other")
NOW = 1573400200.75
HOME = "hhhhhhhh"
DRAFT = Draft(path="a/b.txt", vid="v" * 22, writer="wwwwww", clock={"wwwwww": 7}, home=HOME, modified=1573400100)


def sealed(
    content: bytes = b"hello", *, dialect: Dialect = IFAP, key: Key | None = KEY, draft: Draft = DRAFT
) -> Sealed:
    return seal(draft, content, dialect=dialect, key=key, now=NOW, random=fixed_random)


def head(message: bytes) -> bytes:
    return message.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


def body(message: bytes) -> bytes:
    return message.partition(b"\r\n\r\n")[2]


def header(fields: bytes, *, dialect: Dialect = IFAP, key: Key | None = KEY, home: str | None = HOME) -> Version:
    return read_header(fields, dialect=dialect, keys=() if key is None else (key,), home=home)


def read(
    message: bytes, *, dialect: Dialect = IFAP, key: Key | None = KEY, home: str | None = HOME, **options: bool
) -> tuple[Version, bytes]:
    return read_message(message, dialect=dialect, keys=() if key is None else (key,), home=home, **options)


def with_text(text: bytes, content: bytes = b"hello") -> bytes:
    """A sealed message with any text for metadata, padded with blanks before its last brace when it is too short."""
    missing = (11 - len(text)) % 148
    text = text[:-1] + b" " * missing + text[-1:]
    token = sealing.seal(KEY, text, now=int(NOW), iv=bytes(16))
    return b"X-IFAP: " + token + b"\r\nContent-Type: application/x-ifap\r\n\r\n" + body(sealed(content).message)


def changed(**changes: Any) -> bytes:
    """A sealed message of ours with some values changed."""
    text = sealing.open_token(KEY, token_of(sealed().message))
    values = json.loads(text) | changes
    del values["_"]
    return with_text(json.dumps(values, separators=(",", ":"), sort_keys=True).encode())


def token_of(message: bytes) -> bytes:
    value = re.search(rb"(?s)X-IFAP:(.*?)\r\n\S", message)
    return b"".join(value[1].split()) if value else b""


class LayoutTests(SynchronousTestCase):
    """The message as it is sent."""

    def test_sealed(self) -> None:
        """The fields come in their order, the metadata first, and the message ends with CRLF."""
        message = sealed().message
        token = token_of(message)
        names = re.findall(rb"(?m)^([A-Za-z-]+):", head(message))
        self.assertEqual(b" ".join(names), b"X-IFAP To From Subject Date Message-ID MIME-Version "
                         b"Content-Type Content-Transfer-Encoding Content-Disposition")  # fmt: skip
        self.assertTrue(message.startswith(b"X-IFAP:\r\n " + token[:77] + b"\r\n " + token[77:154] + b"\r\n "))
        rest = (
            "To: .. <to@ifap.example>\r\n"
            "From: .. <from@ifap.example>\r\n"
            "Subject: [IFAP] File Storage\r\n"
            "Date: Sun, 10 Nov 2019 15:36:40 +0000\r\n"
            f"Message-ID: <{sealed_id(token)}@ifap.invalid>\r\n"
            "MIME-Version: 1.0\r\n"
            "Content-Type: application/x-ifap\r\n"
            "Content-Transfer-Encoding: 7bit\r\n"
            'Content-Disposition: attachment; filename="ifap.enc"\r\n'
            "\r\n"
        )
        self.assertTrue(head(message).endswith(rest.encode()))
        self.assertTrue(message.endswith(b"\r\n"))

    def test_mailfile(self) -> None:
        """The other dialect has its own field, names and its extra header."""
        message = sealed(dialect=MAILFILE).message
        self.assertTrue(message.startswith(b"X-Mailfile:\r\n !"))
        self.assertIn(
            b"\r\nSubject: [Mailfile] File Storage\r\nX-Keep-On-Server: manual-delete, not-email\r\nDate: ", message
        )
        self.assertIn(b'filename="mailfile.enc"\r\n\r\n!', message)

    def test_plain(self) -> None:
        """Without a key the texts are base64, and still no field names the file."""
        message = sealed(key=None).message
        self.assertIn(b"Content-Transfer-Encoding: base64\r\n", message)
        self.assertEqual(body(message), base64.b64encode(b"hello") + b"\r\n")
        self.assertNotIn(b"b.txt", message)
        self.assertTrue(base64.b64decode(token_of(message)).startswith(b'{"bytes":5,'))

    @given(drafts(), contents, dialects, st.none() | keys)
    def test_mail(self, draft: Draft, content: bytes, dialect: Dialect, key: Key | None) -> None:
        """Every message is 7-bit mail with lines of at most 80 characters, which the email package reads alike."""
        message = sealed(content, draft=draft, dialect=dialect, key=key).message
        lines = message.split(b"\r\n")
        self.assertLessEqual(max(map(len, lines)), 80)
        self.assertTrue(message.isascii() and b"\n" not in b"".join(lines) and b"\r" not in b"".join(lines))
        parsed = email.message_from_bytes(message, policy=email.policy.SMTP)
        self.assertEqual((parsed.defects, parsed.get_content_type()), ([], dialect.media_type))
        self.assertEqual(parsed["Subject"], dialect.subject)

    def test_two_vectors(self) -> None:
        """Metadata and content are sealed with vectors of their own."""
        numbers = itertools.count()
        message = seal(
            DRAFT, b"", dialect=IFAP, key=KEY, now=NOW, random=lambda count: bytes([next(numbers)]) * count
        ).message
        vectors = [base64.urlsafe_b64decode(text[1:65])[9:25] for text in (token_of(message), body(message))]
        self.assertEqual(vectors, [bytes(16), b"\x01" * 16])

    def test_refused(self) -> None:
        """A path that is not canonical is refused."""
        self.assertRaises(InvalidPath, sealed, draft=dataclasses.replace(DRAFT, path="/a"))

    def test_memory(self) -> None:
        """Sealing and reading a large file takes little more memory than message and content."""
        content = bytes(4 * limits.MIB)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        message = sealed(content).message
        self.assertLess(tracemalloc.get_traced_memory()[1], 1.25 * len(message) + limits.MIB)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        self.assertEqual(len(read(message)[1]), len(content))
        self.assertLess(tracemalloc.get_traced_memory()[1] - before, 1.25 * len(content) + limits.MIB)


class RoundTripTests(SynchronousTestCase):
    """Reading what was sealed."""

    @given(drafts(), contents, dialects, st.none() | keys)
    def test_there_and_back(self, draft: Draft, content: bytes, dialect: Dialect, key: Key | None) -> None:
        """A message gives its content and the version that sealing told, also by its header alone."""
        made = sealed(content, draft=draft, dialect=dialect, key=key)
        self.assertEqual(read(made.message, dialect=dialect, key=key, home=draft.home), (made.version, content))
        self.assertEqual(header(head(made.message), dialect=dialect, key=key, home=None), made.version)
        self.assertEqual(made.version.sealed_id, made.sealed_id)
        self.assertEqual(made.version.sha256, base64.urlsafe_b64encode(hashlib.sha256(content).digest())[:43].decode())
        self.assertEqual(made.version.written, int(NOW) if key else made.version.modified)

    @given(contents, dialects, st.none() | keys)
    def test_through_servers(self, content: bytes, dialect: Dialect, key: Key | None) -> None:
        """What servers do to line ends, to the end and to the folding changes nothing."""
        made = sealed(content, dialect=dialect, key=key)
        field = dialect.header.encode() + b":"
        for message in (
            made.message + b"\r\n",
            made.message.replace(field, field + b" ", 1),
            made.message.replace(b"\r\n", b"\n"),
            made.message.replace(b"\r\n ", b"\r\n\t"),
            made.message.replace(b"\r\n ", b" "),
            made.message.replace(field, field.upper()).replace(b"application/x-", b"Application/X-"),
            b"Received: from a\r\n by b\r\n" * 100 + made.message,
        ):
            self.assertEqual(read(message, dialect=dialect, key=key), (made.version, content))

    @given(drafts(), st.binary(max_size=100), dialects, st.none() | keys)
    def test_the_reference_reads_it(self, draft: Draft, content: bytes, dialect: Dialect, key: Key | None) -> None:
        """What fits the reference's window is listed and opened by it, under the same name (P11)."""
        if exceeds_reference(draft, dialect, length=len(content)):
            return
        made = sealed(content, draft=draft, dialect=dialect, key=key)
        name = "ifaplib" if dialect is IFAP else "mailfile"
        reader = ReferenceReader({1: made.message}, name, None if key is None else key.text)
        reader.synchronize()
        if draft.path != dialect.snapshot_path:
            self.assertEqual(reader.contents(), {draft.path: content})

    def test_widest_for_the_reference(self) -> None:
        """A message whose metadata is as long as allowed is still seen by both programs, sealed or not."""
        for dialect, key in itertools.product(DIALECTS.values(), (KEY, None)):
            draft = dataclasses.replace(DRAFT, path="x")
            path = "x" * 250 + "/" + "y" * (591 - text_length(draft, length=5) - 250)
            draft = dataclasses.replace(DRAFT, path=path)
            self.assertEqual(text_length(draft, length=5), 591)
            made = sealed(dialect=dialect, key=key, draft=draft)
            name = "ifaplib" if dialect is IFAP else "mailfile"
            reader = ReferenceReader({1: made.message}, name, None if key is None else key.text)
            reader.synchronize()
            self.assertEqual(reader.contents(), {path: b"hello"})


class IdentityTests(SynchronousTestCase):
    """The sealed id, and recognising a message."""

    def test_sealed_id(self) -> None:
        """It is 22 characters of the hash of the metadata token without white space (FORMAT 2.1)."""
        token = token_of(sealed().message)
        expected = base64.urlsafe_b64encode(hashlib.sha256(token).digest())[:22].decode()
        self.assertEqual(sealed_id(token[:9] + b"\r\n \t" + token[9:]), expected)
        self.assertEqual(sealed_id_of(head(sealed().message), IFAP), expected)
        self.assertEqual(sealed().sealed_id, expected)

    def test_no_field(self) -> None:
        """Without exactly one field of the dialect there is no id."""
        for fields in (b"", b"To: a\r\n\r\n", head(sealed().message) * 2, head(sealed(dialect=MAILFILE).message)):
            twice = fields.replace(b"\r\n\r\n", b"\r\n")
            self.assertRaises(Malformed, sealed_id_of, twice, IFAP)

    def test_reference_identity(self) -> None:
        """A message of the reference is known by its sealed id, however it is folded."""
        found = vector("ifaplib/enc-basic")
        version = header(found.head, key=found.keys[0])
        self.assertEqual(version.vid, sealed_id_of(found.head, IFAP))
        self.assertEqual(header(found.head.replace(b"\r\n ", b" "), key=found.keys[0]), version)

    def test_same_bytes(self) -> None:
        """A found message is the sent one when its token and size are, but for what servers add (FORMAT 4.2, 4.5)."""
        made = sealed()
        fields, size = head(made.message), len(made.message)
        for found in (fields, fields.replace(b"\r\n ", b" "), fields.replace(b":", b": ", 1), b"To: a\r\n" + fields):
            self.assertTrue(same_bytes(made, found, size, IFAP))
        for slack, expected in ((-1, False), (0, True), (4, True), (5, False)):
            self.assertEqual(same_bytes(made, fields, size + slack, IFAP), expected)
        for found in (
            b"",
            head(sealed(b"other").message),
            fields[:-2] + fields,
            head(sealed(dialect=MAILFILE).message),
        ):
            self.assertFalse(same_bytes(made, found, size, IFAP))

    def test_foreign(self) -> None:
        """Ordinary mail and the other dialect's messages are foreign."""
        fields = head(sealed().message)
        self.assertFalse(is_foreign(fields, IFAP))
        self.assertTrue(is_foreign(fields, MAILFILE))
        self.assertTrue(is_foreign(b"To: a\r\n\r\nX-IFAP: in the body", IFAP))

    def test_is_sealed(self) -> None:
        """Whether a metadata field is sealed is seen without a key, in both dialects."""
        for dialect in DIALECTS.values():
            self.assertTrue(is_sealed(head(sealed(dialect=dialect).message)))
            self.assertFalse(is_sealed(head(sealed(dialect=dialect, key=None).message)))
        self.assertFalse(is_sealed(b"To: !\r\n\r\n"))


class HeaderTests(SynchronousTestCase):
    """What a header is refused for."""

    def test_count(self) -> None:
        """No metadata field, or more than one, is malformed; a field of the other dialect does not count."""
        fields = head(sealed().message)[:-2]
        other = head(sealed(dialect=MAILFILE).message)[:-2]
        for wrong in (b"", b"To: a\r\n", fields + fields, fields + b"x-ifap: a\r\n"):
            error = self.assertRaises(Malformed, header, wrong)
            self.assertEqual(error.section, "header")
        self.assertEqual(header(other + fields), sealed().version)

    def test_other_dialect(self) -> None:
        """A message with nothing but the other dialect's field is told apart from one that is damaged."""
        for dialect, other in ((IFAP, MAILFILE), (MAILFILE, IFAP)):
            fields = head(sealed(dialect=other).message)
            error = self.assertRaises(OtherDialect, read_header, fields, dialect=dialect, keys=[KEY], home=None)
            self.assertEqual((error.code, error.section), ("other-dialect", "header"))

    def test_body_is_no_header(self) -> None:
        """A field below the empty line is none."""
        self.assertRaises(Malformed, header, b"To: a\r\n\r\n" + head(sealed().message))

    def test_keys(self) -> None:
        """Any of the keys opens; without the right one it is a foreign key, also when encryption is off."""
        fields = head(sealed().message)
        found = read_header(fields, dialect=IFAP, keys=[OTHER, KEY], home=None)
        self.assertEqual(found, sealed().version)
        for key in (OTHER, None):
            self.assertRaises(ForeignKey, header, fields, key=key)

    def test_plaintext(self) -> None:
        """With a key plaintext is refused, right or not (FORMAT 8.6)."""
        self.assertRaises(Plaintext, header, head(sealed(key=None).message))
        self.assertRaises(Plaintext, header, b"X-IFAP: ???\r\n")
        self.assertRaises(Malformed, header, b"X-IFAP: ???\r\n", key=None)
        self.assertRaises(Malformed, header, b"X-IFAP:\r\n\r\n", key=None)

    def test_too_long(self) -> None:
        """A field that is longer than any of ours or the reference's is not looked at."""
        long, longer = (
            head(reference_writer.encode("a", b"", {"x": "y" * length}, key="abc"))
            for length in (10_000, limits.HEADER_FIELDS)
        )
        self.assertEqual(header(long).extra, {"x": "y" * 10_000})
        self.assertEqual(self.assertRaises(Oversized, header, longer).section, "header")

    def test_payload_as_metadata(self) -> None:
        """An authentic text that ends with a blank is a payload, one of another length is no metadata (FORMAT 1.4)."""
        for content in (b"", b"{}", b'{"bytes":5,"fn":"a"}', b"x" * 3000):
            self.assertRaises(Spliced, header, b"X-IFAP: " + b"".join(body(sealed(content).message).split()) + b"\r\n")
        text = sealing.open_token(KEY, token_of(sealed().message))
        for wrong, error in ((text.ljust(2048), Spliced), (text[:-1] + b" }", Malformed)):
            token = sealing.seal(KEY, wrong, now=0, iv=bytes(16))
            self.assertRaises(error, header, b"X-IFAP: " + token + b"\r\n")

    def test_home(self) -> None:
        """A message of ours from another folder is refused, one of the reference has no folder (FORMAT 1)."""
        fields = head(sealed().message)
        self.assertEqual(header(fields, home=None).home, HOME)
        self.assertRaises(ForeignFolder, header, fields, home="anything")
        self.assertRaises(ForeignFolder, header, head(sealed(key=None).message), key=None, home="anything")
        self.assertRaises(Malformed, header, head(changed(v=2, home=None)))
        found = vector("ifaplib/enc-basic")
        self.assertIsNone(header(found.head, key=found.keys[0]).home)

    @given(st.binary() | st.binary().map(lambda value: b"X-IFAP: " + value), st.sampled_from([None, KEY]))
    def test_any_bytes(self, fields: bytes, key: Key | None) -> None:
        """Any bytes are refused by one of our errors."""
        self.assertRaises(DataError, header, fields, key=key)

    @given(st.data())
    def test_any_change(self, data: st.DataObject) -> None:
        """A header with any byte changed tells the same, or is refused."""
        fields = head(sealed().message)
        at = data.draw(st.integers(0, len(fields) - 1))
        new = data.draw(st.binary(max_size=2))
        try:
            self.assertEqual(header(fields[:at] + new + fields[at + 1 :]), sealed().version)
        except DataError:
            self.assertNotEqual(new, fields[at : at + 1])


class ContentTests(SynchronousTestCase):
    """What a content is refused for."""

    def swapped(self, message: bytes, content: bytes) -> bytes:
        return head(message) + content

    def test_of_another_message(self) -> None:
        """An authentic content of another message is refused: ours by its hash, of any length."""
        for other in (b"jello", b"", b"hello" * 1000):
            self.assertRaises(Spliced, read, self.swapped(sealed().message, body(sealed(other).message)))
        plain = sealed(key=None).message
        for other in (b"jello", b"", b"hello" * 1000):
            self.assertRaises(Spliced, read, self.swapped(plain, body(sealed(other, key=None).message)), key=None)

    def test_plain_length(self) -> None:
        """A plaintext content of the reference is exactly as long as its header says."""
        message = reference_writer.encode("a", b"hello")
        self.assertEqual(read(message, key=None)[1], b"hello")
        for other in (b"hell", b"hello ", b""):
            wrong = self.swapped(message, base64.b64encode(other))
            self.assertRaises(Spliced, read, wrong, key=None)

    def test_padding(self) -> None:
        """The padding is exactly the payload's: blanks up to the next multiple of 2,048 (FORMAT 1.4)."""
        for padded in (
            b"hello",
            b"hello".ljust(2047),
            b"hello".ljust(2049),
            b"hello".ljust(4096),
            b"hello" + b"\0" * 2043,
            b"hello" + b" " * 2042 + b"x",
            b"hel".ljust(2048, b"x"),
            b"",
        ):
            token = sealing.seal(KEY, padded, now=0, iv=bytes(16))
            self.assertRaises(Spliced, read, self.swapped(sealed().message, token))

    def test_full_block_of_padding(self) -> None:
        """A content of whole blocks has a whole block of blanks after it, and none is not enough."""
        made = sealed(b"x" * 2048)
        self.assertEqual(len(sealing.open_token(KEY, body(made.message))), 4096)
        bare = sealing.seal(KEY, b"x" * 2048, now=0, iv=bytes(16))
        self.assertRaises(Spliced, read, self.swapped(made.message, bare))

    def test_damaged(self) -> None:
        """A content that is missing, cut or changed is told as damaged, because the key is known to be right."""
        message = sealed().message
        whole = body(message)
        foreign = body(sealed(key=OTHER).message)
        cases = {
            Truncated: (b"", b"\r\n \r\n", whole[:-50], whole[:9] + whole[10:], b"!", b"!AAAA"),
            Extended: (
                whole + b"A",
                whole[:9] + b"A" + whole[9:],
                b"!" * 4000,
                body(sealed(bytes(2048)).message) + b"A",
            ),
            Tampered: (whole.swapcase(), whole[:9] + b"?" + whole[10:], foreign),
        }
        for error, bodies in cases.items():
            for content in bodies:
                found = self.assertRaises(error, read, self.swapped(message, content))
                self.assertEqual((type(found), found.path), (error, "a/b.txt"), content[:20])
        self.assertRaises(Tampered, read, self.swapped(sealed(key=None).message, b"aGVs?G8="), key=None)

    def test_plaintext(self) -> None:
        """With a key a plaintext content is refused; without one a sealed content is."""
        self.assertRaises(Plaintext, read, self.swapped(sealed().message, base64.b64encode(b"hello")))
        plain = self.swapped(sealed(key=None).message, body(sealed().message))
        self.assertRaises(ForeignKey, read, plain, key=None)

    def test_leading_white(self) -> None:
        """Blank lines before the content are skipped."""
        self.assertEqual(read(self.swapped(sealed().message, b"\r\n \t\r\n" + body(sealed().message)))[1], b"hello")

    def test_no_part(self) -> None:
        """A message without a part of the type is malformed."""
        error = self.assertRaises(Malformed, read, sealed().message.replace(b"application/x-ifap", b"text/plain"))
        self.assertEqual((error.section, error.path), ("body", "a/b.txt"))

    def test_reencoded(self) -> None:
        """A content that a gateway encoded once more is refused, never taken for a file."""
        message = sealed(b"x" * 5000).message
        for encoded in (base64.encodebytes(body(message)), body(message).replace(b"=", b"=3D")):
            self.assertRaises(DataError, read, self.swapped(message, encoded))

    def test_unbound(self) -> None:
        """A message of the reference is read, and refused when only bound ones are wanted (FORMAT 1.5)."""
        message = reference_writer.encode("a", b"hello", key="abc")
        version, content = read(message)
        self.assertEqual((version.bound, content), (False, b"hello"))
        self.assertRaises(Unbound, read, message, require_bound=True)
        self.assertTrue(read(sealed().message, require_bound=True)[0].bound)

    def test_newer(self) -> None:
        """A content that needs a newer release is not served; its header is read."""
        for changes in ({"needs": ["later"]}, {"v": 2}):
            message = changed(**changes)
            self.assertFalse(header(head(message)).understood)
            self.assertRaises(NewerVersionNeeded, read, message)

    def test_errors_name_the_file(self) -> None:
        """An error of the content carries the path, so that a person learns which file it is."""
        error = self.assertRaises(Spliced, read, self.swapped(sealed().message, body(sealed(b"other").message)))
        self.assertEqual(error.path, "a/b.txt")

    @given(st.data())
    def test_any_change(self, data: st.DataObject) -> None:
        """A message with any byte changed gives the same content, or is refused."""
        message = sealed().message
        at = data.draw(st.integers(0, len(message) - 1))
        new = data.draw(st.binary(max_size=2))
        try:
            self.assertEqual(read(message[:at] + new + message[at + 1 :]), (sealed().version, b"hello"))
        except DataError:
            self.assertNotEqual(new, message[at : at + 1])

    @given(st.data(), st.sampled_from([None, KEY]))
    def test_any_cut(self, data: st.DataObject, key: Key | None) -> None:
        """A message that was cut anywhere but in its last line end is refused."""
        message = sealed(key=key).message
        end = data.draw(st.integers(0, len(message) - 3))
        self.assertRaises(DataError, read, message[:end], key=key)

    @given(st.binary(max_size=400), st.sampled_from([None, KEY]))
    def test_any_body(self, content: bytes, key: Key | None) -> None:
        """Any body below a good header is refused by one of our errors."""
        message = self.swapped(sealed(key=key).message, content)
        self.assertRaises(DataError, read, message, key=key)
