"""The tables and bounds of the specification are those of the code."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits, vocabulary
from ifap_twisted.core.dialects import DIALECTS
from tests.docs.examples import ROOT


def chapter(name: str) -> str:
    """The text of a chapter, with its lines joined."""
    return " ".join((ROOT / "docs" / "specification" / f"{name}.rst").read_text(encoding="utf-8").split())


class SpecificationTests(SynchronousTestCase):
    """Who implements the format from its text gets what the code does."""

    def test_table_of_keys_has_the_keys_of_the_format(self) -> None:
        """Each key that the code knows is in the table, and no other."""
        text = (ROOT / "docs/specification/messages.rst").read_text(encoding="utf-8")
        table = text.split(".. list-table:: Keys")[1].split("\nA url-char string")[0]
        keys = set(re.findall(r"^   \* - ``(\w+)``$", table, re.MULTILINE))
        self.assertEqual(keys, set(vocabulary.FORMAT_KEYS))

    def test_table_of_dialects_has_their_constants(self) -> None:
        """Every constant of both dialects is in the table."""
        text = chapter("messages").split("Layout")[0]
        for dialect in DIALECTS.values():
            names = [dialect.header, dialect.media_type, dialect.to, dialect.sender, dialect.subject, dialect.filename]
            names += [f"{name}: {value}" for name, value in dialect.extra_headers] + [dialect.snapshot_path]
            self.assertEqual([name for name in names if f"``{name}``" not in text], [], dialect.name)

    def test_bounds_are_those_of_the_code(self) -> None:
        """The numbers of the text are those of ``core/limits.py``."""
        told = {
            "messages": [
                f"value above {limits.HEADER_FIELDS // 1024} KiB",
                f"nesting deeper than {limits.JSON_DEPTH}",
                f"{limits.METADATA_REST} modulo {limits.METADATA_BLOCK}",
                f"a multiple of {limits.CONTENT_BLOCK:,}",
                f"exactly {limits.HEADER_COLUMNS} characters in the field and {limits.BODY_COLUMNS} in the body",
                f"at most {limits.REFERENCE_METADATA_IFAP} bytes",
                f"{limits.REFERENCE_METADATA_MAILFILE} (mailfile)",
                f"integer ≥ {limits.WIRE_VERSIONS}",
            ],
            "history": [f"above {limits.CLOCK_ENTRIES} entries"],
            "folder": [f"here {limits.SNAPSHOT_INFLATED // 2**20} MiB"],
            "names": [f"over {limits.SEGMENT_BYTES} bytes", f"over {limits.PATH_BYTES:,} bytes"],
        }
        lost = [f"{name}: {sentence}" for name, sentences in told.items() for sentence in sentences]
        lost = [one for one in lost if one.split(": ", 1)[1] not in chapter(one.split(": ", 1)[0])]
        self.assertEqual(lost, [])

    def test_limitations_name_what_the_settings_refuse(self) -> None:
        """The sizes that the limitations speak of are those of the code."""
        text = " ".join((ROOT / "docs" / "limitations.rst").read_text(encoding="utf-8").split())
        default, most = limits.MAX_FILE_SIZE // 2**20, limits.LARGEST_FILE // 2**20
        self.assertIn(f"({default} MiB unless set otherwise, {most} MiB at most)", text)
