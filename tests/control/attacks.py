"""What people try on a control interface that they may not use, as requests in raw bytes for every route (R21).

Pure data: :mod:`tests.control.test_abuse` sends it, and says what happened.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ifap_twisted.control.routes import Route
from ifap_twisted.core import limits
from tests.control.wire import PORT, TOKEN, request

MAX_FILE_SIZE: Final = 100_000
FILE: Final = "a/b.txt"
JOB: Final = "0001"
BODIES: Final[Mapping[str, dict[str, object]]] = {
    "Nothing": {},
    "Move": {"source": FILE, "destination": "moved"},
    "Copy": {"source": FILE, "destination": "copied"},
    "Mkdir": {"path": "made"},
    "Restore": {"path": FILE, "version": "none"},
    "Undelete": {"path": FILE},
    "Keep": {"path": FILE, "count": 3},
    "Collect": {"dry_run": True},
    "Check": {"read_data": 100, "bind": True, "repair": True},
    "TakeLock": {"seconds": 60},
    "Resolve": {"path": FILE, "both": True},
}
"""A body for each schema that does something."""

Fields = dict[str, str | None]
Tries = Iterator[bytes]


@dataclass(frozen=True, slots=True)
class Aim:
    """A method of a route, with what it takes to be served."""

    route: Route
    method: str

    @property
    def url(self) -> str:
        """A URL that the route answers to."""
        return self.route.url.replace("{path}", FILE).replace("{id}", JOB)

    @property
    def fields(self) -> Fields:
        """Header fields besides Host and token."""
        return {"Content-Type": "application/json"} if self.takes_json else {}

    @property
    def takes_json(self) -> bool:
        """Its body is JSON."""
        return self.route.body in BODIES

    @property
    def body(self) -> bytes | None:
        """A body that it takes."""
        if self.takes_json:
            return json.dumps(BODIES[self.route.body or ""]).encode()
        return b"content" if self.route.body else None

    def ask(self, fields: Fields | None = None, *, query: str = "", method: str = "") -> bytes:
        """The request that would be served, but for these header fields."""
        more = self.fields | (fields or {})
        return request(method or self.method, self.url + query, more, self.body)

    def at(self, url: str | bytes) -> bytes:
        """The same at another URL."""
        return request(self.method, url, self.fields, self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One idea.

    :ivar tries: what is sent, each on a connection of its own.
    :ivar answers: the statuses that are right; 0 is a connection that ends without an answer.
    :ivar open: those of a route that needs no token, where they differ.
    :ivar reads: it may be served, as long as it only reads.
    :ivar reaches: only the filesystem can refuse it, and has to.
    :ivar waits: so many seconds pass after each byte of ``drops``.
    """

    tries: Callable[[Aim], Tries]
    answers: frozenset[int]
    open: frozenset[int] = frozenset()
    reads: bool = False
    reaches: bool = False
    waits: float = 0.0
    drops: bytes = b""

    def right(self, aim: Aim) -> frozenset[int]:
        """The statuses that are right."""
        return self.open if self.open and aim.route.open else self.answers


@dataclass
class Catalogue:
    """All attacks by their names."""

    attacks: dict[str, Attack] = field(default_factory=dict)

    def add(
        self, *answers: int, open_: tuple[int, ...] = (), **more: Any
    ) -> Callable[[Callable[[Aim], Tries]], Callable[[Aim], Tries]]:
        """Take a generator of requests into the catalogue, under its name."""

        def taken(tries: Callable[[Aim], Tries]) -> Callable[[Aim], Tries]:
            self.attacks[tries.__name__] = Attack(
                tries=tries, answers=frozenset(answers), open=frozenset(open_), **more
            )
            return tries

        return taken


_catalogue = Catalogue()
attack = _catalogue.add
ATTACKS: Final[Mapping[str, Attack]] = _catalogue.attacks

# -- Without the right to


@attack(401, open_=(200,))
def no_token(aim: Aim) -> Tries:
    """No token at all."""
    yield aim.ask({"Authorization": None})


@attack(401, open_=(200,))
def wrong_token(aim: Aim) -> Tries:
    """Guesses, parts of the token, and the token in a wrong shape."""
    for value in ("x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "", "*", f"{TOKEN}, {TOKEN}", f'"{TOKEN}"', "\xe4"):
        yield aim.ask({"Authorization": f"Bearer {value}"})
    for value in (TOKEN, f"Basic {TOKEN}", f"Token {TOKEN}", f"Bearer{TOKEN}", "Bearer", "bearer null"):
        yield aim.ask({"Authorization": value})


@attack(401, open_=(200,))
def two_tokens(aim: Aim) -> Tries:
    """Two header fields, one of them right."""
    yield aim.ask().replace(b"Authorization:", b"Authorization: Bearer x\r\nAuthorization:", 1)


@attack(401, open_=(200, 400))
def token_elsewhere(aim: Aim) -> Tries:
    """The right token where a web page could put it: in the URL, in a cookie, in another field."""
    for query in (f"?token={TOKEN}", f"?access_token={TOKEN}", f"?Authorization=Bearer%20{TOKEN}"):
        yield aim.ask({"Authorization": None}, query=query)
    for name in ("Cookie", "X-Token", "X-Api-Key", "Proxy-Authorization", "X-Forwarded-Authorization"):
        value = f"token={TOKEN}" if name == "Cookie" else f"Bearer {TOKEN}"
        yield aim.ask({"Authorization": None, name: value})


@attack(403)
def foreign_host(aim: Aim) -> Tries:
    """DNS rebinding: the right address under another name."""
    for host in (
        "evil.example",
        f"evil.example:{PORT}",
        f"127.0.0.1.evil.example:{PORT}",
        f"localhost.evil.example:{PORT}",
        f"127.0.0.1:{PORT}@evil.example",
        f"evil.example#127.0.0.1:{PORT}",
        f"localhost:{PORT + 1}",
        "localhost",
        f"127.0.0.2:{PORT}",
        f"[::1]:{PORT}",
        f"0.0.0.0:{PORT}",
        f"127.0.0.1:{PORT}, evil.example",
        "",
    ):
        yield aim.ask({"Host": host})


@attack(403, 400, 0)
def odd_host(aim: Aim) -> Tries:
    """No Host, two of them, and one that came from a proxy."""
    yield aim.ask({"Host": None})
    yield aim.ask().replace(b"Host:", b"Host: evil.example\r\nHost:", 1)
    yield aim.ask({"Host": "evil.example", "X-Forwarded-Host": f"127.0.0.1:{PORT}"})
    yield aim.ask({"Host": None}).replace(b"HTTP/1.1", b"HTTP/1.0", 1)


@attack(400)
def absolute_target(aim: Aim) -> Tries:
    """A target that names a host itself."""
    for start in ("http://evil.example", f"http://127.0.0.1:{PORT}", f"http://{TOKEN}@127.0.0.1:{PORT}", "file://"):
        yield aim.at(start + aim.url)


@attack(403)
def foreign_origin(aim: Aim) -> Tries:
    """Another web site that knows the token."""
    for origin in (
        "http://evil.example",
        "null",
        "file://",
        f"http://localhost:{PORT + 1}",
        f"http://127.0.0.1:{PORT}.evil.example",
        f"ftp://127.0.0.1:{PORT}",
        "https://",
        "",
        "\xe4",
    ):
        yield aim.ask({"Origin": origin})


@attack(403)
def cross_site_post(aim: Aim) -> Tries:
    """The POST that any page can make without asking first."""
    for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"):
        fields = {"Authorization": None, "Origin": "http://evil.example", "Content-Type": kind}
        yield request("POST", aim.url, fields, aim.body or b"{}")


@attack(401, open_=(405,))
def post_without_origin(aim: Aim) -> Tries:
    """The same from a browser that does not say where it comes from."""
    for kind in ("application/x-www-form-urlencoded", "text/plain", "application/json"):
        fields = {"Authorization": None, "Referer": "http://evil.example/", "Content-Type": kind}
        yield request("POST", aim.url, fields, aim.body or b"{}")


@attack(405, 415)
def form(aim: Aim) -> Tries:
    """A form, even with the token."""
    for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "", "text/json"):
        yield request("POST", aim.url, {"Content-Type": kind}, aim.body or b"{}")


@attack(401, 403, open_=(403, 405))
def preflight(aim: Aim) -> Tries:
    """A browser asks whether another site may."""
    asked: Fields = {"Authorization": None, "Access-Control-Request-Method": aim.method}
    asked["Access-Control-Request-Headers"] = "authorization"
    for more in ({"Origin": "http://evil.example"}, {"Access-Control-Request-Private-Network": "true"}):
        yield aim.ask(asked | more, method="OPTIONS")


@attack(200, 304, 404, 405, reads=True)
def method_in_a_header(aim: Aim) -> Tries:
    """A GET that says that it is something else."""
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        for word in ("DELETE", "PUT", "POST"):
            yield request("GET", aim.url, {name: word})


@attack(400, 405)
def method_in_the_query(aim: Aim) -> Tries:
    """A GET or POST whose query says that it is something else."""
    for method in ("GET", "POST"):
        yield request(method, aim.url + "?_method=DELETE", aim.fields, aim.body)


@attack(405, 400, 0)
def other_methods(aim: Aim) -> Tries:
    """Methods that there are not."""
    for method in ("PATCH", "TRACE", "CONNECT", "OPTIONS", "PROPFIND", "MOVE", "LOCK", "G"):
        yield aim.ask(method=method)


# -- Out of the place


def _places(aim: Aim) -> tuple[str, ...]:
    """What comes before a hostile part of the URL."""
    start = aim.route.url.partition("{")[0]
    return (start, f"{start}x/") if start != aim.route.url else (aim.url + "/",)


@attack(400)
def traversal(aim: Aim) -> Tries:
    """Ways out of a path, in all spellings that some program has taken for one."""
    for place in _places(aim):
        for part in (
            "..",
            "../",
            "../../status",
            "%2e%2e",
            "%2E.",
            ".%2e/x",
            ".",
            "%2e/x",
            "b/../../..",
            "b//c",
            "%2fetc%2fpasswd",
            "..%2f..%2fetc",
            "%00",
            "b%00.txt",
            "%c0%ae%c0%ae/x",
            "%c0%af",
            "%e0%80%af",
            "%ff",
            "%",
            "%2",
            "%zz",
            "%u002e",
            "b#c",
        ):
            yield aim.at(place + part)


@attack(400)
def two_slashes(aim: Aim) -> Tries:
    """Other ways to begin a path."""
    yield aim.at("/" + aim.url)
    yield aim.at(aim.url.replace("/", "//"))
    yield aim.at("/%2e" + aim.url)
    yield aim.at("/v1/../" + aim.url.lstrip("/"))
    yield aim.at("\\" + aim.url)
    yield aim.at("*" + aim.url)


@attack(400, 405)
def traversal_in_the_query(aim: Aim) -> Tries:
    """A path where a parameter is expected, and parameters that are not there."""
    for query in ("?../status", "?path=..%2f..%2fetc&path=b", "?surprise=1", "?path=%ff", "?path=%zz", "?&", "?=", "?"):
        if query != "?":
            yield aim.at(aim.url + query)
    yield aim.at(aim.url + "?" + "&".join(f"p{number}=1" for number in range(limits.CONTROL_QUERY + 1)))


def _texts(aim: Aim) -> list[str]:
    """The keys of its body that are texts."""
    return [name for name, value in BODIES[aim.route.body or ""].items() if isinstance(value, str)]


PATHS: Final = ("..", "../x", "/../x", "a/../../x", "a//b", "a/./b", "a\0b", ".", "\ud800", "x" * 300, "a/" * 3000)


@attack(400, 404, reaches=True)
def traversal_in_the_body(aim: Aim) -> Tries:
    """Paths of which no part may be believed."""
    if not aim.takes_json:
        return
    whole = BODIES[aim.route.body or ""]
    for name in _texts(aim):
        for path in PATHS:
            if name != "version":
                yield request(aim.method, aim.url, aim.fields, json.dumps(whole | {name: path}).encode())


# -- What is no request, or two


SMUGGLED: Final = request("DELETE", f"/v1/files/{FILE}")


@attack(400, 501, 505, 0)
def smuggling(aim: Aim) -> Tries:
    """A request whose end can be read in two ways, with another one behind."""
    start = request(aim.method, aim.url, aim.fields)[:-2]
    for lengths in (
        b"Content-Length: 0\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 0",
        b"Content-Length: 0\r\nContent-Length: 9",
        b"Content-Length: 0, 9",
        b"Content-Length: -1",
        b"Content-Length: +0",
        b"Content-Length: 0x0",
        b"Content-Length: 1_0",
        b"Content-Length: ",
        b"Transfer-Encoding: gzip",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding : chunked",
        b"Content-Length : 0",
        b"X-A\x00: 1",
        b"no colon",
        b": no name",
    ):
        yield start + lengths + b"\r\n\r\n" + SMUGGLED


@attack(400, reaches=True)
def bad_chunks(aim: Aim) -> Tries:
    """Chunks whose length can be read in two ways, where a body is waited for."""
    if aim.route.body is None:
        return
    start = request(aim.method, aim.url, aim.fields | {"Transfer-Encoding": "chunked"})
    for chunk in (b"-1\r\n", b"+1\r\nx\r\n0\r\n\r\n", b"0x0\r\n\r\n", b"\r\n0\r\n\r\n", b"1_0\r\n" + b"x" * 10):
        yield start + chunk + SMUGGLED
    yield start + b"1\r\nxDELETE / HTTP/1.1\r\n\r\n" + SMUGGLED


@attack(400, 505, 0)
def other_protocols(aim: Aim) -> Tries:
    """What is not HTTP/1.0 or HTTP/1.1."""
    line = f"{aim.method} {aim.url}".encode()
    end = aim.ask().partition(b"\r\n")[2]
    yield line + b"\r\n" + end
    yield line + b" HTTP/1.1 HTTP/1.1\r\n" + end
    yield line + b" x HTTP/1.1\r\n" + end
    yield line + b" HTTQ/1.1\r\n" + end
    yield b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + aim.ask()


@attack(400, 0)
def a_line_in_a_line(aim: Aim) -> Tries:
    """Bytes in a target or a value that begin another line for somebody."""
    yield aim.ask({"X-A": "1\nAuthorization: Bearer x"}).replace(b"Authorization: Bearer " + TOKEN.encode(), b"X-B: 1")
    yield request(aim.method, aim.url.encode() + b"\rX", aim.fields, aim.body)
    yield request(aim.method, aim.url.encode() + b"\x00", aim.fields, aim.body)
    yield request(aim.method, aim.url.encode() + b"\t", aim.fields, aim.body)


# -- Too much


@attack(400, 414, 431, 0)
def long_header(aim: Aim) -> Tries:
    """Header fields beyond 16 KiB, or more than any client sends; a target of that length."""
    yield aim.ask({"X-Long": "x" * 17_000})
    yield aim.ask({f"X-{number}": "x" * 1000 for number in range(20)})
    yield aim.ask({f"X-{number}": "1" for number in range(limits.CONTROL_HEADERS + 1)})
    yield aim.at(aim.url + "?" + "x" * 17_000)


@attack(413, 400)
def long_body(aim: Aim) -> Tries:
    """A body that is longer than any that is taken, announced or in chunks."""
    if aim.route.body is None:
        return
    most = MAX_FILE_SIZE if aim.route.body == "bytes" else limits.JSON_BODY
    yield request(aim.method, aim.url, aim.fields | {"Content-Length": str(most + 1)})
    yield request(aim.method, aim.url, aim.fields | {"Content-Length": str(10**18)})
    if aim.takes_json:
        chunk = b"%x\r\n" % (most + 1) + b" " * (most + 1) + b"\r\n0\r\n\r\n"
        yield request(aim.method, aim.url, aim.fields | {"Transfer-Encoding": "chunked"}) + chunk


@attack(401, open_=(200,))
def endless_body(aim: Aim) -> Tries:
    """A stranger who sends without end."""
    fields = aim.fields | {"Authorization": None, "Content-Length": str(10**12)}
    yield request(aim.method, aim.url, fields) + b"x" * (limits.LINGER_BYTES + limits.DRAIN_BYTES)


@attack(400)
def bad_json(aim: Aim) -> Tries:
    """Bodies that are not what the schema says: bombs, two keys of one name, other types."""
    if not aim.takes_json:
        return
    whole = BODIES[aim.route.body or ""]
    bodies = [b"[" * 60_000, b'{"a":' * 10_000, b"[]", b"null", b'"x"', b"{", b"\xff\xfe", b"\x80", b"{}{}"]
    bodies += [b'{"surprise":1}', b"{" + b",".join(b'"k%d":1' % number for number in range(3000)) + b"}"]
    for name in whole:
        key = json.dumps(name).encode()
        bodies += [b"{%b:1,%b:1}" % (key, key), b"{%b:NaN}" % key, b"{%b:%b}" % (key, b"9" * 5000)]
        bodies += [json.dumps(whole | {name: value}).encode() for value in (None, [], {}, [1], -1.5, {"": ""})]
    for body in bodies:
        yield request(aim.method, aim.url, aim.fields, body)


# -- Too slow


@attack(0, waits=limits.CONTROL_IDLE_SECONDS + 1)
def slow_header(aim: Aim) -> Tries:
    """A header that stops anywhere."""
    whole = aim.ask()
    for length in (1, 10, len(whole) // 3):
        yield whole[:length]


@attack(0, waits=limits.CONTROL_IDLE_SECONDS - 1, drops=b"X-Slow: 1")
def dripping_header(aim: Aim) -> Tries:
    """A header that comes byte by byte, each before the patience of the node is over."""
    yield aim.ask()[: len(aim.method) + len(aim.url) + 1]


@attack(401, open_=(200,), waits=limits.LINGER_SECONDS + 1)
def slow_body_of_a_stranger(aim: Aim) -> Tries:
    """A body of a stranger that was announced and does not come."""
    yield request(aim.method, aim.url, aim.fields | {"Authorization": None, "Content-Length": str(10**9)}) + b"x"


@attack(0, 200, 404, reaches=True, waits=limits.CONTROL_IDLE_SECONDS + 1)
def slow_body(aim: Aim) -> Tries:
    """A body that was announced and does not come, of somebody with a token."""
    if aim.method == "DELETE":
        return  # it has no body to wait for
    yield request(aim.method, aim.url, aim.fields | {"Content-Length": "50"}) + b'{"path":'


# -- What is asked of content


@attack(200, 206, 304, 404, 416, 400, reads=True)
def range_floods(aim: Aim) -> Tries:
    """Many ranges, and ranges that no file has."""
    if aim.method not in {"GET", "HEAD"}:
        return
    for value in (
        "bytes=" + ",".join(f"{number}-{number}" for number in range(1500)),
        "bytes=" + "0-," * 3000,
        "bytes=-" + "9" * 19,
        "bytes=" + "9" * 19 + "-",
        "bytes=" + "9" * 4400 + "-",
        "bytes=5-1",
        "bytes=-0",
        "lines=1-2",
        "bytes=\xe4-",
    ):
        yield aim.ask({"Range": value})


@attack(200, 206, 304, 412, 400, 404, 416, reads=True)
def conditions_without_end(aim: Aim) -> Tries:
    """Preconditions that take long to compare."""
    if aim.method not in {"GET", "HEAD"}:
        return
    for value in ('"a",' * 3000, "W/" * 5000, '"' * 8000, "*" * 8000, '"' + "\xff" * 8000 + '"', "9" * 8000):
        for name in ("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range"):
            yield aim.ask({name: value, "Range": "bytes=0-1"})
