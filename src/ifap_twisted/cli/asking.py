"""Secrets and yes or no, from a person at a terminal or from a file; never from the command line itself.

A question holds up the reactor: nothing else goes on meanwhile, and Ctrl-C at the question ends the verb with the
terminal as it was.
"""

from __future__ import annotations

import getpass
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from twisted.internet.defer import CancelledError

from ifap_twisted.basedir import expanded
from ifap_twisted.core import limits
from ifap_twisted.credentials import first_line, read_private_file, read_secret_file
from ifap_twisted.errors import BadSettings
from ifap_twisted.secrecy import Secret

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session

T = TypeVar("T")
STDIN: Final = 0


def has_person() -> bool:
    """Whether somebody can be asked: stdin is a terminal."""
    return sys.stdin is not None and sys.stdin.isatty()


def ask_secret(prompt: str) -> Secret:
    """Ask for a secret without showing it; an empty answer is asked for again."""
    while True:
        answer = _asked(lambda: getpass.getpass(prompt))
        if answer:
            return Secret(answer)


def ask_yes(question: str) -> bool:
    """Ask; only ``y`` and ``yes`` mean yes."""

    def ask() -> str:
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        return sys.stdin.readline()

    return _asked(ask).strip().lower() in {"y", "yes"}


async def secret_from(session: Session, name: str) -> Secret:
    """The secret in the first line of a file, or of stdin for ``-``; one that others can read draws a warning.

    :raises BadSettings: it cannot be read, or holds no secret.
    """
    if name == "-":
        return first_line(await session.worker(_read_stdin), "standard input")
    path: Path = expanded(name)
    secret, warnings = await session.worker(lambda: read_secret_file(path))
    for warning in warnings:
        session.console.warning(warning.text)
    return secret


async def text_from(session: Session, name: str) -> Secret:
    """All of a file, or of stdin for ``-``: a secret of several lines; one that others can read draws a warning.

    :raises BadSettings: it cannot be read, or is no text.
    """
    if name == "-":
        content = await session.worker(lambda: _read_stdin(lines=True))
    else:
        path: Path = expanded(name)
        content, warnings = await session.worker(lambda: read_private_file(path))
        for warning in warnings:
            session.console.warning(warning.text)
    secret = Secret(content)
    if not secret.is_text:
        raise BadSettings("What was given for the recovery code is not UTF-8.")
    return secret


def _read_stdin(*, lines: bool = False) -> bytes:
    content = b""
    while (lines or b"\n" not in content) and len(content) <= limits.SECRET_BYTES:
        block = os.read(STDIN, limits.SECRET_BYTES)
        if not block:
            break
        content += block
    return content


def _asked(ask: Callable[[], T]) -> T:
    try:
        with _interruptible():
            return ask()
    except (KeyboardInterrupt, EOFError):
        raise CancelledError from None


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end the question at once, which the verb's own handling would do only after an answer."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
