"""The test vectors of the reference programs, each with what its verdict asks for."""

from __future__ import annotations

import hashlib
import json

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import snapshot
from ifap_twisted.core.envelope import is_foreign, read_header, read_message
from ifap_twisted.core.keys import Key
from ifap_twisted.core.values import Version
from ifap_twisted.errors import (
    DataError,
    Extended,
    ForeignKey,
    Malformed,
    Plaintext,
    SnapshotCorrupt,
    Spliced,
    Tampered,
    Truncated,
)
from ifap_twisted.testing.reference_writer import Stamp, encode
from tests.core.vectors import DIALECTS, MANIFEST, ROOT, Vector, vector, vectors


def header(found: Vector) -> Version:
    return read_header(found.head, dialect=found.dialect, keys=found.keys, home=None)


def message(found: Vector) -> tuple[Version, bytes]:
    return read_message(found.message, dialect=found.dialect, keys=found.keys, home=None)


class AcceptTests(SynchronousTestCase):
    """Messages that must be decoded."""

    def test_metadata(self) -> None:
        """Path, lengths, time, versions, tombstone and every unknown key of a message of the reference come out."""
        for found in vectors("accept"):
            expected = dict(found.facts["metadata"])
            version = header(found)
            self.assertEqual(version.path, expected.pop("fn"), found.name)
            self.assertEqual(snapshot.reference_metadata(version), expected, found.name)
            self.assertEqual(version.encrypted, found.facts["metadata_encrypted"], found.name)
            self.assertFalse(version.ours or version.bound, found.name)

    def test_content(self) -> None:
        """The content of a message of the reference comes out, byte for byte."""
        for found in vectors("accept", "undetectable"):
            version, content = message(found)
            self.assertEqual(hashlib.sha256(content).hexdigest(), found.facts["content_sha256"], found.name)
            self.assertEqual(version.length, found.facts["content_length"], found.name)

    def test_header_alone(self) -> None:
        """The header block alone gives the same version as the whole message."""
        for found in vectors("accept", "undetectable"):
            self.assertEqual(header(found), message(found)[0], found.name)

    def test_snapshots(self) -> None:
        """The snapshots of the reference are decoded, and the ones that it dies of are refused."""
        found = [one for one in vectors("accept") if one.facts.get("snapshot")]
        for one in found:
            content = message(one)[1]
            if one.facts["snapshot"] == "valid":
                self.assertTrue(dict(snapshot.entries(content)), one.name)
            else:
                self.assertRaises(SnapshotCorrupt, dict, snapshot.entries(content))
        self.assertEqual({one.facts["snapshot"] for one in found}, {"valid", "invalid"})


class RefuseTests(SynchronousTestCase):
    """Messages that must not be served."""

    def test_reject(self) -> None:
        """What must not be shown as a file is refused by its header already."""
        for found in vectors("reject"):
            self.assertRaises(DataError, header, found)
            self.assertRaises(DataError, message, found)

    def test_listed_unreadable(self) -> None:
        """Good metadata is listed, and the content that does not belong to it is refused."""
        for found in vectors("listed-unreadable"):
            self.assertEqual(header(found).path, found.facts["metadata"]["fn"], found.name)
            self.assertRaises(DataError, message, found)

    def test_reasons(self) -> None:
        """Each kind of fault is told by its own error."""
        reasons = {
            "bad-header-bitflip": ForeignKey,
            "bad-header-truncated": Malformed,
            "bad-wrong-key": ForeignKey,
            "bad-no-header": Malformed,
            "alt-two-metadata-headers": Malformed,
            "bad-no-data-part": Malformed,
            "bad-payload-bitflip": Tampered,
            "bad-payload-truncated": Truncated,
            "bad-payload-missing": Truncated,
            "bad-payload-wrong-key": Tampered,
            "alt-trailing-lines": Extended,
            "sec-plaintext-injected": Plaintext,
            "sec-plaintext-metadata": Plaintext,
            "sec-plaintext-payload": Plaintext,
            "sec-spliced-payload-longer": Spliced,
            "sec-metadata-as-payload": Spliced,
            "sec-payload-as-metadata": Spliced,
            "bad-bytes-huge": Malformed,
        }
        for dialect in ("ifaplib", "mailfile"):
            for name, error in reasons.items():
                self.assertRaises(error, message, vector(f"{dialect}/{name}"))

    def test_foreign(self) -> None:
        """A message without a metadata field is foreign mail, all others are not."""
        for found in vectors("accept", "reject", "listed-unreadable", "policy"):
            self.assertEqual(is_foreign(found.head, found.dialect), found.name.endswith("/bad-no-header"), found.name)


class PolicyTests(SynchronousTestCase):
    """The decisions that the modules ``metadata`` and ``envelope`` document."""

    def test_blank_line_before_body(self) -> None:
        """A blank line before the sealed content changes nothing: what follows is authenticated."""
        for dialect in ("ifaplib", "mailfile"):
            found = vector(f"{dialect}/alt-body-leading-crlf")
            self.assertEqual(message(found)[1], b"hello world\n")

    def test_no_known_serialization(self) -> None:
        """All others are in neither serialization (FORMAT 1.3), so they are refused whatever they say."""
        others = [found for found in vectors("policy") if not found.name.endswith("/alt-body-leading-crlf")]
        self.assertEqual(len(others), 16)
        for found in others:
            self.assertRaises(Malformed, header, found)


class ReferenceWriterTests(SynchronousTestCase):
    """The writer that other tests use is the reference's."""

    def test_reproduces(self) -> None:
        """All 160 messages that the reference wrote are reproduced byte for byte."""
        count = 0
        for found in vectors("accept", made_by="reference"):
            self.assertEqual(self.rewritten(found), found.message, found.name)
            count += 1
        self.assertEqual(count, 160)

    @staticmethod
    def rewritten(found: Vector) -> bytes:
        facts = found.facts
        stamps = [facts.get(name, {"time": 0, "iv": ""}) for name in ("metadata_fernet", "payload_fernet")]
        custom = {"to": "me@example.org", "sender": "Me <me@example.org>", "subject": "My files"}
        return encode(
            facts["input"]["path"],
            message(found)[1],
            facts["input"]["metadata"],
            dialect=facts["dialect"],
            key=facts["key"],
            order=list(json.loads(facts["metadata_text"])),
            stamps=(
                Stamp(stamps[0]["time"], bytes.fromhex(stamps[0]["iv"])),
                Stamp(stamps[1]["time"], bytes.fromhex(stamps[1]["iv"])),
            ),
            addresses=custom if found.name.endswith("custom-headers") else None,
        )


class HistoryTests(SynchronousTestCase):
    """The folders of the vectors."""

    def test_ideal_trees(self) -> None:
        """Of every folder at every moment exactly the files are found that a right implementation finds."""
        for name in MANIFEST["histories"]:
            history = json.loads((ROOT / "histories" / f"{name}.json").read_text())
            for stage in history["stages"]:
                found, rejected = self.folder(name, history, stage["uids"])
                self.assertEqual(found, stage["ideal"]["tree"], name)
                self.assertEqual(rejected, set(stage["ideal"]["rejected"]), name)

    def test_contents(self) -> None:
        """Every version in the folders has its own content."""
        for name in MANIFEST["histories"]:
            history = json.loads((ROOT / "histories" / f"{name}.json").read_text())
            last = history["stages"][-1]
            for uid in set(last["contents"]) - set(last["ideal"]["rejected"]):
                version, content = message(self.member(name, history, int(uid)))
                expected = last["contents"][uid]
                self.assertEqual(version.path, expected["path"])
                self.assertEqual(hashlib.sha256(content).hexdigest(), expected["sha256"])

    def folder(self, name: str, history: dict, uids: list[int]) -> tuple[dict, set[str]]:
        """The tree and the refused UIDs, by the simple rules of the vectors."""
        tree: dict[str, dict] = {}
        rejected = set()
        for uid in sorted(uids):
            try:
                version = header(self.member(name, history, uid))
            except DataError:
                rejected.add(str(uid))
                continue
            versions = [*tree.get(version.path, {"versions": []})["versions"], uid]
            metadata = snapshot.reference_metadata(version)
            tree[version.path] = {"metadata": metadata, "uid": uid, "versions": versions}
        return tree, rejected

    @staticmethod
    def member(name: str, history: dict, uid: int) -> Vector:
        """One message of a history."""
        return Vector(
            name=f"{name}/{uid}",
            verdict="",
            dialect=DIALECTS[history["dialect"]],
            keys=() if history["key"] is None else (Key.from_text(history["key"]),),
            message=(ROOT / "histories" / name / f"{uid}.eml").read_bytes(),
            facts={},
        )
