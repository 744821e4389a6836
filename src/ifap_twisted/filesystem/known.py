"""What is known of a folder: its messages, under the numbers that the server gave them. It asks and tells nobody."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from ifap_twisted.core import envelope, limits
from ifap_twisted.core.dialects import Dialect
from ifap_twisted.core.index import Index
from ifap_twisted.core.keys import Key
from ifap_twisted.core.records import Records
from ifap_twisted.core.revocations import Revocation
from ifap_twisted.core.values import Checked, FolderState, HeaderBlock, Version
from ifap_twisted.errors import DataError, KeyChanged, Renumbered, RevokedKey
from ifap_twisted.filesystem.key_use import KeyUse
from ifap_twisted.interfaces import IMessageStore

NOT_NOW: Final = "not-readable-now"
"""What is said of a content that the mail server did not give."""


class Known:
    """The index of one folder, and what its messages are read with.

    :ivar elapsed: seconds that pass, whoever sets the date.
    :ivar home: of the folder object; None until it was found (FORMAT 8.2).
    :ivar index: replaced as a whole when the server renumbers.
    :ivar folder: as the server said when the folder was read last; None before that.
    :ivar claimed: how many messages are there, as the server said last (EXISTS).
    :ivar removing: the UIDs of what this device is removing now.
    :ivar aside: what a repair has set aside: UIDs, with what is wrong there.
    :ivar holed: the UIDs of the manifests of which chunks are lost, as far as somebody has looked.
    :ivar suspects: likewise, the contents that could not be used when they were read last, by an earlier process or
        because the server did not give them.
    :ivar redated: messages whose header has another date than that of their sealing, as they were read last.
    :ivar checked: how far the checks are that a node makes by itself.
    :ivar revocation: which keys count no more, and for what all the same (FORMAT 8.5).
    :ivar left: the fingerprints of the keys that were given up for one that is known here: nothing is sent
        under these.
    :ivar key_changed: the key was revoked on another device: nothing is read or written any more.
    :ivar key_use: which files are under a former key, where the folder has more than one.
    :ivar changed: called when something became known, or is gone.
    """

    def __init__(
        self, store: IMessageStore, *, dialect: Dialect, keys: Sequence[Key], elapsed: Callable[[], float]
    ) -> None:
        self.store = store
        self.dialect = dialect
        self.keys = keys
        self.elapsed = elapsed
        self.home: str | None = None
        self.records = Records()
        self.index = Index(self.records)
        self.folder: FolderState | None = None
        self.claimed = 0
        self.removing: set[int] = set()
        self.aside: set[tuple[int, str]] = set()
        self.holed: frozenset[int] = frozenset()
        self.suspects: set[tuple[int, str]] = set()
        self.redated: set[int] = set()
        self.checked = Checked()
        self.revocation = Revocation()
        self.left: frozenset[str] = frozenset()
        self.key_changed = False
        self.key_use = KeyUse()
        self._damage: dict[int, DataError] = {}
        self.changed: Callable[[], None] = do_nothing
        self._generation = 0
        self._index_generation = 0

    @property
    def generation(self) -> int:
        """Grows with each renumbering: UIDs that were learnt under another one mean nothing (FORMAT 2.5)."""
        return self._generation

    @property
    def index_generation(self) -> int:
        """Of the UIDs in the index."""
        return self._index_generation

    @property
    def renumbering(self) -> bool:
        """The server has given new numbers and the index still holds the old ones."""
        return self._index_generation != self._generation

    @property
    def lags(self) -> bool:
        """The server counts more messages than are known."""
        return self.claimed > len(self.index)

    @property
    def uidvalidity(self) -> int:
        """Of the UIDs in the index; 0 before the first listing."""
        return self.index.validity

    @property
    def read_only(self) -> bool:
        """The server takes no changes to the folder, as it said last."""
        return self.folder is not None and self.folder.read_only

    @property
    def rejected(self) -> Mapping[int, DataError]:
        """Why messages of this folder cannot be used, by UID: their headers, or what was found when they were read."""
        return {**self._damage, **self.index.rejected()}

    @property
    def damage(self) -> Mapping[int, str]:
        """What is wrong with messages, by UID: :attr:`rejected`, and what earlier processes found when they read."""
        found = {uid: error.code for uid, error in self.rejected.items()}
        earlier = {
            uid: code for uid, code in sorted(self.suspects) if code != NOT_NOW and self.index.at(uid) is not None
        }
        return {**earlier, **found}

    @property
    def late(self) -> Mapping[int, Version]:
        """What came under a revoked key, by UID: it is set aside."""
        found = self.index.rejected().items()
        return {uid: error.found for uid, error in found if isinstance(error, RevokedKey)}

    def check_key(self) -> None:
        """The key was not revoked, for all that is known here.

        :raises KeyChanged:
        """
        if self.key_changed:
            raise KeyChanged

    def damage_at(self, uid: int) -> DataError | None:
        """What was found when the content of a version was read last, or would have been."""
        return self._damage.get(uid)

    def spoil(self, uid: int, error: DataError) -> None:
        """The content of the version at a UID cannot be used; it counts until it can, or is gone."""
        if self.index.at(uid) is not None:
            self._damage[uid] = error
            self.changed()

    def heal(self, uids: Collection[int]) -> None:
        """Nothing is held against the contents at these UIDs any more."""
        for uid in uids:
            self._damage.pop(uid, None)
        self.suspects = _without(self.suspects, uids)

    @property
    def spoilt(self) -> AbstractSet[tuple[int, str]]:
        """What is to be read again by the next process: UIDs, with what was wrong there."""
        return self.suspects | {(uid, error.code) for uid, error in self._damage.items()}

    @property
    def unusable(self) -> Mapping[int, DataError | None]:
        """Why contents of versions could not be used when they were last read, by an earlier process too, by UID."""
        return {**dict.fromkeys(uid for uid, _code in self.suspects), **self._damage}

    def is_known_as(self, expected: Mapping[int, str], block: HeaderBlock) -> bool:
        """Whether a message is the one that was known by its UID (FORMAT 2.1).

        :param expected: sealed ids by UID, that of this message among them.
        """
        try:
            return envelope.sealed_id_of(block.fields, self.dialect) == expected[block.uid]
        except DataError:
            return False

    def lose(self, uids: Collection[int]) -> None:
        """The messages at these UIDs are gone, and with them what was known of them beside the index."""
        self.heal(uids)
        self.aside = _without(self.aside, uids)

    def set_aside(self, uids: Collection[int], code: str) -> bool:
        """A person knows that these are of no use, and why; whether there is room to remember it."""
        wrong = {(uid, code) for uid in uids}
        if len(self.aside | wrong) > limits.FAULTS:
            return False
        self.aside |= wrong
        self.changed()
        return True

    def check_generation(self, generation: int) -> None:
        """UIDs that were learnt under it are still those of the same messages.

        :raises Renumbered:
        """
        if self.renumbering or generation != self._generation:
            raise Renumbered("The mail server renumbered the folder meanwhile.")

    def check_read(self, generation: int) -> None:
        """What was read under it was not overtaken by a renumbering.

        :raises Renumbered:
        """
        if generation != self._generation:
            raise Renumbered("The server renumbered the folder while it was read.")

    def renumber(self) -> None:
        """All numbers mean nothing from now on."""
        self._generation += 1
        self.removing.clear()

    def renew(self, index: Index, generation: int) -> None:
        """Go on with an index that was made under a generation."""
        self.index = index
        self.key_use.clear()
        self._damage.clear()
        self.aside.clear()
        self.holed = frozenset()
        self.suspects.clear()
        self.redated.clear()
        self._index_generation = generation


def _without(wrong: set[tuple[int, str]], uids: Collection[int]) -> set[tuple[int, str]]:
    gone = set(uids) if wrong else ()
    return {(uid, code) for uid, code in wrong if uid not in gone}


def do_nothing() -> None:
    """Nobody wants to know."""
