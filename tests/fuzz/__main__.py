"""Fuzz a target with atheris, which looks for inputs that reach more of the program: ``python -m tests.fuzz TARGET``.

It needs the extra ``fuzz``. It begins with the seeds and the corpus of the target, and ends with libFuzzer's figures,
or at the first input that breaks something, which it leaves in the directory of ``--state`` as ``broken-…``.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Final

import atheris
import click

from tests.fuzz.targets import CORPUS, NAMES

MEMORY: Final = 256
"""MiB that a run may take, the interpreter included (bar R11)."""
PATIENCE: Final = 10
"""Seconds that one input may take (bar R11)."""
INPUT_BYTES: Final = 16 * 1024


@click.command("fuzz", help=__doc__)
@click.argument("name", metavar="TARGET", type=click.Choice(NAMES))
@click.option("--seconds", type=click.IntRange(min=1), default=60, show_default=True, help="How long.")
@click.option("--state", type=click.Path(file_okay=False, path_type=Path), help="Inputs found are kept here.")
def main(name: str, seconds: int, state: Path | None) -> None:
    """Run one target; libFuzzer ends the process."""
    with atheris.instrument_imports(include=["ifap_twisted"]):
        from tests.fuzz.targets import load

        target = load(name)
    found = Path(tempfile.mkdtemp(prefix="fuzz-")) if state is None else state
    inputs, seeds = found / "inputs", found / "seeds"
    for place in (inputs, seeds):
        place.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (seeds / f"{number:04}").write_bytes(seed)
    words = found / "words"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words))
    kept = CORPUS / name
    places = [inputs, seeds, *([kept] if kept.is_dir() else [])]
    limits = [f"-rss_limit_mb={MEMORY}", f"-timeout={PATIENCE}", f"-max_len={INPUT_BYTES}", f"-dict={words}"]
    order = [f"-max_total_time={seconds}", f"-artifact_prefix={found}/broken-", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *limits, *order, *map(str, places)], _keeping(target.one, found))
    atheris.Fuzz()


def _keeping(one: Callable[[bytes], None], place: Path) -> Callable[[bytes], None]:
    """What breaks something is kept before libFuzzer, which a signal may end first, comes to it."""

    def tried(data: bytes) -> None:
        try:
            one(data)
        except Exception:
            (place / f"broken-{sha256(data).hexdigest()[:16]}").write_bytes(data)
            raise

    return tried


def _escaped(word: bytes) -> str:
    """As libFuzzer reads its dictionaries."""
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    main()
