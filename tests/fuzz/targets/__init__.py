"""What is fuzzed: a module per target.

Each has ``one(data)``, which raises whatever is not to happen and nothing else, ``seeds()``, inputs from which a fuzzer
begins, and ``WORDS``, of which such inputs are made. The first byte of an input chooses how the rest is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["CORPUS", "NAMES", "Target", "load"]

CORPUS: Final = Path(__file__).parent.parent / "corpus"
"""Below it, by target: inputs that reach what no seed reaches, and those that once broke something."""
NAMES: Final = ("envelope", "imap", "journal", "keyfile", "manifest", "marks", "metadata", "slots", "snapshot")


class Target(NamedTuple):
    """A thing that reads hostile input."""

    name: str
    one: Callable[[bytes], None]
    seeds: Callable[[], Iterator[bytes]]
    words: tuple[bytes, ...]

    def corpus(self) -> list[bytes]:
        """The seeds, and what is kept beside this, without doubles and in the same order everywhere."""
        kept = (path.read_bytes() for path in sorted((CORPUS / self.name).glob("*")))
        return list(dict.fromkeys((*self.seeds(), *kept)))


def load(name: str) -> Target:
    """The target of this name; imports what it is about."""
    module = import_module(f"{__name__}.{name}")
    return Target(name, module.one, module.seeds, module.WORDS)
