"""The recorded folder histories: the index finds in each stage what a right implementation finds (``ideal``)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import envelope, planning
from ifap_twisted.core.index import Index
from ifap_twisted.core.keys import Key
from ifap_twisted.errors import DataError
from tests.core.vectors import DIALECTS, ROOT


def histories() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every history of both dialects."""
    for path in sorted((ROOT / "histories").glob("*/*.json")):
        yield path, json.loads(path.read_text())


class HistoriesTests(SynchronousTestCase):
    """One folder at several moments."""

    def each_stage(self) -> Iterator[tuple[str, dict[str, Any], Index, Any, tuple[Key, ...], dict[int, bytes]]]:
        """Name, record, index, dialect, keys and messages of every stage."""
        count = 0
        for path, record in histories():
            dialect = DIALECTS[record["dialect"]]
            keys = () if record["key"] is None else (Key.from_text(record["key"]),)
            for stage in record["stages"]:
                messages = {uid: (path.with_suffix("") / f"{uid}.eml").read_bytes() for uid in stage["uids"]}
                index = Index()
                for uid, message in messages.items():
                    head = message.split(b"\r\n\r\n" if b"\r\n\r\n" in message else b"\n\n", 1)[0] + b"\r\n\r\n"
                    if envelope.is_foreign(head, dialect):
                        index.reject(uid, None)
                        continue
                    try:
                        index.observe(uid, envelope.read_header(head, dialect=dialect, keys=keys, home=None))
                    except DataError as error:
                        index.reject(uid, error)
                count += 1
                yield f"{record['name']} {stage['label']}", stage, index, dialect, keys, messages
        self.assertEqual(count, 60)

    def test_all_uids_of_a_path_are_its_versions_and_the_highest_is_current(self) -> None:
        """The tree is the ideal one, whatever the reference programs found."""
        for name, stage, index, _dialect, _keys, _messages in self.each_stage():
            tree = {
                path: (
                    current.places[0],
                    sorted(uid for placed in index.history(path).versions for uid in placed.places),
                )
                for path in index.paths()
                if (current := index.history(path).current) is not None
            }
            ideal = {path: (entry["uid"], sorted(entry["versions"])) for path, entry in stage["ideal"]["tree"].items()}
            live = {path: found for path, found in tree.items() if index.history(path).live}
            self.assertEqual({p: v for p, (_, v) in tree.items()}, {p: v for p, (_, v) in ideal.items()}, name)
            self.assertEqual(live, {path: ideal[path] for path in live}, name)

    def test_what_is_refused_is_refused(self) -> None:
        """Exactly the messages that the record names."""
        for name, stage, index, _dialect, _keys, _messages in self.each_stage():
            refused = {str(uid) for uid in index.uids() if index.at(uid) is None}
            self.assertEqual(refused, set(stage["ideal"]["rejected"]), name)

    def test_the_listing_is_the_ideal_one(self) -> None:
        """Without tombstones and the snapshot."""
        for name, stage, index, dialect, _keys, _messages in self.each_stage():
            listing = sorted(path for path in index.paths() if index.is_file(path) and path != dialect.snapshot_path)
            self.assertEqual(listing, sorted(stage["ideal"]["listing"]), name)

    def test_every_content_is_the_recorded_one(self) -> None:
        """Every version of every file opens."""
        for name, stage, index, dialect, keys, messages in self.each_stage():
            for path in index.paths():
                for placed in index.history(path).versions:
                    for uid in placed.places:
                        record = stage["contents"][str(uid)]
                        version, content = envelope.read_message(messages[uid], dialect=dialect, keys=keys, home=None)
                        self.assertEqual(version.path, record["path"], name)
                        self.assertEqual(hashlib.sha256(content).hexdigest(), record["sha256"], name)

    def test_a_snapshot_planned_from_it_names_every_version(self) -> None:
        """Its tree is the ideal one: complete for the sake of the reference (FORMAT 6.2)."""
        for name, stage, index, _dialect, _keys, _messages in self.each_stage():
            planned = {
                path: (uid, uids) for path, (uid, _metadata, uids) in planning.plan_snapshot(index.histories()).items()
            }
            ideal = {path: (entry["uid"], sorted(entry["versions"])) for path, entry in stage["ideal"]["tree"].items()}
            self.assertEqual(planned, ideal, name)
