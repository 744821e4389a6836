"""Passphrases: one form of each, and the reason why one is too weak (FORMAT 8.4).

Whoever can read the mailbox can try passphrases against a key slot at their leisure, so weak ones are refused. The
estimate is cautious and knows little: it counts what everybody tries first as next to nothing. Nothing that was typed
is ever part of an error or a reason.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from ifap_twisted.errors import CallerError

__all__ = ["LEAST_BITS", "LEAST_CHARACTERS", "normalised", "weakness"]

LEAST_CHARACTERS: Final = 12
LEAST_BITS: Final = 60
MOST_BYTES: Final = 1024

_PATTERN_BITS: Final = 6.0
"""For a word, a run or a repetition as a whole, however long."""
_LEAST_PATTERN: Final = 3
_LEAST_KNOWN: Final = 3
_PLAIN: Final = str.maketrans("01345@$!", "oleasasi")
_RUNS: Final = (
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "qwertyuiop",
    "qwertzuiop",
    "azertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "yxcvbnm",
    "1qaz2wsx3edc4rfv5tgb6yhn",
    "!@#$%^&*()",
)
_COMMON: Final = """
access account admin administrator amanda andrea andrew angel animal apple arsenal ashley august austin autumn
backup bailey banana baseball basketball batman beach beautiful berlin bitcoin blink buster butterfly camera casino
change changeme charlie cheese chelsea chester chocolate christmas coffee computer cookie corvette cowboy crystal
dakota dallas daniel december default demo diamond dolphin donald dragon eagle easter eminem england enter fender
ferrari file flower folder football forever freedom friday friend friends gandalf garden george ginger golden google
guest guitar hammer hannah happy harley hello hockey hotdog house hunter iceman ifap iloveyou imap internet jackson
january jasmine jasper jennifer jessica jesus jordan joshua june killer king kitty lady letmein linux liverpool
login london looking love lovely lucky maggie mail mailbox marina marlboro martin master matrix matthew maverick
melissa mercedes merlin michael michelle mickey midnight monday money monkey monster morgan mother mountain mustang
naruto nascar nicole ninja nothing november october office orange parola pass passphrase passport passwd password
passwort patrick peanut pepper phoenix player please pokemon police porsche prince princess private purple qazwsx
rabbit rachel rainbow ranger robert root samantha samsung samuel saturday school scooter secret secure security
september server service shadow silver slipknot snoopy soccer spider spiderman spring starwars steelers storage
summer sunday sunshine superman support sweet system taylor temp tennis test testing thomas thunder tiger tigger
trustno twilight user victoria vincent welcome whatever william winner winter wizard yankees yellow zaq
"""
_WORDS: Final = tuple(_COMMON.split())


class _Piece(NamedTuple):
    """A part of a passphrase: how many characters, how many bits, and what a person should know of it."""

    length: int
    bits: float
    cause: str = ""


def normalised(text: str) -> bytes:
    """The one form of a passphrase, whatever keyboard it was typed on: NFKC, as UTF-8.

    :raises CallerError: it is empty, longer than 1,024 bytes, or has a control character or lone surrogate.
    """
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
        raise CallerError("The passphrase holds a control character.")
    found = unicodedata.normalize("NFKC", text).encode()
    if not found:
        raise CallerError("The passphrase is empty.")
    if len(found) > MOST_BYTES:
        raise CallerError(f"The passphrase is longer than {MOST_BYTES} bytes.")
    return found


def weakness(text: str, known: Sequence[str] = ()) -> str | None:
    """Why a passphrase is too weak, as a sentence; None when it is not.

    :param known: what everybody may know of its owner: user, host, name of the folder.
    """
    text = unicodedata.normalize("NFKC", text)
    if len(text) < LEAST_CHARACTERS:
        return f"The passphrase has {len(text)} characters; at least {LEAST_CHARACTERS} are needed."
    pieces = list(_pieces(text, _parts(known)))
    if sum(piece.bits for piece in pieces) >= LEAST_BITS:
        return None
    causes = dict.fromkeys(piece.cause for piece in pieces if piece.cause)
    why = f": it has {_listed(list(causes))}" if causes else ": it is short for the kinds of characters in it"
    return f"The passphrase is too easy to guess{why}. Make it longer, of several words that have nothing in common."


def _pieces(text: str, known: Sequence[str]) -> Iterator[_Piece]:
    lower, at = text.casefold(), 0
    if len(lower) != len(text):  # a character that folds to two
        text = lower
    while at < len(text):
        piece = _longest(lower, lower.translate(_PLAIN), at, known) or _Piece(1, _character_bits(text[at]))
        yield piece
        at += piece.length


def _longest(text: str, plain: str, at: int, known: Sequence[str]) -> _Piece | None:
    """The longest part from here that everybody would try."""
    found = [
        (_word(text, plain, at, known), "a part of the name of the account or folder"),
        (_word(text, plain, at, _WORDS), "a common word"),
        (_run(text, at), "a run like abcd, 4321 or qwerty"),
        (_repetition(text, at), "a repetition"),
    ]
    length, cause = max(found, key=lambda pair: pair[0])
    return _Piece(length, _PATTERN_BITS, cause) if length >= _LEAST_PATTERN else None


def _word(text: str, plain: str, at: int, words: Sequence[str]) -> int:
    return max((len(word) for word in words if text.startswith(word, at) or plain.startswith(word, at)), default=0)


def _run(text: str, at: int) -> int:
    length = 0
    while at + length < len(text) and any(_is_in(run, text[at : at + length + 1]) for run in _RUNS):
        length += 1
    return length


def _is_in(run: str, part: str) -> bool:
    return part in run or part in run[::-1]


def _repetition(text: str, at: int) -> int:
    """How many characters from here are there before, the last of them perhaps among these themselves."""
    length = 0
    while at + length < len(text) and text[at : at + length + 1] in text[: at + length]:
        length += 1
    return length


def _character_bits(character: str) -> float:
    if character.isascii():
        size = 10 if character.isdigit() else 26 if character.isalpha() else 33
    else:
        size = 100
    return math.log2(size)


def _parts(known: Sequence[str]) -> tuple[str, ...]:
    parts = {part for text in known for part in (text.casefold(), *re.split(r"[\W_]+", text.casefold()))}
    return tuple(sorted(part for part in parts if len(part) >= _LEAST_KNOWN))


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]
