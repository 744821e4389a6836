"""What a program does that uses the standard library's imaplib plainly: one command, one answer."""

from __future__ import annotations

import imaplib
import time
from collections.abc import Sequence

from tests.live.servers import Server, fresh_folder

imaplib._MAXLINE = 10_000_000  # noqa: SLF001 -- or a long SEARCH answer is an error


def session(server: Server) -> imaplib.IMAP4:
    """Logged in."""
    connection = imaplib.IMAP4(server.host, server.port)
    connection.login(server.user, server.password)
    return connection


def append(server: Server, messages: Sequence[bytes], folder: str | None = None) -> float:
    """Seconds for one APPEND a message."""
    connection = session(server)
    folder = folder or fresh_folder()
    connection.create(folder)
    connection.select(folder)
    began = time.perf_counter()
    for message in messages:
        connection.append(folder, "", "", message)
    seconds = time.perf_counter() - began
    connection.logout()
    return seconds


def fetch_headers(server: Server, folder: str) -> float:
    """Seconds for SELECT, SEARCH and one FETCH of a header a message."""
    connection = session(server)
    began = time.perf_counter()
    connection.select(folder)
    for uid in connection.uid("SEARCH", "ALL")[1][0].split():
        connection.uid("FETCH", uid, "(BODY.PEEK[]<0.1024>)")
    seconds = time.perf_counter() - began
    connection.logout()
    return seconds


def fetch_bodies(server: Server, folder: str) -> float:
    """Seconds for one FETCH of the whole a message."""
    connection = session(server)
    connection.select(folder)
    uids = connection.uid("SEARCH", "ALL")[1][0].split()
    began = time.perf_counter()
    for uid in uids:
        connection.uid("FETCH", uid, "(BODY.PEEK[])")
    seconds = time.perf_counter() - began
    connection.logout()
    return seconds
