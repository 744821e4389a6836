"""What whoever reads the mailbox sees: how many messages there are, when each was made, and roughly how large it is.

Nothing else may be seen. The known leaks are shown, too, so that nobody takes more for hidden than is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import recovery_codes
from ifap_twisted.filesystem.opening import Membership
from ifap_twisted.filesystem.unlocking import Unlock
from ifap_twisted.secrecy import Secret
from tests.end_to_end.test_secrets import hits
from tests.filesystem.folders import KEY, Folder, result

WINDOW = 16
"""So many characters of base64 (96 bits) are never equal by chance."""
CODE = Secret(recovery_codes.encode(bytes(range(32))))
STAMP = 12
"""The first characters of a token hold its version and the time of the sealing, in clear."""


def parts(message: bytes) -> tuple[bytes, bytes]:
    """The header block, and the body."""
    head, _, body = message.partition(b"\r\n\r\n")
    return head, body


def tokens(message: bytes) -> list[bytes]:
    """What is sealed in it, without white space."""
    head, body = parts(message)
    found = re.search(rb"X-IFAP:((?:.*\r\n[ \t])*.*)", head)
    assert found is not None
    return [b"".join(token.split()).lstrip(b"!") for token in (found[1], body)]


def windows(token: bytes) -> set[bytes]:
    """Every part of it that two tokens could have in common, behind the time."""
    return {token[at : at + WINDOW] for at in range(STAMP, len(token) - WINDOW)}


class ObserverCase(SynchronousTestCase):
    """A folder, and the messages that come into it."""

    def setUp(self) -> None:
        """An empty one."""
        self.folder = Folder()
        self.device = self.folder.device()

    def made(self, work: Callable[[], Deferred[Any]]) -> list[bytes]:
        """The messages that something stores."""
        before = set(self.folder.shelf.messages)
        result(work())
        return [message for uid, message in self.folder.shelf.messages.items() if uid not in before]

    def put(self, path: str, content: bytes) -> bytes:
        """The message of a file."""
        (message,) = self.made(lambda: self.device.put(path, content))
        return message


class HiddenTests(ObserverCase):
    """What cannot be seen."""

    def test_names_and_contents(self) -> None:
        """No name and no content is in any message of a whole life, as it is or in base64, hex or a URL."""
        names = [b"wills-and-heirs", b"north-tower", b"locked-diary", b"empty-cellar"]
        contents = [b"the silver is buried below the third oak", b"nobody has seen the second will"]
        opened = result(self.folder.opening(Membership(keys=(KEY,))))
        device = opened.filesystem
        for path, content in zip(("wills-and-heirs/north-tower.txt", "locked-diary"), contents, strict=True):
            result(device.put(path, contents[0]))
            result(device.put(path, content))
        result(device.lock("locked-diary", holder="grandmother at the mill"))
        result(device.make_directory("empty-cellar"))
        result(device.move("wills-and-heirs/north-tower.txt", "north-tower"))
        result(device.keep("north-tower", 1))
        result(device.remove("north-tower"))
        result(device.collect())
        result(device.snapshot())
        for unlock in (Unlock.by_passphrase(Secret("seven grey herons play chess")), Unlock.by_recovery_code(CODE)):
            result(Deferred.fromCoroutine(opened.slots.write(unlock)))
        messages = list(self.folder.shelf.messages.values())
        self.assertGreater(len(messages), 12)
        self.assertEqual(hits(b"\r\n".join(messages), {*names, *contents, b"grandmother at the mill"}), [])

    def test_equal_files(self) -> None:
        """Equal files under one name have nothing in common but the fixed fields and, perhaps, the time."""
        one, other = (self.put("twin", b"the same content " * 200) for _ in range(2))
        for ours, theirs in zip(tokens(one), tokens(other), strict=True):
            self.assertEqual(windows(ours) & windows(theirs), set())

    def test_kinds(self) -> None:
        """Small and empty files, removals, empty directories, moves, copies, checkpoints and snapshots look alike."""
        kinds = [[self.put("small", b"x")], [self.put("void", b"")]]
        kinds += [
            self.made(work)
            for work in (
                lambda: self.device.remove("small"),
                lambda: self.device.make_directory("room"),
                lambda: self.device.move("void", "gone"),
                lambda: self.device.copy("gone", "twin"),
                self.device.snapshot,
            )
        ]
        looks = {tuple(len(part) for part in parts(message)) for kind in kinds for message in kind}
        self.assertEqual([len(kind) for kind in kinds], [1, 1, 1, 1, 2, 1, 2], "a snapshot comes with a checkpoint")
        self.assertEqual(len(looks), 1)

    def test_fixed_fields(self) -> None:
        """The fields that anybody reads are the same for every message, but for its date and its random id."""
        seen = {
            re.sub(rb"(?m)^(X-IFAP:|Date:|Message-ID:)[^\r]*(\r\n[ \t][^\r]*)*", b"", parts(message)[0])
            for message in (self.put("short", b"1"), self.put("a/much/longer/path/" * 20 + "x", b"2" * 9000))
        }
        self.assertEqual(len(seen), 1)


class SeenTests(ObserverCase):
    """What can be seen."""

    def test_sizes_in_steps(self) -> None:
        """Contents are padded to 2,048 bytes, paths with what else is in a header to 148: more is not told."""
        sizes = [len(parts(self.put("f", bytes(length)))[1]) for length in (0, 1, 2047, 2048, 4095, 4096)]
        self.assertEqual([sizes.index(size) for size in sizes], [0, 0, 0, 3, 3, 5])
        heads = {len(parts(self.put("n" * length, b""))[0]) for length in range(1, 200)}
        self.assertEqual(len(heads), 2, "for 199 lengths of a name")

    def test_times(self) -> None:
        """The second of each sealing is in clear: in the token and in the date."""
        message = self.put("f", b"content")
        self.folder.clock.advance(60)
        later = self.put("f", b"content")
        self.assertEqual(
            [one[:STAMP] == two[:STAMP] for one, two in zip(tokens(message), tokens(later), strict=True)],
            [False, False],
        )
        self.assertIn(b"Date: Fri, 15 Jan 2027 08:00:00 +0000", parts(message)[0])
