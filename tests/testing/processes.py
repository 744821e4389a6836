"""Programs in processes of their own."""

from __future__ import annotations

import subprocess
import sys


def printed_under_hash_seeds(code: str) -> set[str]:
    """What a program prints under two seeds of Python's hashes: one text where it does not depend on them."""
    return {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "77")
    }
