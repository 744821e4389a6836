"""Twisted's ``IAccount`` and ``IMailbox`` over directories of the filesystem."""

# ruff: noqa: ARG002 -- the arguments are those of Twisted's interfaces

import re
from dataclasses import replace
from email.utils import mktime_tz, parsedate_tz

from twisted.internet.defer import Deferred, gatherResults
from twisted.mail.imap4 import (
    IAccount,
    IMailbox,
    IMailboxInfo,
    INamespacePresenter,
    ISearchableMailbox,
    MailboxException,
    ReadOnlyMailbox,
    wildcardToRegexp,
)
from zope.interface import implementer

from ifap_twisted.errors import AlreadyExists, IFAPError, NotFound, QuotaExceeded, TooLarge
from mailproxy.directories import MESSAGE, ROOT, STATE, Directory
from mailproxy.messages import Message
from mailproxy.searching import needs_content, search

SYSTEM_FLAGS = ("\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft")
LOADED_AT_ONCE = 20
CODES = {NotFound: "NONEXISTENT", AlreadyExists: "ALREADYEXISTS", QuotaExceeded: "OVERQUOTA", TooLarge: "TOOBIG"}


def refusal(error):
    """What a client is told of an error: a response code (RFC 9051 section 7.1) and a sentence in ASCII."""
    code = next((code for kind, code in CODES.items() if isinstance(error, kind)), None)
    code = code or ("UNAVAILABLE" if error.retryable else "CANNOT")
    return f"[{code}] " + re.sub(r"[^ -~]", "?", error.detail)


def answered(method):
    """An ``async def`` that Twisted's server can call: a Deferred that fails with nothing but ``MailboxException``."""

    async def translated(*args, **kwargs):
        try:
            return await method(*args, **kwargs)
        except IFAPError as error:
            raise MailboxException(refusal(error)) from error

    return lambda *args, **kwargs: Deferred.fromCoroutine(translated(*args, **kwargs))


@implementer(IMailbox, IMailboxInfo, ISearchableMailbox)
class Mailbox:
    """A mailbox as one session has selected it: sequence numbers stay until the session takes the ``news``.

    :ivar notify: called when something has changed.
    """

    notify = None

    def __init__(self, directory, entries, uidnext, state, *, writable):
        self._directory = directory
        self._uids = list(entries)
        self._uidnext = uidnext
        self._state = state
        self._writable = writable
        self._listeners = []
        self._looks = 0
        self._taken = 0

    # Immediate values

    def getUIDValidity(self):
        return self._state.uidvalidity

    def getUIDNext(self):
        return self._uidnext

    def getUID(self, message):
        return self._uids[message - 1]

    def getMessageCount(self):
        return len(self._uids)

    def getRecentCount(self):
        return 0

    def getUnseenCount(self):
        return sum("\\Seen" not in self._state.flags.get(uid, ()) for uid in self._uids)

    def isWriteable(self):
        return self._writable

    def getFlags(self):
        return SYSTEM_FLAGS

    def getHierarchicalDelimiter(self):
        return "/"

    def requestStatus(self, names):
        values = {
            "MESSAGES": self.getMessageCount,
            "RECENT": self.getRecentCount,
            "UIDNEXT": self.getUIDNext,
            "UIDVALIDITY": self.getUIDValidity,
            "UNSEEN": self.getUnseenCount,
        }
        return {name: values[name.upper()]() for name in names if name.upper() in values}

    def addListener(self, listener):
        self._listeners.append(listener)

    def removeListener(self, listener):
        self._listeners.remove(listener)

    @property
    def selected(self):
        """Whether a session has it open."""
        return bool(self._listeners)

    def concerns(self, path):
        """Whether a file belongs to this mailbox."""
        return path.startswith(self._directory.path + "/")

    # Messages

    def addMessage(self, message, flags=(), date=None):
        return self._locked(self._add(message.read(), flags, date))

    async def _add(self, data, flags, date):
        return await self._directory.append(data, known(flags), moment(date))

    @answered
    async def fetch(self, messages, uid):
        entries, _uidnext = await self._directory.entries()
        state = await self._directory.state()
        return [
            (number, Message(self._directory.filesystem, one, entries[one], state.flags.get(one, ())))
            for number, one in self._chosen(messages, uid)
            if one in entries
        ]

    def store(self, messages, flags, mode, uid):
        """Change flags: -1 takes them away, 1 adds them, 0 replaces them."""
        return self._locked(self._store(self._chosen(messages, uid), known(flags), mode))

    def mark_seen(self, messages):
        """Note that messages were read, if they may be marked; the new flags by sequence number."""
        unseen = [(number, one.getUID()) for number, one in messages if "\\Seen" not in one.getFlags()]
        return self._locked(self._store(unseen if self._writable else [], ("\\Seen",), 1))

    async def _store(self, chosen, flags, mode):
        if chosen and not self._writable:
            raise ReadOnlyMailbox("it was opened with EXAMINE")
        entries, _uidnext = await self._directory.entries()
        chosen = [(number, uid) for number, uid in chosen if uid in entries]

        def change(state):
            changed = {uid: changed_flags(state.flags.get(uid, ()), flags, mode) for _number, uid in chosen}
            return replace(state, flags={uid: now for uid, now in (state.flags | changed).items() if now})

        state = await self._directory.change(change)
        told = {uid: state.flags.get(uid, ()) for _number, uid in chosen}
        self._state = replace(self._state, flags={**self._state.flags, **told})
        return {number: told[uid] for number, uid in chosen}

    def expunge(self):
        r"""Remove what is marked \\Deleted; the sequence numbers, descending. The next news tell them, too."""
        return self._locked(self._expunge())

    async def _expunge(self):
        entries, _uidnext = await self._directory.entries()
        state = await self._directory.state()
        uids = {uid for uid in entries if "\\Deleted" in state.flags.get(uid, ())}
        await self._directory.remove(uids)
        return [number for number, uid in enumerate(self._uids, 1) if uid in uids][::-1]

    def withdraw(self, uids):
        """Remove messages that were added just now."""
        return self._locked(self._directory.remove(uids))

    @answered
    async def search(self, query, uid):
        """The sequence numbers of what a SEARCH finds."""
        del uid  # the server asks for UIDs with getUID
        everything = await self.fetch(None, 0)
        if needs_content(query):
            await load([message for _number, message in everything])
        return search(query, everything, last=(len(self._uids), self._uids[-1] if self._uids else 0))

    @answered
    async def look(self):
        """What there is now, to be given to ``news``."""
        self._looks += 1
        look = self._looks
        state = await self._directory.state()
        return look, await self._directory.entries(), state

    def news(self, found):
        """What has changed since the last news: numbers expunged, descending; how many there are; flags by number."""
        look, (entries, uidnext), state = found
        if look < self._taken:
            return [], len(self._uids), {}
        before, self._state, self._uidnext, self._taken = self._state, state, uidnext, look
        gone = [number for number, uid in enumerate(self._uids, 1) if uid not in entries][::-1]
        for number in gone:
            del self._uids[number - 1]
        known_before = set(self._uids)
        self._uids += [uid for uid in entries if uid not in known_before]
        flags = {
            number: self._state.flags.get(uid, ())
            for number, uid in enumerate(self._uids, 1)
            if uid in known_before and self._state.flags.get(uid, ()) != before.flags.get(uid, ())
        }
        return gone, len(self._uids), flags

    def _chosen(self, messages, uid):
        """Sequence number and UID of those in a set; None is all."""
        pairs = list(enumerate(self._uids, 1))
        if messages is None or not pairs:
            return pairs
        messages.last = self._uids[-1] if uid else len(pairs)
        return [(number, one) for number, one in pairs if (one if uid else number) in messages]

    def _locked(self, work):
        """Changes of one mailbox one after the other, in the order of the calls."""
        return self._directory.lock.run(answered(lambda: work))


@implementer(IMailboxInfo)
class Listed:
    """A mailbox in a listing."""

    def __init__(self, *flags):
        self._flags = flags

    def getFlags(self):
        return self._flags

    def getHierarchicalDelimiter(self):
        return "/"


@implementer(IAccount, INamespacePresenter)
class Account:
    """The mailboxes of a user. All are subscribed."""

    def __init__(self, filesystem):
        self._filesystem = filesystem
        self._directories = {}
        self._selected = set()
        filesystem.watch(self._told)

    @answered
    async def select(self, name, rw=True):
        """Open a mailbox; INBOX is made when it is first wanted.

        :raises MailboxException: there is no such mailbox.
        """
        directory = self._directory(name)
        try:
            state = await directory.state()
        except NotFound:
            if directory.path != f"{ROOT}/INBOX":
                return None
            await directory.create()
            state = await directory.state()
        entries, uidnext = await directory.entries()
        return Mailbox(directory, entries, uidnext, state, writable=bool(rw))

    @answered
    async def create(self, name):
        await self._directory(name.rstrip("/")).create()

    @answered
    async def delete(self, name):
        directory = self._directory(name)
        await directory.state()
        if spelled(name) == "INBOX":
            raise MailboxException("[CANNOT] INBOX cannot be deleted")
        if any(other.startswith(f"{spelled(name)}/") for other in await self._names()):
            raise MailboxException("[CANNOT] There are mailboxes below it")
        await self._filesystem.remove(directory.path, recursive=True)
        del self._directories[spelled(name)]

    @answered
    async def rename(self, oldname, newname):
        directory = self._directory(oldname)
        await directory.state()
        if spelled(oldname) == "INBOX":
            raise MailboxException("[CANNOT] INBOX cannot be renamed")
        await self._filesystem.move(directory.path, self._directory(newname).path)
        del self._directories[spelled(oldname)]

    @answered
    async def listMailboxes(self, ref, wildcard):
        if not wildcard:  # only asks for the delimiter
            return [("", Listed("\\Noselect"))]
        pattern = wildcardToRegexp(ref + wildcard, "/")
        return [(name, Listed()) for name in await self._names() if pattern.match(name)]

    def isSubscribed(self, name):
        return True

    def subscribe(self, name):
        """There is nothing to do."""

    def unsubscribe(self, name):
        raise MailboxException("[CANNOT] All mailboxes are subscribed here")

    def addMailbox(self, name, mbox=None):
        raise MailboxException("[CANNOT] Mailboxes are made with CREATE")

    def getPersonalNamespaces(self):
        return [[b"", b"/"]]

    def getSharedNamespaces(self):
        return None

    def getUserNamespaces(self):
        return None

    def opened(self, mailbox):
        """A session has selected a mailbox: tell it of news."""
        self._selected = {one for one in self._selected if one.selected} | {mailbox}

    def _told(self, event):
        """The filesystem tells of a change, by us or by somebody else."""
        for mailbox in [one for one in self._selected if one.selected and one.notify is not None]:
            if event.kind == "renewed" or (event.entry is not None and mailbox.concerns(event.entry.path)):
                mailbox.notify()

    async def _names(self):
        try:
            entries = await self._filesystem.list(ROOT, recursive=True)
        except NotFound:
            entries = []
        paths = [entry.path for entry in entries if entry.path.endswith(f"/{STATE}")]
        return sorted({"INBOX", *(path.removeprefix(f"{ROOT}/").removesuffix(f"/{STATE}") for path in paths)})

    def _directory(self, name):
        name = spelled(name)
        if any(MESSAGE.fullmatch(part) or part == STATE for part in name.split("/")):
            raise MailboxException("[CANNOT] No mailbox can have this name")
        return self._directories.setdefault(name, Directory(self._filesystem, name))


def spelled(name):
    """INBOX is the same in any case."""
    head, slash, rest = name.partition("/")
    return f"{'INBOX' if head.upper() == 'INBOX' else head}{slash}{rest}"


def known(flags):
    r"""Flags as they are kept: system flags in one spelling, no \\Recent."""
    spellings = {flag.lower(): flag for flag in SYSTEM_FLAGS}
    kept = [spellings.get(flag.lower(), flag) for flag in flags if flag.lower() != "\\recent"]
    return tuple(sorted(set(kept)))


def changed_flags(before, flags, mode):
    """The flags of a message after a STORE."""
    after = set(flags) if mode == 0 else set(before) | set(flags) if mode > 0 else set(before) - set(flags)
    return tuple(sorted(after))


def moment(date):
    """Unix time of a date-time of IMAP (``17-Jul-1996 02:44:25 -0700``) or of mail; None is now.

    :raises MailboxException: it is neither.
    """
    if date is None:
        return None
    text = date.decode("ascii", "replace") if isinstance(date, bytes) else date
    parsed = parsedate_tz(re.sub(r"^\s*(\d+)-(\w+)-", r"\1 \2 ", text))
    if parsed is None:
        raise MailboxException("[CANNOT] This is no date")
    return float(mktime_tz(parsed))


async def load(messages):
    """Fetch the contents of messages, several at once."""
    for start in range(0, len(messages), LOADED_AT_ONCE):
        loading = [message.load() for message in messages[start : start + LOADED_AT_ONCE]]
        await gatherResults(loading, consumeErrors=True)
