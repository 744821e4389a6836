"""Messages as files, byte for byte as they came; parts of them as Python's ``email`` package sees them."""

import re
from email import message_from_bytes
from email.generator import BytesGenerator
from email.utils import formatdate, getaddresses
from io import BytesIO

from twisted.internet.defer import Deferred
from twisted.mail.imap4 import IMessage, IMessageFile, IMessagePart
from zope.interface import implementer

EMPTY_LINE = re.compile(rb"\A\r?\n|\r?\n\r?\n")
FIELD = re.compile(rb"^([!-9;-~]+)[ \t]*:.*(?:\n[ \t].*)*(?:\n|\Z)", re.MULTILINE)


def split(raw):
    """Header, with the empty line that ends it, and text."""
    end = EMPTY_LINE.search(raw)
    return (raw, b"") if end is None else (raw[: end.end()], raw[end.end() :])


def plain(text):
    """A header field's value on one line, in ASCII: all that Twisted can send."""
    return re.sub(r"[^ -~]", "?", " ".join(str(text).split()))


@implementer(IMessagePart)
class Part:
    """A message or a part of one, as ENVELOPE and BODYSTRUCTURE need it.

    :ivar header: raw, with the empty line; ``text`` what comes after it.
    """

    def __init__(self, raw, parsed=None):
        self._parsed = message_from_bytes(raw) if parsed is None else parsed
        self.raw = raw
        self.header, self.text = split(raw)

    def getHeaders(self, negate, *names):
        """Fields by their names in lower case; of several of one name the first."""
        wanted = {name.lower() for name in names}
        found = {"content-type": self._content_type(), "content-transfer-encoding": "7bit"}  # what absent ones mean
        found = {name: value for name, value in found.items() if (name in wanted) != negate}
        for name, value in reversed(self._parsed.items()):
            if (name.lower() in wanted) != negate and name.lower() != "content-type":
                found[name.lower()] = plain(value)
        return found

    def _content_type(self):
        """Only what Twisted's parser understands."""
        parameters = [
            (name, plain(value)) for name, value in self._parsed.get_params([])[1:] if name and isinstance(value, str)
        ]
        safe = [f'{name}="{value}"' for name, value in parameters if not re.search('[;"=]', value)]
        return "; ".join([self._parsed.get_content_type(), *safe])

    def getBodyFile(self):
        return BytesIO(self.text)

    def getSize(self):
        return len(self.text)

    def isMultipart(self):
        return self._parsed.is_multipart()

    def getSubPart(self, part):
        """:raises IndexError: there is none."""
        if not self._parsed.is_multipart():
            raise IndexError(part)
        parsed = self._parsed.get_payload()[part]
        buffer = BytesIO()
        BytesGenerator(buffer, mangle_from_=False, maxheaderlen=0).flatten(parsed, linesep="\r\n")
        return Part(buffer.getvalue(), parsed)

    def envelope(self):
        """ENVELOPE (RFC 9051 section 7.5.2); Twisted's is not well formed for addresses that are."""
        found = self.getHeaders(True)
        sender = found.get("from")
        lists = [found.get(name, sender) for name in ("from", "sender", "reply-to")]
        lists += [found.get(name) for name in ("to", "cc", "bcc")]
        texts = [found.get(name) for name in ("date", "subject", "in-reply-to", "message-id")]
        return (*texts[:2], *map(addresses, lists), *texts[2:])

    def below(self, numbers):
        """The part of these numbers; part 1 of what has no parts is itself (RFC 9051 section 6.4.5).

        :raises IndexError: there is none.
        """
        part = self
        for number in numbers:
            if part.isMultipart():
                inner = part.getSubPart(0) if part._parsed.get_content_type() == "message/rfc822" else part
                part = inner.getSubPart(number) if inner.isMultipart() else inner
            elif number:
                raise IndexError(number)
        return part


@implementer(IMessage, IMessageFile)
class Message:
    """One message. Flags, UID, time and size are known; the rest after ``load``."""

    def __init__(self, filesystem, uid, entry, flags):
        self._filesystem = filesystem
        self._uid = uid
        self._entry = entry
        self._flags = flags
        self.content = None

    def load(self):
        """Fires when the content is there."""
        return Deferred.fromCoroutine(self._load())

    async def _load(self):
        if self.content is None:
            self.content = Part(await self._filesystem.get(self._entry.path, version=self._entry.version))

    def getUID(self):
        return self._uid

    def getFlags(self):
        return self._flags

    def getInternalDate(self):
        return formatdate(self._entry.modified)

    def getSize(self):
        return self._entry.size

    def getHeaders(self, negate, *names):
        return self.content.getHeaders(negate, *names)

    def getBodyFile(self):
        return self.content.getBodyFile()

    def isMultipart(self):
        return self.content.isMultipart()

    def getSubPart(self, part):
        return self.content.getSubPart(part)

    def open(self):
        return BytesIO(self.content.raw)

    @property
    def when(self):
        """Unix time of the INTERNALDATE."""
        return self._entry.modified

    def section(self, wanted):
        """The bytes of a section as FETCH names it; none of a part that is not there."""
        try:
            part = self.content.below(wanted.part or ())
        except IndexError:
            return b""
        if wanted.header:
            return fields(part.header, wanted.header) if wanted.header.fields else part.header
        if wanted.mime:
            return part.header
        if wanted.text or wanted.part:
            return part.text
        return part.raw


def addresses(field):
    """Name, route, mailbox and host of each address of a field; None when there is none."""
    found = [(name or None, None, *address.rpartition("@")[::2]) for name, address in getaddresses([field or ""])]
    return [one for one in found if one[3]] or None


def fields(header, wanted):
    """The fields of these names, or all others, as they came, and the empty line."""
    names = {name.lower() for name in wanted.fields}
    chosen = [match[0] for match in FIELD.finditer(header) if (match[1].lower() in names) != bool(wanted.negate)]
    return b"".join(chosen) + b"\r\n"
