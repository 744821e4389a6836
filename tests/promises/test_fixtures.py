"""Bar R25: folders and basedirs that releases, and the reference programs, left stay readable, by verbs."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.core.vectors import ROOT
from tests.fixtures.write import CHANGED, HERE, LIVES, REMOVED, SETTLED, Node, save, seen

RELEASES = sorted(path for path in HERE.iterdir() if (path / "embedded").is_dir())


def placed(found: Path, place: Path) -> Path:
    """A copy as it was before a version control system forgot modes, times and empty directories."""
    shutil.copytree(found, place)
    for path in [place, *place.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
        os.utime(path, (SETTLED, SETTLED))
    return place


class FixtureTestCase(SynchronousTestCase):
    """What was left, in a home."""

    def setUp(self) -> None:
        """Make the home."""
        directory = tempfile.TemporaryDirectory(prefix="ifap-fixtures-")
        self.addCleanup(directory.cleanup)
        self.home = Path(directory.name)

    def node_of(self, mail: Path, name: str, key: Path | None, settings: str = "") -> Node:
        """A new device, logged in to a folder that is there."""
        for directory in ("new", "tmp"):
            (mail / name / directory).mkdir(exist_ok=True)
        node = Node(self.home / f"device-{mail.name}", settings)
        words = [] if key is None else ["--key-file", save(self.home / "key", key.read_bytes())]
        node.ifap("login", "--account", f"maildir://{mail}", "--folder", name, *words)
        return node

    def contents(self, node: Node, name: str) -> dict[str, bytes]:
        """All files, as they are fetched."""
        place = self.home / f"fetched-{name}"
        node.ifap("get", "-r", "/", f"{place}/")
        return {f"/{path.relative_to(place)}": path.read_bytes() for path in place.rglob("*") if path.is_file()}


class ReleaseTests(FixtureTestCase):
    """What each release left (``tests.fixtures.write``)."""

    def assert_whole(self, node: Node, expected: dict[str, Any], name: str) -> None:
        """All is seen as its writer saw it, and can be fetched, brought back and changed."""
        found = seen(node)
        self.assertEqual(expected["entries"], [entry for entry in found["entries"] if entry["path"] != "/pending"])
        self.assertEqual(expected["versions"], found["versions"])
        older = expected["versions"][CHANGED][-1]
        self.assertEqual(older["sha256"], _hash(node.ifap("cat", "--version", older["version"], CHANGED)))
        node.ifap("undelete", REMOVED)
        node.put(CHANGED, b"third\n")
        files = {entry["path"]: entry["sha256"] for entry in expected["entries"] if entry["type"] == "file"}
        files |= {CHANGED: _hash(b"third\n"), REMOVED: _hash(b"to be removed")}
        fetched = self.contents(node, name)
        self.assertEqual(files, {path: _hash(fetched[path]) for path in files})

    def each(self, name: str) -> list[tuple[Path, dict[str, Any]]]:
        """What the releases left of one kind, and what they saw."""
        places = [release / name for release in RELEASES]
        return [(place, json.loads((place / "expected.json").read_text())) for place in places]

    def assert_folder(self, name: str, settings: str = "") -> None:
        """A new device reads the folder with nothing but the key."""
        for place, expected in self.each(name):
            release = place.parent.name
            key = place / "key"
            mail = placed(place / "mail", self.home / release)
            node = self.node_of(mail, "IFAP_DATA", key if key.exists() else None, settings)
            self.assertEqual(["/both"], [entry["path"] for entry in expected["entries"] if entry["conflict"]])
            self.assert_whole(node, expected, release)

    def test_embedded(self) -> None:
        """A basedir with the embedded server; the write that was interrupted is finished once, the key is shown."""
        for place, expected in self.each("embedded"):
            release = place.parent.name
            placed(place / "basedir", self.home / release)
            node = Node(self.home / release)
            node.ifap("sync")
            self.assertEqual(b"on its way", node.ifap("cat", "/pending"))
            self.assertEqual(1, len(node.told("versions", "/pending")))
            self.assertEqual((place / "key").read_bytes(), node.ifap("info", "--show-key"))
            self.assert_whole(node, expected, release)

    def test_ifap(self) -> None:
        """A folder in the dialect of python-ifaplib, with a conflict."""
        self.assert_folder("ifap")

    def test_mailfile(self) -> None:
        """A folder in the dialect of mailfile, with a conflict."""
        self.assert_folder("mailfile")

    def test_in_clear(self) -> None:
        """A folder without encryption, with a conflict."""
        self.assert_folder("in-clear", 'encryption = "off"\n')

    def test_all(self) -> None:
        """There is a release, and each left all of it."""
        self.assertTrue(RELEASES)
        self.assertEqual([sorted(LIVES)] * len(RELEASES), [sorted(os.listdir(release)) for release in RELEASES])


class ReferenceFolderTests(FixtureTestCase):
    """Folders that the reference programs wrote, opened with the string that is their key."""

    def assert_opened(self, history: str) -> None:
        """The files are those that a right reader finds, and the key is shown again as it was given."""
        place = ROOT / "histories" / history
        record = json.loads(place.with_suffix(".json").read_text())
        stage = record["stages"][-1]
        mail = self.home / "mail"
        folder = mail / "FILES" / "cur"
        folder.mkdir(parents=True)
        for uid in stage["uids"]:
            path = folder / f"eml-{uid:08x}:2,"
            path.write_bytes((place / f"{uid}.eml").read_bytes().replace(b"\r\n", b"\n"))
            os.utime(path, (SETTLED, SETTLED))
        key = save(self.home / "theirs", record["key"].encode() + b"\n")
        node = self.node_of(mail, "FILES", key)
        tree = stage["ideal"]["tree"]
        expected = {f"/{path}": stage["contents"][str(tree[path]["uid"])] for path in stage["ideal"]["listing"]}
        fetched = self.contents(node, "theirs")
        self.assertEqual(
            {path: content["sha256"] for path, content in expected.items()},
            {path: hashlib.sha256(content).hexdigest() for path, content in fetched.items()},
        )
        self.assertEqual(record["key"].encode() + b"\n", node.ifap("info", "--show-key"))

    def test_ifaplib(self) -> None:
        """A folder of python-ifaplib, with names of all kinds and an empty file."""
        self.assert_opened("ifaplib/growth-encrypted")

    def test_ifaplib_deletes(self) -> None:
        """One in which files were removed, written again, and brought back."""
        self.assert_opened("ifaplib/deletes")

    def test_mailfile(self) -> None:
        """A folder of mailfile."""
        self.assert_opened("mailfile/growth-encrypted")


def _hash(content: bytes) -> str:
    """As an entry shows it."""
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode("ascii")
