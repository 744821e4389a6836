"""The criteria of SEARCH (RFC 9051 section 6.4.4), on messages in memory."""

from email.utils import mktime_tz, parsedate_tz
from time import strptime

from twisted.mail.imap4 import IllegalClientResponse, parseIdList

FLAGS = {b"ANSWERED": "\\Answered", b"DELETED": "\\Deleted", b"DRAFT": "\\Draft", b"FLAGGED": "\\Flagged"}
FLAGS |= {b"SEEN": "\\Seen", b"RECENT": "\\Recent"}
FIELDS = (b"BCC", b"CC", b"FROM", b"SUBJECT", b"TO")
CONTENT = {*FIELDS, b"HEADER", b"BODY", b"TEXT", b"SENTBEFORE", b"SENTON", b"SENTSINCE"}
DAY = 86_400


def needs_content(query):
    """Whether a query can only be answered with the contents of the messages."""
    return any(needs_content(word) if isinstance(word, list) else word.upper() in CONTENT for word in query)


def search(query, messages, last):
    """The numbers of those that meet all criteria.

    :param messages: pairs of sequence number and message.
    :param last: the highest sequence number and UID.
    :raises IllegalClientResponse: there is no such criterion.
    """
    criterion = Criteria(last).all_of(list(query))
    return [number for number, message in messages if criterion(number, message)]


class Criteria:
    """Turns the words of a query into functions of a sequence number and a message."""

    def __init__(self, last):
        self._last = last

    def all_of(self, words):
        """All that the words say."""
        criteria = []
        while words:
            criteria.append(self._next(words))
        return lambda number, message: all(criterion(number, message) for criterion in criteria)

    def _next(self, words):
        try:
            word = words.pop(0)
            if isinstance(word, list):
                return self.all_of(list(word))
            key = word.upper()
            if key[:1].isdigit() or key[:1] == b"*":
                numbers = parseIdList(key, self._last[0] or 1)
                return lambda number, _message: number in numbers
            return self._flag(key) or self._number(key, words) or self._text(key, words) or self._other(key, words)
        except (IndexError, ValueError, AttributeError):
            raise IllegalClientResponse("SEARCH does not know this, or something is missing") from None

    def _flag(self, key):
        if key == b"NEW":
            return lambda _number, _message: False
        if key in (b"ALL", b"OLD"):
            return lambda _number, _message: True
        wanted = not key.startswith(b"UN")
        flag = FLAGS.get(key if wanted else key[2:])
        return flag and (lambda _number, message: (flag in message.getFlags()) == wanted)

    def _number(self, key, words):
        if key == b"UID":
            uids = parseIdList(words.pop(0), self._last[1] or 1)
            return lambda _number, message: message.getUID() in uids
        if key in (b"LARGER", b"SMALLER"):
            size, sign = int(words.pop(0)), 1 if key == b"LARGER" else -1
            return lambda _number, message: sign * message.getSize() > sign * size
        if key in (b"BEFORE", b"ON", b"SINCE", b"SENTBEFORE", b"SENTON", b"SENTSINCE"):
            sent, day = key.startswith(b"SENT"), day_of(words.pop(0))
            within = {b"BEFORE": (-1,), b"ON": (0,), b"SINCE": (0, 1)}[key.removeprefix(b"SENT")]
            return lambda _number, message: compared(sent_on(message) if sent else message.when // DAY, day) in within
        return None

    def _text(self, key, words):
        if key in (b"BODY", b"TEXT"):
            text = words.pop(0).lower()
            if key == b"BODY":
                return lambda _number, message: text in message.content.text.lower()
            return lambda _number, message: text in message.content.raw.lower()
        if key not in (*FIELDS, b"HEADER"):
            return None
        name = (words.pop(0) if key == b"HEADER" else key).decode("ascii").lower()
        part = words.pop(0).decode("ascii", "replace").lower()
        return lambda _number, message: part in message.getHeaders(False, name).get(name, "\0").lower()

    def _other(self, key, words):
        if key in (b"KEYWORD", b"UNKEYWORD"):
            flag, wanted = words.pop(0).decode("ascii").lower(), key == b"KEYWORD"
            return lambda _number, message: (flag in [one.lower() for one in message.getFlags()]) == wanted
        if key == b"NOT":
            criterion = self._next(words)
            return lambda number, message: not criterion(number, message)
        if key == b"OR":
            one, other = self._next(words), self._next(words)
            return lambda number, message: one(number, message) or other(number, message)
        raise ValueError(key)


def compared(one, other):
    """-1, 0 or 1; None when there is nothing to compare."""
    return None if one is None else (one > other) - (one < other)


def day_of(word):
    """A date of IMAP (``1-Feb-2026``) in days since 1970."""
    parsed = strptime(word.decode("ascii"), "%d-%b-%Y")
    return mktime_tz((*parsed[:3], 0, 0, 0, 0, 0, 0, 0)) // DAY


def sent_on(message):
    """The day of the Date field, in days since 1970, whatever its zone; None when there is none."""
    parsed = parsedate_tz(message.getHeaders(False, "date").get("date", ""))
    return None if parsed is None else mktime_tz((*parsed[:3], 0, 0, 0, 0, 0, 0, 0)) // DAY
