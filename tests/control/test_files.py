"""/v1/files: content, header fields, preconditions, ranges, directories."""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.control.files import disposition
from ifap_twisted.core import limits
from ifap_twisted.core.values import ABSENT, Entry
from ifap_twisted.errors import Extended, OutcomeUnknown, Oversized, Tampered, Throttled, Truncated, Unavailable
from ifap_twisted.filesystem.streams import WholeStream
from tests.control.scripted import Held, Scripted, failing
from tests.control.wire import Node, parse, request


class FilesCase(SynchronousTestCase):
    """With a node of its own."""

    def setUp(self):
        """A node in memory."""
        self.node = Node()

    def put(self, path="a.txt", body=b"hello", headers=None):
        """Store a file; gives the answer."""
        return self.node.ask("PUT", f"/v1/files/{path}", headers, body)

    def get(self, path="a.txt", headers=None, method="GET"):
        """Read a file; gives the answer."""
        return self.node.ask(method, f"/v1/files/{path}", headers)

    def code(self, reply):
        """Status and code of a problem."""
        return reply.status, reply.json()["code"]

    def scripted(self, **methods):
        """From now on with some methods replaced."""
        self.node = Node(filesystem=Scripted(self.node.filesystem, **methods), clock=self.node.clock)


class PutTests(FilesCase):
    """PUT."""

    def test_created_and_replaced(self):
        """A new file is 201, a replaced one 200; both answer with the Entry and its version as ETag."""
        first, second = self.put(), self.put(body=b"hello again")
        self.assertEqual((first.status, second.status), (201, 200))
        self.assertEqual(second["ETag"], f'"{second.json()["version"]}"')
        self.assertEqual(second.json()["parents"], [first.json()["version"]])
        self.assertEqual((second.json()["path"], second.json()["size"]), ("/a.txt", 11))

    def test_created_again(self):
        """A file that was removed is created again."""
        self.put()
        self.node.ask("DELETE", "/v1/files/a.txt")
        self.assertEqual(self.put().status, 201)

    def test_header_fields(self):
        """Mode, media type and time are taken from the header, kept by the next version, and given back."""
        fields = {"X-IFAP-Mode": "600", "Content-Type": "text/html; charset=utf-8", "X-IFAP-Modified": "86400.25"}
        self.put(headers=fields)
        reply = self.get()
        self.assertEqual(reply["X-IFAP-Mode"], "0600")
        self.assertEqual(reply["Content-Type"], "text/html; charset=utf-8")
        self.assertEqual(reply["X-IFAP-Modified"], "1970-01-02T00:00:00.250000Z")
        self.assertEqual(reply["Last-Modified"], "Fri, 02 Jan 1970 00:00:00 GMT")
        again = self.put().json()
        self.assertEqual((again["mode"], again["mime"]), (0o600, "text/html; charset=utf-8"))

    def test_times(self):
        """A time may be Unix seconds, ISO 8601 or an HTTP date."""
        for fields, seconds in (
            ({"X-IFAP-Modified": "2026-01-31T12:00:00Z"}, "2026-01-31T12:00:00.000000Z"),
            ({"X-IFAP-Modified": "2026-01-31T12:00:00+02:00"}, "2026-01-31T10:00:00.000000Z"),
            ({"X-IFAP-Modified": "2026-01-31"}, "2026-01-31T00:00:00.000000Z"),
            ({"Last-Modified": "Fri, 02 Jan 1970 00:00:00 GMT"}, "1970-01-02T00:00:00.000000Z"),
            ({"X-IFAP-Modified": "0", "Last-Modified": "Fri, 02 Jan 1970 00:00:00 GMT"}, "1970-01-01T00:00:00.000000Z"),
        ):
            self.assertEqual(self.put(headers=fields).json()["modified"], seconds)

    def test_bad_fields(self):
        """A header field that cannot be understood is refused, and nothing is stored."""
        for fields in (
            {"X-IFAP-Mode": "rw-"},
            {"X-IFAP-Mode": "77777"},
            {"X-IFAP-Mode": "-1"},
            {"Content-Type": "html"},
            {"Content-Type": "a/b; c"},
            {"X-IFAP-Modified": "yesterday"},
            {"X-IFAP-Modified": "nan"},
            {"X-IFAP-Modified": "1e20"},
            {"Last-Modified": "then"},
            {"If-Match": "abcd"},
            {"If-None-Match": "*, *"},
        ):
            self.assertEqual(self.code(self.put(headers=fields)), (400, "bad-request"), fields)
        self.assertEqual(self.get().status, 404)

    def test_a_part(self):
        """A PUT of a part of a file would replace the whole: it is refused (RFC 9110 14.5)."""
        before = self.put("a", b"whole").json()["version"]
        reply = self.node.ask("PUT", "/v1/files/a", {"Content-Range": "bytes 0-1/5"}, b"WH")
        self.assertEqual((reply.status, reply.json()["code"]), (400, "bad-request"))
        self.assertEqual(self.node.ask("GET", "/v1/files/a?stat=1").json()["version"], before)

    def test_field_twice(self):
        """A field that comes twice is refused."""
        wire = self.node.connect()
        wire.send(request("PUT", "/v1/files/a", {"X-IFAP-Mode": "600\r\nX-IFAP-Mode: 644"}, b""))
        self.assertEqual(parse(wire.value()).status, 400)

    def test_reserved(self):
        """A reserved name is an invalid path."""
        self.assertEqual(self.code(self.put("IFAP/keys/x")), (400, "invalid-path"))

    def test_empty(self):
        """An empty file is a file."""
        self.assertEqual(self.put(body=b"").status, 201)
        self.assertEqual((self.get().status, self.get().body), (200, b""))

    def test_recursive_file(self):
        """``recursive`` is for directories."""
        self.assertEqual(self.code(self.put("a?recursive=1")), (400, "bad-request"))

    def test_version_is_not_written(self):
        """A version cannot be written to or removed."""
        for method in ("PUT", "DELETE"):
            self.assertEqual(self.node.ask(method, "/v1/files/a?version=abcd", None, b"").status, 400)

    def test_early(self):
        """``early`` answers in two lines: the entry when it is on its way, and how it ended."""
        reply = self.put("a.txt?early=1")
        first, second = [json.loads(line) for line in reply.body.splitlines()]
        self.assertEqual((reply.status, second), (202, {"problem": None}))
        self.assertEqual(first["entry"]["version"], json.loads(self.get()["X-IFAP-Entry"])["version"])

    def test_queue(self):
        """With ``queue`` a file that is stored is 201 or 200, one that was only accepted 202; its Entry says so."""
        asked = []
        entries = [
            Entry(path="a.txt", version="v"),
            Entry(path="a.txt", version="w", parents=("v",)),
            Entry(path="a.txt", version="x", pending=True),
        ]

        def put(*_args, **more):
            asked.append(more)
            return succeed(entries[len(asked) - 1])

        self.scripted(put=put, stat=failing(Unavailable("The mail server is away.")))
        headers = {"If-None-Match": "*", "X-IFAP-Mode": "600"}
        replies = [self.put("a.txt?queue=1", headers=headers) for _entry in entries]
        self.assertEqual([reply.status for reply in replies], [201, 200, 202])
        self.assertEqual([reply.json()["pending"] for reply in replies], [False, False, True])
        self.assertEqual(replies[2]["ETag"], '"x"')
        self.assertEqual((asked[0]["queue"], asked[0]["expect"], asked[0]["mode"]), (True, ABSENT, 0o600))

    def test_unless_equal(self):
        """What is there already is not stored again: 200, and its Entry, which is the same."""
        first = self.put("u?unless_equal=1", b"same")
        again = self.put("u?unless_equal=1", b"same")
        self.assertEqual((first.status, again.status), (201, 200))
        self.assertEqual((first["ETag"], first.json()), (again["ETag"], again.json()))
        other = self.put("u?unless_equal=1", b"other")
        self.assertNotIn(other["ETag"], (first["ETag"], self.put("u", b"other")["ETag"]))
        self.assertEqual(self.code(self.put("d/?unless_equal=1", b"")), (400, "bad-request"))

    def test_queue_refused(self):
        """It is for files, and not for those that want to be told early; a refusal is a problem."""
        self.assertEqual(self.code(self.put("d/?queue=1", b"")), (400, "bad-request"))
        self.assertEqual(self.code(self.put("a?queue=1&early=1")), (400, "bad-request"))
        self.assertEqual(self.code(self.put("a?queue=1")), (501, "not-supported"))  # without a journal
        self.scripted(put=failing(Unavailable("The mail server is away.")))
        self.assertEqual(self.code(self.put("a?queue=1")), (503, "unavailable"))

    def test_early_refused(self):
        """With ``early`` what is refused at once is an ordinary problem."""
        self.assertEqual(self.code(self.put("IFAP/keys/x?early=1")), (400, "invalid-path"))
        self.assertEqual(self.code(self.put("d/?early=1", b"")), (400, "bad-request"))

    def test_outcome_unknown(self):
        """An unknown outcome is 503 and may be tried again."""
        self.scripted(put=failing(OutcomeUnknown("It may be there.", path="a.txt")))
        found = self.put().json()
        self.assertEqual((found["status"], found["code"], found["retryable"]), (503, "outcome-unknown", True))
        self.assertEqual((found["path"], found["detail"]), ("/a.txt", "It may be there."))

    def test_throttled(self):
        """Throttling says when to come back."""
        self.scripted(put=failing(Throttled(seconds=7)))
        self.assertEqual(self.put()["Retry-After"], "7")


class PreconditionTests(FilesCase):
    """If-Match and its relatives: 412 instead of a lost update."""

    def setUp(self):
        """A file."""
        super().setUp()
        self.version = self.put().json()["version"]

    def check(self, rows):
        """Each: path, fields, status of a PUT."""
        for path, fields, status in rows:
            reply = self.put(path, b"new", fields)
            self.assertEqual(reply.status, status, fields)
            if status == 412:
                self.assertEqual(reply.json()["code"], "conflict")
            if status == 200:
                self.version = reply.json()["version"]

    def test_if_match(self):
        """If-Match stores only over the version named."""
        self.check([("a.txt", {"If-Match": '"other"'}, 412), ("a.txt", {"If-Match": f'"{self.version}"'}, 200)])

    def test_if_match_lists(self):
        """If-Match takes lists and ``*``; a weak tag never matches."""
        self.check(
            [
                ("a.txt", {"If-Match": f'"x", "{self.version}"'}, 200),
                ("a.txt", {"If-Match": "*"}, 200),
                ("new", {"If-Match": "*"}, 412),
                ("a.txt", {"If-Match": f'W/"{self.version}"'}, 412),
                ("a.txt", {"If-Match": '"x", "y"'}, 412),
            ]
        )

    def test_if_none_match(self):
        """If-None-Match: * stores only where nothing is; with a tag only where that is not."""
        self.check(
            [
                ("a.txt", {"If-None-Match": "*"}, 412),
                ("new", {"If-None-Match": "*"}, 201),
                ("a.txt", {"If-None-Match": f'W/"{self.version}"'}, 412),
                ("a.txt", {"If-None-Match": '"other"'}, 200),
            ]
        )

    def test_both(self):
        """Both together must both hold."""
        self.check(
            [
                ("a.txt", {"If-Match": f'"{self.version}"', "If-None-Match": "*"}, 412),
                ("a.txt", {"If-Match": f'"{self.version}"', "If-None-Match": '"x"'}, 200),
            ]
        )

    def test_if_unmodified_since(self):
        """If-Unmodified-Since guards by time, unless there is If-Match or it is no date."""
        self.check(
            [
                ("a.txt", {"If-Unmodified-Since": "Fri, 02 Jan 1970 00:00:00 GMT"}, 412),
                ("a.txt", {"If-Unmodified-Since": "Fri, 02 Jan 2099 00:00:00 GMT"}, 200),
                ("a.txt", {"If-Unmodified-Since": "sometime"}, 200),
            ]
        )
        past = {"If-Match": f'"{self.version}"', "If-Unmodified-Since": "Fri, 02 Jan 1970 00:00:00 GMT"}
        self.check([("a.txt", past, 200)])

    def test_expects_what_was_seen(self):
        """Where the present version had to be looked at, the write expects exactly it."""
        held = Held()
        self.scripted(put=held)
        wire = self.node.connect()
        wire.send(request("PUT", "/v1/files/a.txt", {"If-Match": "*"}, b"x"))
        self.assertEqual(held.calls[0][1]["expect"], self.version)

    def test_delete(self):
        """DELETE knows If-Match too."""
        self.assertEqual(self.node.ask("DELETE", "/v1/files/a.txt", {"If-Match": '"x"'}).status, 412)
        self.assertEqual(self.node.ask("DELETE", "/v1/files/a.txt", {"If-Match": f'"{self.version}"'}).status, 204)

    def test_get(self):
        """GET and HEAD answer 304 when nothing has changed, and 412 when it is not what was wanted."""
        tag = f'"{self.version}"'
        for method in ("GET", "HEAD"):
            for fields, status in (
                ({"If-None-Match": tag}, 304),
                ({"If-None-Match": f'"x", W/{tag}'}, 304),
                ({"If-None-Match": "*"}, 304),
                ({"If-None-Match": '"x"'}, 200),
                ({"If-Match": tag}, 200),
                ({"If-Match": '"x"'}, 412),
                ({"If-Modified-Since": "Fri, 02 Jan 2099 00:00:00 GMT"}, 304),
                ({"If-Modified-Since": "Fri, 02 Jan 1970 00:00:00 GMT"}, 200),
                ({"If-Modified-Since": "Fri, 02 Jan 2099 00:00:00 GMT", "If-None-Match": '"x"'}, 200),
                ({"If-Unmodified-Since": "Fri, 02 Jan 1970 00:00:00 GMT"}, 412),
            ):
                reply = self.get(headers=fields, method=method)
                self.assertEqual(reply.status, status, (method, fields))
                if status == 304:
                    self.assertEqual((reply["ETag"], reply.body, reply["Content-Length"]), (tag, b"", None))

    def test_reads_what_was_seen(self):
        """What a conditional GET sends is the version that its conditions were about."""
        held = Held()
        self.scripted(stream=held)
        self.node.connect().send(request("GET", "/v1/files/a.txt", {"If-Match": f'"{self.version}"'}))
        self.assertEqual(held.calls, [(("a.txt",), {"version": self.version})])

    def test_unchanged_is_not_read(self):
        """A 304 does not read the content."""
        held = Held()
        self.scripted(stream=held)
        self.assertEqual(self.get(headers={"If-None-Match": f'"{self.version}"'}).status, 304)
        self.assertEqual(held.calls, [])


class GetTests(FilesCase):
    """GET and HEAD."""

    def test_content(self):
        """The content comes with its length, version and entry."""
        stored = self.put(body=b"\x00\xff").json()
        reply = self.get()
        self.assertEqual((reply.status, reply.body, reply["Content-Length"]), (200, b"\x00\xff", "2"))
        self.assertEqual(reply["ETag"], f'"{stored["version"]}"')
        self.assertEqual(json.loads(reply["X-IFAP-Entry"]), stored)
        self.assertIsNotNone(parsedate_to_datetime(reply["Last-Modified"]))

    def test_not_shown_by_a_browser(self):
        """Whatever is stored, a browser may neither show nor run it."""
        self.put("x.html", b"<script>alert(1)</script>", {"Content-Type": "text/html"})
        for method in ("GET", "HEAD"):
            reply = self.get("x.html", method=method)
            self.assertEqual(reply["Content-Security-Policy"], "sandbox; default-src 'none'")
            self.assertEqual(reply["X-Content-Type-Options"], "nosniff")
            self.assertTrue(reply["Content-Disposition"].startswith("attachment;"))

    def test_hostile_entry(self):
        """What the folder says of a file cannot add a header field or a media type of its own."""
        entry = Entry(
            path='a\r\nX-Evil: 1"; x/\u202e"\x7f.txt',
            size=1,
            mime="text/html\r\nX-Evil: 1",
            modified=-1e30,
            mode=0o644,
            version="v",
        )
        self.scripted(stream=lambda *_a, **_k: succeed(WholeStream(entry, b"x")))
        reply = self.get()
        self.assertEqual(reply.status, 200)
        self.assertNotIn("x-evil", reply.headers)
        self.assertEqual(reply["Content-Type"], "application/octet-stream")
        self.assertEqual(json.loads(reply["X-IFAP-Entry"])["path"], "/" + entry.path)

    @given(st.text())
    def test_disposition(self, name):
        """No name leaves the quotes of Content-Disposition."""
        value = disposition(name)
        self.assertTrue(value.isascii())
        self.assertTrue(value.isprintable())
        self.assertEqual(value.count('"'), 2)
        self.assertRegex(value, r"^attachment; filename=\"[A-Za-z0-9._-]*\"; filename\*=UTF-8''[A-Za-z0-9._~%-]*$")

    def test_head(self):
        """HEAD says what GET would, without the content, which is not read."""
        self.put(body=b"x" * 1000)
        full = self.get()
        held = Held()
        self.scripted(stream=held)
        reply = self.get(method="HEAD")
        for headers in (reply.headers, full.headers):
            del headers["date"]  # it may be a second later
        self.assertEqual(reply.headers, full.headers)
        self.assertEqual((reply.status, reply.body, held.calls), (200, b"", []))

    def test_version(self):
        """``version`` is an id or a unique prefix of one."""
        old = self.put().json()["version"]
        self.put(body=b"new")
        self.assertEqual(self.get(f"a.txt?version={old}").body, b"hello")
        self.assertEqual(self.get(f"a.txt?version={old[:6]}").body, b"hello")
        self.assertEqual(self.code(self.get("a.txt?version=nothing")), (404, "unknown-version"))

    def test_absent(self):
        """A file that is not there is 404."""
        self.assertEqual(self.code(self.get("nothing")), (404, "not-found"))
        self.assertEqual(self.get("nothing", method="HEAD").status, 404)

    def test_removed(self):
        """A removed file is 404, its removal as a version too."""
        self.put()
        self.node.ask("DELETE", "/v1/files/a.txt")
        tombstone = self.node.ask("GET", "/v1/versions/a.txt").json()["entries"][0]
        self.assertTrue(tombstone["deleted"])
        for method in ("GET", "HEAD"):
            self.assertEqual(self.get(method=method).status, 404)
            self.assertEqual(self.get(f"a.txt?version={tombstone['version']}", method=method).status, 404)

    def test_directory(self):
        """A directory is 409, with or without a slash; a file with a slash is no directory."""
        self.put("d/a")
        for path in ("d", "d/", "", "?version="):
            self.assertEqual(self.get(path).status, 409 if path != "?version=" else 404, path)
        self.assertEqual(self.code(self.get("d/")), (409, "is-a-directory"))
        self.assertEqual(self.code(self.get("d/a/")), (409, "not-a-directory"))

    def test_stat(self):
        """``stat`` gives the entry of a file, directory or version."""
        stored = self.put("d/a").json()
        self.assertEqual(self.get("d/a?stat=1").json(), stored)
        self.assertEqual(self.get("d?stat=1").json()["type"], "directory")
        self.assertEqual(self.get("d/?stat=true").json()["type"], "directory")
        self.assertEqual(self.get("?stat=1").json()["path"], "/")
        self.assertEqual(self.get(f"d/a?stat=1&version={stored['version']}").json(), stored)
        self.assertEqual(self.code(self.get("d/a?stat=maybe")), (400, "bad-request"))

    def test_damaged(self):
        """Damaged data is 502 and never content."""
        for error in (Tampered, Truncated, Extended, Oversized):
            self.scripted(stream=failing(error("The content was changed.", path="a.txt")))
            self.assertEqual(self.code(self.get()), (502, error.code))

    def test_streamed(self):
        """A long file is written piece by piece, no faster than the client takes it."""
        body = bytes(range(256)) * 2000
        self.put(body=body)
        wire = self.node.connect()
        written: list[int] = []
        original = wire.write

        def write(data):
            written.append(len(data))
            original(data)
            if len(wire.value()) > 100_000:
                wire.producer.pauseProducing()

        wire.write = write
        wire.send(request("GET", "/v1/files/a.txt"))
        self.assertLess(len(wire.value()), 100_000 + limits.ANSWER_PIECE + 2000)
        self.assertLessEqual(max(written), limits.ANSWER_PIECE)
        wire.write = original
        wire.producer.resumeProducing()
        self.assertEqual(parse(wire.value()).body, body)

    def test_client_takes_nothing(self):
        """A client that takes nothing for long is cut off."""
        self.put(body=b"x" * 500_000)
        wire = self.node.connect()
        original = wire.write

        def write(data):
            original(data)
            if wire.producer is not None:
                wire.producer.pauseProducing()

        wire.write = write
        wire.send(request("GET", "/v1/files/a.txt"))
        self.node.clock.advance(limits.CONTROL_STALL_SECONDS - 1)
        self.assertFalse(wire.aborted)
        self.node.clock.advance(2)
        self.assertTrue(wire.aborted)

    def test_client_goes(self):
        """A client that goes away cancels the reading."""
        held = Held()
        self.scripted(stream=held)
        wire = self.node.connect()
        wire.send(request("GET", "/v1/files/a.txt"))
        wire.lose()
        self.assertEqual(held.cancelled, 1)


class RangeTests(FilesCase):
    """``Range`` (RFC 9110 14)."""

    def setUp(self):
        """A file of ten bytes."""
        super().setUp()
        self.put(body=b"0123456789")

    def test_ranges(self):
        """One range, open or not, and a suffix."""
        for text, body, where in (
            ("bytes=0-3", b"0123", "bytes 0-3/10"),
            ("bytes=4-", b"456789", "bytes 4-9/10"),
            ("bytes=-3", b"789", "bytes 7-9/10"),
            ("bytes=8-99", b"89", "bytes 8-9/10"),
            ("bytes=-99", b"0123456789", "bytes 0-9/10"),
            ("bytes=9-9", b"9", "bytes 9-9/10"),
        ):
            reply = self.get(headers={"Range": text})
            self.assertEqual((reply.status, reply.body, reply["Content-Range"]), (206, body, where), text)
            self.assertEqual(reply["Content-Length"], str(len(body)))

    def test_whole(self):
        """Other units and nonsense give the whole."""
        for text in ("bytes=0-1,3-x", "lines=1-2", "bytes=5-2", "bytes=-", "bytes=a-b", "bytes 0-3", ""):
            reply = self.get(headers={"Range": text})
            self.assertEqual((reply.status, reply.body, reply["Content-Range"]), (200, b"0123456789", None), text)

    def test_unsatisfiable(self):
        """A range behind the end is 416 and says how long the file is."""
        for text in ("bytes=10-", "bytes=10-20", "bytes=-0"):
            reply = self.get(headers={"Range": text})
            self.assertEqual(self.code(reply), (416, "range-not-satisfiable"), text)
            self.assertEqual(reply["Content-Range"], "bytes */10")

    def test_if_range(self):
        """If-Range with another version gives the whole."""
        tag = self.get()["ETag"]
        self.assertEqual(self.get(headers={"Range": "bytes=0-3", "If-Range": tag}).status, 206)
        for other in ('"x"', f"W/{tag}", "Fri, 02 Jan 2099 00:00:00 GMT"):
            self.assertEqual(self.get(headers={"Range": "bytes=0-3", "If-Range": other}).status, 200)


class DirectoryTests(FilesCase):
    """Paths with a final slash."""

    def test_make(self):
        """PUT makes an empty directory, once."""
        reply = self.put("d/", b"")
        self.assertEqual((reply.status, reply.json()["type"], reply.json()["path"]), (201, "directory", "/d"))
        self.assertEqual(self.code(self.put("d/", b"")), (409, "already-exists"))
        self.assertEqual(self.put("d/", b"", {"If-None-Match": "*"}).status, 412)

    def test_make_above(self):
        """``recursive`` makes those above, and takes one that is there."""
        self.assertEqual(self.put("x/y/z/", b"").status, 404)
        self.assertEqual(self.put("x/y/z/?recursive=1", b"").status, 201)
        self.assertEqual(self.put("x/y/z/?recursive=1", b"").status, 200)

    def test_no_content(self):
        """A directory has no content."""
        self.assertEqual(self.put("d/", b"x").status, 413)
        self.assertEqual(self.get("d?stat=1").status, 404)

    def test_conditions(self):
        """Preconditions count for directories too."""
        self.assertEqual(self.put("d/", b"", {"If-Match": '"x", "y"'}).status, 412)
        self.put("d/", b"")
        for path in ("d/", "d/?recursive=1", "d?recursive=1"):
            self.assertEqual(self.node.ask("DELETE", f"/v1/files/{path}", {"If-Match": '"x"'}).status, 412)
        self.assertEqual(self.get("d?stat=1").status, 200)
        fields = {"If-Match": self.get("d?stat=1")["ETag"]}
        self.assertEqual(self.node.ask("DELETE", "/v1/files/d/", fields).status, 204)

    def test_remove(self):
        """DELETE removes an empty directory; a full one needs ``recursive``."""
        self.put("d/a")
        self.assertEqual(self.code(self.node.ask("DELETE", "/v1/files/d/")), (409, "directory-not-empty"))
        self.assertEqual(self.node.ask("DELETE", "/v1/files/d/?recursive=1").status, 204)
        self.assertEqual(self.get("d/a").status, 404)
        self.put("e/", b"")
        self.assertEqual(self.node.ask("DELETE", "/v1/files/e/").status, 204)

    def test_slash_is_a_directory(self):
        """With a final slash a file is not removed."""
        self.put("a")
        for query in ("", "?recursive=1"):
            self.assertEqual(self.code(self.node.ask("DELETE", f"/v1/files/a/{query}")), (409, "not-a-directory"))
        self.assertEqual(self.get("a").status, 200)

    def test_without_slash(self):
        """Without a slash a directory is removed only with ``recursive``."""
        self.put("d/a")
        self.assertEqual(self.code(self.node.ask("DELETE", "/v1/files/d")), (409, "is-a-directory"))
        self.assertEqual(self.node.ask("DELETE", "/v1/files/d?recursive=1").status, 204)

    def test_root(self):
        """The root is not removed."""
        self.put("a")
        for query in ("", "?recursive=1"):
            self.assertGreaterEqual(self.node.ask("DELETE", f"/v1/files/{query}").status, 400)
        self.assertEqual(self.get("a").status, 200)
