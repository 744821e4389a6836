"""``/v1/files/PATH``: the content of files, streamed both ways (DESIGN 4.3).

Content of the folder is hostile to browsers: it goes out as an attachment, never sniffed, in a sandbox without any
right. Nothing is decided here that the filesystem decides.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable
from functools import partial
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from twisted.internet.defer import Deferred

from ifap_twisted.control import conditions
from ifap_twisted.control.answers import Answer, entry_answer, etag_header, start
from ifap_twisted.control.body import AnyBody, read_whole
from ifap_twisted.control.call import Call, parse_time
from ifap_twisted.control.problems import bad_request, problem
from ifap_twisted.control.ranges import Multipart, Span, spans
from ifap_twisted.core import limits
from ifap_twisted.core.values import JSON, Entry
from ifap_twisted.errors import IFAPError, IsADirectory, NotADirectory, NotFound, ProtocolViolation, TooLarge
from ifap_twisted.interfaces import IFilesystem, IStream

ENTRY_HEADER: Final = "X-IFAP-Entry"
"""The Entry of what is sent, as JSON in ASCII."""
MODE_HEADER: Final = "X-IFAP-Mode"
MODIFIED_HEADER: Final = "X-IFAP-Modified"
DEFAULT_TYPE: Final = "application/octet-stream"
LINES: Final = "application/x-ndjson"

_WORD: Final = r"[A-Za-z0-9!#$&^_.+-]{1,127}"
_MEDIA_TYPE: Final = re.compile(rf'{_WORD}/{_WORD}(?: ?; ?{_WORD}=(?:{_WORD}|"[^"\\\x00-\x1f\x7f-\uffff]{{0,127}}"))*')
_MODE: Final = re.compile(r"[0-7]{1,5}")
_PLAIN_NAME: Final = re.compile(r"[^A-Za-z0-9._-]")


class Files:
    """The files of a filesystem as HTTP has them.

    :param max_file_size: bytes; a longer body is refused when its header has come.
    :param new_boundary: makes words that no file has in it but by chance.
    """

    def __init__(self, filesystem: IFilesystem, *, max_file_size: int, new_boundary: Callable[[], str]) -> None:
        self._filesystem = filesystem
        self._new_boundary = new_boundary
        self._max_file_size = max_file_size

    async def get(self, call: Call) -> Answer:
        """GET and HEAD."""
        version = call.query.get("version")
        if call.flag("stat"):
            return entry_answer(await self._filesystem.stat(call.path or "/", version=version))
        head = call.request.method == b"HEAD"
        if call.slash or head or conditions.has_read_conditions(call):
            entry = await self._filesystem.stat(call.path or "/", version=version)
            _require_file(entry, slash=call.slash)
            if conditions.unchanged(call, entry):
                return Answer(status=HTTPStatus.NOT_MODIFIED, headers=_headers(entry))
            if head:
                return Answer(headers=_headers(entry), length=entry.size)
            version = entry.version  # what the conditions were about, whatever is current by now
        stream = await self._filesystem.stream(call.path or "/", version=version)
        return await self._content(call, stream)

    async def _content(self, call: Call, stream: IStream) -> Answer:
        """What is asked for of a file; the first bytes are there before the answer is begun, so that it may fail."""
        entry = stream.entry
        headers, asked = _headers(entry), call.header("Range")
        parts = spans(asked, entry.size) if asked and conditions.range_allowed(call, entry) else None
        if parts is None:
            return await _streamed(stream, Span(0, entry.size), HTTPStatus.OK, headers)
        if len(parts) == 1:
            headers["Content-Range"] = parts[0].told(entry.size)
            return await _streamed(stream, parts[0], HTTPStatus.PARTIAL_CONTENT, headers)
        several = Multipart(parts, entry.size, headers["Content-Type"], self._new_boundary())
        headers["Content-Type"] = several.content_type
        first = await _first(stream, parts[0])
        body = _several(stream, several, first)
        return Answer(status=HTTPStatus.PARTIAL_CONTENT, headers=headers, body=body, length=several.length)

    async def put(self, call: Call) -> Answer | None:
        """PUT: a file, or an empty directory."""
        body = call.body()
        if body.length is not None and body.length > self._max_file_size:
            raise TooLarge(
                f"The file has {body.length} bytes; at most {self._max_file_size} can be stored here.",
                path=call.path,
                limit=self._max_file_size,
                size=body.length,
            )
        if call.header("Content-Range") is not None:
            raise bad_request("A part of a file cannot be stored: send the whole one, without Content-Range.")
        if call.slash:
            return await self._make_directory(call)
        if call.flag("recursive"):
            raise bad_request("The parameter 'recursive' is for directories: the path must end with a slash.")
        if call.flag("queue"):
            return await self._queue(call, body)
        store = await self._storing(call, body)
        before = await conditions.present(call, self._filesystem)
        if call.flag("early"):
            await self._store_early(call, store)
            return None
        return _written(await store(), before)

    async def _storing(self, call: Call, body: AnyBody) -> Callable[..., Deferred[Entry]]:
        """The put that is asked for, not begun yet."""
        mode, mime, modified = _mode(call), _mime(call), _modified(call)
        return partial(
            self._filesystem.put,
            call.path,
            body,
            expect=await conditions.expectation(call, self._filesystem),
            mode=mode,
            mime=mime,
            modified=modified,
            size=body.length,
            unless_equal=call.flag("unless_equal"),
        )

    async def _queue(self, call: Call, body: AnyBody) -> Answer:
        """Store a file, or let it wait in the journal of the node while the server is away."""
        if call.flag("early"):
            raise bad_request("The parameters 'queue' and 'early' exclude each other.")
        entry = await (await self._storing(call, body))(queue=True)
        if entry.pending:
            return entry_answer(entry, status=HTTPStatus.ACCEPTED)
        return entry_answer(entry, status=HTTPStatus.OK if entry.parents else HTTPStatus.CREATED)

    async def _store_early(self, call: Call, store: Callable[[], Deferred[Entry]]) -> None:
        """Say that a file is on its way, and then how it ended: a batch of one, seen from afar."""
        ended: IFAPError | None = None
        try:
            async with self._filesystem.batch():
                entry = await store()
                start(call.request, Answer(status=HTTPStatus.ACCEPTED, headers={"Content-Type": LINES}, body=()))
                call.request.write(_line({"entry": entry.to_json()}))
        except IFAPError as error:
            if not call.request.startedWriting:
                raise
            ended = error
        found = None if ended is None else problem(ended, conditional=call.conditional)
        call.request.write(_line({"problem": found}))

    async def _make_directory(self, call: Call) -> Answer:
        for name in ("early", "queue", "unless_equal"):
            if call.flag(name):
                raise bad_request(f"The parameter '{name}' is for files.")
        await read_whole(call.body(), 0)
        await conditions.expectation(call, self._filesystem, looking=True)
        before = await conditions.present(call, self._filesystem)
        entry = await self._filesystem.make_directory(call.path or "/", parents=call.flag("recursive"))
        return _written(entry, before)

    async def delete(self, call: Call) -> Answer:
        """DELETE: a file, an empty directory, or a tree."""
        recursive = call.flag("recursive")
        expect = await conditions.expectation(call, self._filesystem, looking=call.slash or recursive)
        if call.slash:
            await self._remove_directory(call, recursive=recursive)
        else:
            await self._filesystem.remove(call.path, recursive=recursive, expect=expect)
        return Answer(status=HTTPStatus.NO_CONTENT)

    async def _remove_directory(self, call: Call, *, recursive: bool) -> None:
        path = call.path or "/"
        if not recursive:
            await self._filesystem.remove_directory(path)
            return
        entry = await self._filesystem.stat(path)
        if entry.type != "directory":
            raise NotADirectory(path=call.path)
        await self._filesystem.remove(path, recursive=True)


def _line(value: JSON) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"


def _require_file(entry: Entry, *, slash: bool) -> None:
    if entry.deleted:
        raise NotFound(path=entry.path)
    if entry.type == "directory":
        raise IsADirectory(path=entry.path)
    if slash:
        raise NotADirectory(path=entry.path)


def _written(entry: Entry, before: Entry | None) -> Answer:
    return entry_answer(entry, status=HTTPStatus.CREATED if before is None else HTTPStatus.OK)


async def _first(stream: IStream, span: Span) -> bytes:
    return await _part(stream, span.start, min(span.stop, span.start + limits.READ_TOGETHER))


async def _part(stream: IStream, start: int, stop: int) -> bytes:
    data = await stream.read(start, stop)
    if len(data) != stop - start:
        raise ProtocolViolation("The file is shorter than its entry says.", path=stream.entry.path)
    return data


async def _streamed(stream: IStream, span: Span, status: int, headers: dict[str, str]) -> Answer:
    first, length = await _first(stream, span), span.stop - span.start
    body = first if len(first) == length else _pieces(stream, span, first)
    return Answer(status=status, headers=headers, body=body, length=length)


async def _pieces(stream: IStream, span: Span, first: bytes) -> AsyncIterator[bytes]:
    """A part of a file, as the client takes it."""
    if first:
        yield first
    for begin in range(span.start + len(first), span.stop, limits.READ_TOGETHER):
        yield await _part(stream, begin, min(begin + limits.READ_TOGETHER, span.stop))


async def _several(stream: IStream, several: Multipart, first: bytes) -> AsyncIterator[bytes]:
    for number, span in enumerate(several.spans):
        yield several.before(span)
        async for piece in _pieces(stream, span, first if number == 0 else b""):
            yield piece
    yield several.end


def _headers(entry: Entry) -> dict[str, str]:
    media_type = entry.mime if entry.mime and _MEDIA_TYPE.fullmatch(entry.mime) else DEFAULT_TYPE
    return {
        **etag_header(entry),
        "Content-Type": media_type,
        "Content-Disposition": disposition(entry.path),
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Accept-Ranges": "bytes",
        "Last-Modified": conditions.http_date(entry),
        MODE_HEADER: f"{entry.mode:04o}",
        MODIFIED_HEADER: entry.to_json()["modified"],
        ENTRY_HEADER: json.dumps(entry.to_json(), separators=(",", ":")).replace("\x7f", "\\u007f"),
    }


def disposition(path: str) -> str:
    """``Content-Disposition`` that names the file (RFC 6266, RFC 8187): no name can leave its quotes."""
    name = path.rsplit("/", 1)[-1]
    encoded = quote(name, safe="", errors="replace")
    return f"attachment; filename=\"{_PLAIN_NAME.sub('_', name)}\"; filename*=UTF-8''{encoded}"


def _mode(call: Call) -> int | None:
    value = call.header(MODE_HEADER)
    if value is None:
        return None
    if not _MODE.fullmatch(value) or int(value, 8) > 0o7777:
        raise bad_request(f"{MODE_HEADER} must be permission bits in octal, such as 644.")
    return int(value, 8)


def _mime(call: Call) -> str | None:
    value = call.header("Content-Type")
    if value is not None and not _MEDIA_TYPE.fullmatch(value):
        raise bad_request("Content-Type must be a media type such as text/plain.")
    return value


def _modified(call: Call) -> float | None:
    value = call.header(MODIFIED_HEADER)
    if value is not None:
        return parse_time(value, MODIFIED_HEADER)
    value = call.header("Last-Modified")
    if value is None:
        return None
    date = conditions.parse_http_date(value)
    if date is None:
        raise bad_request("Last-Modified must be an HTTP date.")
    return date.timestamp()
