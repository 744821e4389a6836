"""Account URLs and names of folders (DESIGN 4.1).

An account says where the mail is and whose it is; it never holds a password, and nothing here connects to anything.
No error repeats any part of a URL, because a password may be in it.

=========================== ======================================================================================
``embedded``                our own server, in the basedir
``imaps://USER@HOST[:993]`` TLS from the first byte
``imap://USER@HOST[:143]``  STARTTLS is required, unless the host is loopback
``imap+unix://[USER@]/PATH`` a UNIX socket
``maildir:///PATH``         a local folder
``memory:``                 nothing is kept
=========================== ======================================================================================

The user is all before the last ``@``. User and path are percent-decoded once, as UTF-8: a ``%`` is written ``%25``, a
``/`` or ``:`` in a user ``%2F`` and ``%3A``; a bare ``:`` would begin a password and is refused. A path that begins
with ``~/`` (``maildir://~/Mail``) lies in the home directory.
"""

from __future__ import annotations

import ipaddress
import os.path
import posixpath
import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from urllib.parse import quote, unquote_to_bytes

from ifap_twisted.core import limits
from ifap_twisted.errors import BadSettings

__all__ = ["EMBEDDED", "MEMORY", "Account", "Kind", "parse_account", "validate_folder"]

Kind: TypeAlias = Literal["embedded", "imaps", "imap", "imap+unix", "maildir", "memory"]

PORTS: Final = {"imaps": 993, "imap": 143}
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
BAD_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)
FORMS: Final = (
    "embedded, imaps://USER@HOST[:PORT], imap://USER@HOST[:PORT], imap+unix:///PATH, maildir:///PATH or memory:"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Where the mail is and whose it is; made by :func:`parse_account`, whose inverse is ``str``.

    :ivar user: for ``imaps`` and ``imap``; for ``imap+unix`` where the URL has one.
    :ivar host: lower case; an IPv6 address without its brackets.
    :ivar path: absolute, of a socket or a Maildir.
    """

    kind: Kind
    user: str | None = None
    host: str | None = None
    port: int | None = None
    path: str | None = None

    def __str__(self) -> str:
        if self.kind == "embedded":
            return "embedded"
        if self.kind == "memory":
            return "memory:"
        user = "" if self.user is None else quote(self.user, safe="@!$&'()*+,;=-._~") + "@"
        return f"{self.kind}://{user}{self._location()}"

    def _location(self) -> str:
        if self.path is not None:
            return quote(self.path, safe="/@!$&'()*+,;=:-._~")
        host = f"[{self.host}]" if ":" in (self.host or "") else self.host
        return f"{host}" if self.port == PORTS[self.kind] else f"{host}:{self.port}"

    @property
    def key(self) -> str:
        """What names the account in ``key.json``, ``account.json`` and the journal: the URL in its canonical form."""
        return str(self)

    @property
    def implicit_tls(self) -> bool:
        """TLS is spoken from the first byte."""
        return self.kind == "imaps"

    @property
    def requires_starttls(self) -> bool:
        """Nothing secret may be said before STARTTLS has succeeded."""
        return self.kind == "imap" and not self.is_loopback

    @property
    def is_loopback(self) -> bool:
        """The host is this machine: ``localhost`` or a loopback address, nothing that a name server could redirect."""
        if self.host is None:
            return False
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def takes_password(self) -> bool:
        """It is opened with a password that the user knows; the embedded one has its own, generated."""
        return self.user is not None


EMBEDDED: Final = Account(kind="embedded")
MEMORY: Final = Account(kind="memory")


def parse_account(url: str) -> Account:
    """Read an account URL.

    :raises BadSettings: it is none; the text never repeats it.
    """
    if len(url.encode("utf-8", "surrogatepass")) > limits.ACCOUNT_BYTES:
        raise BadSettings(f"The account is longer than {limits.ACCOUNT_BYTES} bytes.")
    if CONTROL.search(url):
        raise BadSettings("The account contains a line break or another control character.")
    scheme, colon, rest = url.partition(":")
    match (scheme.lower(), colon, rest):
        case ("embedded", "", ""):
            return EMBEDDED
        case ("memory", ":", ""):
            return MEMORY
        case ("imaps" | "imap" as kind, ":", _) if rest.startswith("//"):
            return _network(kind, rest[2:])
        case ("imap+unix" | "maildir" as kind, ":", _) if rest.startswith("//"):
            return _local(kind, rest[2:])
    raise BadSettings(f"The account is none of {FORMS}.")


def _network(kind: Literal["imaps", "imap"], rest: str) -> Account:
    user, at, place = rest.rpartition("@")
    if not at or not user:
        raise BadSettings(f"The account names no user: write {kind}://USER@HOST.")
    user = _user(user)
    place = place.removesuffix("/")
    if re.search(r"[/?#]", place):
        raise BadSettings("The account has something after the host: the folder is a setting of its own (--folder).")
    host, port = _host_and_port(place)
    return Account(kind=kind, user=user, host=host, port=PORTS[kind] if port is None else port)


def _local(kind: Literal["imap+unix", "maildir"], rest: str) -> Account:
    authority, slash, path = rest.partition("/")
    user, at, home = authority.rpartition("@")
    if at and kind == "maildir":
        raise BadSettings("A Maildir has no user: write maildir:///PATH.")
    if at and not user:
        raise BadSettings("The account has an @ without a user before it.")
    if home not in {"", "~"} or not slash:
        raise BadSettings(f"The account needs an absolute path: write {kind}:///PATH.")
    return Account(kind=kind, user=_user(user) if at else None, path=_path(path, home))


def _path(text: str, home: str) -> str:
    prefix = os.path.expanduser(home)  # noqa: PTH111 -- text in, text out
    whole = f"{prefix}/{_decoded(text, 'path')}"
    if ".." in whole.split("/"):
        raise BadSettings("The path of the account contains `..`.")
    path = posixpath.normpath("/" + whole.lstrip("/"))
    if path == "/":
        raise BadSettings("The path of the account is empty.")
    return path


def _user(text: str) -> str:
    if ":" in text:
        raise BadSettings(
            "The account contains a password, or a colon that is not written %3A: leave the password out, and give it "
            "to `ifap login` or name a password_file or password_command."
        )
    if re.search(r"[/?#\[\]\\]", text):
        raise BadSettings("The user in the account contains one of / ? # [ ] \\ that is not percent-encoded.")
    return _decoded(text, "user")


def _decoded(text: str, what: str) -> str:
    if BAD_PERCENT.search(text):
        raise BadSettings(f"The {what} in the account has a % without two hexadecimal digits: write %25 for it.")
    try:
        decoded = unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        raise BadSettings(f"The {what} in the account is not UTF-8.") from None
    if CONTROL.search(decoded):
        raise BadSettings(f"The {what} in the account contains a control character.")
    return decoded


def _host_and_port(place: str) -> tuple[str, int | None]:
    bracketed = re.fullmatch(r"\[([^\[\]]*)\](?::(.*))?", place)
    if bracketed:
        host, port = _address(bracketed[1]), bracketed[2]
    else:
        name, colon, port_text = place.partition(":")
        host, port = _hostname(name), port_text if colon else None
    return host, None if port is None else _port(port)


def _address(text: str) -> str:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        raise BadSettings("The account has no IPv6 address between its brackets.") from None
    if address.scope_id is not None:
        raise BadSettings("The account has an IPv6 address with a zone, which is not supported.")
    return address.compressed


def _hostname(text: str) -> str:
    host = text.lower()
    labels = host.split(".")
    if not host.isascii():
        raise BadSettings("The host in the account is not ASCII: write its xn-- form.")
    if len(host) > 253 or not all(LABEL.fullmatch(label) for label in labels):
        raise BadSettings("The host in the account is no host name; an IPv6 address goes in brackets.")
    if labels[-1].isdigit():  # an address, or nothing: `127.1` would be understood differently by different systems
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise BadSettings("The host in the account is no IPv4 address.") from None
    return host


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text, re.ASCII) or not 1 <= int(text) <= 65535:
        raise BadSettings("The port in the account is not a number from 1 to 65535.")
    return int(text)


def validate_folder(name: str) -> str:
    """Give back the name of a folder when it can be one on a server.

    Wildcards are refused because a listing by that name would find other folders too.

    :raises BadSettings: it is empty, too long, or contains a control character or a wildcard.
    """
    if not name:
        raise BadSettings("The name of the folder is empty.")
    if CONTROL.search(name):
        raise BadSettings("The name of the folder contains a control character.")
    if "*" in name or "%" in name:
        raise BadSettings("The name of the folder contains * or %, which IMAP uses as wildcards.")
    if len(name.encode("utf-8")) > limits.FOLDER_BYTES:
        raise BadSettings(f"The name of the folder is longer than {limits.FOLDER_BYTES} bytes.")
    return name
