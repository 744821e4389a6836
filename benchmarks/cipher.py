"""What sealing and opening cost on one core, without a server: the other half of the limit."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from cryptography.fernet import Fernet

from benchmarks.ground import KEY, SIZE, seal
from ifap_twisted.core import envelope
from ifap_twisted.core.dialects import IFAP
from ifap_twisted.core.keys import Key

_METADATA, _PADDING = 307, 2048
"""Bytes of a file's metadata, and of what its content is padded by."""


def sealing(count: int) -> tuple[float, list[bytes]]:
    """Seconds for sealing so many files of 4 KB, and the messages."""
    key, drawn = Key.from_text(KEY), [os.urandom(SIZE) for _ in range(count)]
    began = time.perf_counter()
    messages = [seal(key, number, content) for number, content in enumerate(drawn)]
    return time.perf_counter() - began, messages


def bare(count: int) -> float:
    """Seconds for two Fernet tokens a file and nothing else: what the cipher itself costs."""
    cipher, texts = Fernet(Fernet.generate_key()), (os.urandom(_METADATA), os.urandom(SIZE + _PADDING))
    began = time.perf_counter()
    for _ in range(count):
        for text in texts:
            cipher.encrypt(text)
    return time.perf_counter() - began


def opening_headers(headers: Sequence[bytes]) -> float:
    """Seconds for opening the metadata of all."""
    key = Key.from_text(KEY)
    began = time.perf_counter()
    for fields in headers:
        envelope.read_header(fields, dialect=IFAP, keys=(key,), home=None)
    return time.perf_counter() - began


def opening(messages: Sequence[bytes]) -> float:
    """Seconds for opening all of all."""
    key = Key.from_text(KEY)
    began = time.perf_counter()
    for message in messages:
        envelope.read_message(message, dialect=IFAP, keys=(key,), home=None)
    return time.perf_counter() - began
