"""Measures ifap-twisted beside the standard library's imaplib, in one run against one Dovecot.

    python -m benchmarks [--json FILE] [--files N] [--large N]

The server keeps its mail in memory (sdbox, mail_fsync=never), so that the figures tell of the client. Each figure is
the median of three rounds; the ratio is ours to imaplib's, below 1 is faster.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.live import servers

from benchmarks import plain, probes

ROUNDS = 3


def median(work: Callable[[], float]) -> float:
    """Of a few rounds."""
    return statistics.median(work() for _ in range(ROUNDS))


def main() -> int:
    """Run everything and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    parser.add_argument("--files", type=int, default=1000, help="files that are put and read (1000)")
    parser.add_argument("--large", type=int, default=10_000, help="files of the large folder (10000)")
    arguments = parser.parse_args()
    server = servers.server("dovecot")
    figures: dict[str, dict[str, Any]] = {}

    def row(name: str, ours: float, theirs: float | None = None, **more: Any) -> None:
        ratio = None if theirs is None else ours / theirs
        figures[name] = {"ours": ours, "imaplib": theirs, "ratio": ratio, **more}
        beside = "" if theirs is None else f"imaplib {theirs:8.3f} s   ratio {ours / theirs:5.2f}"
        told = "  ".join(f"{key} {value}" for key, value in more.items())
        print(f"{name:44} {ours:8.3f} s   {beside}   {told}".rstrip(), flush=True)

    files = arguments.files
    messages = probes.sealed_messages(files)
    row(
        f"{files} puts of 4 KB (API)",
        median(lambda: probes.run("put", server, files)["seconds"]),
        median(lambda: plain.append(server, messages)),
    )
    row(
        f"{files} files by `ifap put -r`, start included",
        median(lambda: probes.put_tree(server, files)),
        figures[f"{files} puts of 4 KB (API)"]["imaplib"],
    )
    folder = servers.fresh_folder()
    probes.run("put", server, files, folder=folder)
    for count in (files, arguments.large):
        if count != files:
            folder = servers.fresh_folder()
            plain.append(server, probes.sealed_messages(count), folder=folder)
        opened = [probes.run("open", server, count, folder=folder) for _ in range(ROUNDS)]
        row(
            f"cold open of {count} files",
            statistics.median(one["seconds"] for one in opened),
            median(lambda folder=folder: plain.fetch_headers(server, folder)),
            round_trips=opened[0]["round_trips"],
            memory_mib=round(max(one["memory_mib"] for one in opened)),
        )
        if count == files:
            row(
                f"reading {files} files",
                median(lambda folder=folder: probes.run("get", server, files, folder=folder)["seconds"]),
                median(lambda folder=folder: plain.fetch_bodies(server, folder)),
            )
        refreshed = probes.run("refresh", server, count, folder=folder)
        row(f"refresh of {count} files, nothing changed", refreshed["seconds"], round_trips=refreshed["round_trips"])
    folder = servers.fresh_folder()
    for verb in ("put", "get"):
        found = probes.run(f"{verb}-large", server, 20, folder=folder)
        row(f"{verb} of a 20 MiB file", found["seconds"], peak_mib=round(found["peak_mib"]))
    servers.stop_all()
    if arguments.json:
        figures["machine"] = {"cores": os.cpu_count(), "python": sys.version.split()[0]}
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
