"""The folder as other programs see it, servers of doubtful certificates, and a connection that can be cut."""

from __future__ import annotations

import contextlib
import imaplib
import socket
import ssl
import threading
from pathlib import Path

from tests.live.servers import Server


class Mailbox:
    """A folder of a server, by another mail program: the standard library's."""

    def __init__(self, server: Server, folder: str) -> None:
        self._server = server
        self._folder = folder

    def _open(self) -> imaplib.IMAP4:
        imap = imaplib.IMAP4(self._server.host, self._server.port)
        imap.login(self._server.user, self._server.password)
        return imap

    def add(self, message: bytes) -> None:
        """Store a message of somebody else's."""
        with self._open() as imap:
            imap.create(self._folder)
            answer, told = imap.append(self._folder, "", "", message)
            assert answer == "OK", told

    def messages(self) -> list[bytes]:
        """UID, flags and content of each message."""
        with self._open() as imap:
            answer, _told = imap.select(self._folder, readonly=True)
            if answer != "OK":
                return []
            _answer, parts = imap.uid("FETCH", "1:*", "(FLAGS BODY.PEEK[])")
            return [part[0].replace(b"\\Recent", b"") + part[1] for part in parts if isinstance(part, tuple)]


class Listener:
    """A port of this machine at which each that comes is met in a thread."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        """Take no more connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # or accept() would go on
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                self.meet(self._listener.accept()[0])

    def meet(self, client: socket.socket) -> None:
        """Serve one in threads of its own.

        :raises OSError: no more can be served.
        """
        raise NotImplementedError


class Relay(Listener):
    """Passes on what comes to a port; the first connection that sends more than ``cut_after`` bytes is cut, once.

    :ivar was_cut: set when that happened.
    """

    def __init__(self, host: str, port: int, cut_after: int) -> None:
        self._target = (host, port)
        self._cut_after = cut_after
        self.was_cut = threading.Event()
        super().__init__()

    def meet(self, client: socket.socket) -> None:
        """Connect it with the target."""
        server = socket.create_connection(self._target)
        for source, sink, counted in ((client, server, True), (server, client, False)):
            threading.Thread(target=self._pass, args=(source, sink, counted), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        passed = 0
        with contextlib.suppress(OSError):  # either end is gone: so is the other one
            while data := source.recv(16384):
                passed += len(data)
                if counted and passed > self._cut_after and not self.was_cut.is_set():
                    self.was_cut.set()
                    break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()  # the other direction closes the other one


class TlsServer(Listener):
    """Shows a certificate to whoever comes, and says nothing more."""

    def __init__(self, certificate: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        super().__init__()

    def meet(self, client: socket.socket) -> None:
        """Shake hands with it."""
        threading.Thread(target=self._shake_hands, args=(client,), daemon=True).start()

    def _shake_hands(self, client: socket.socket) -> None:
        client.settimeout(30)
        with contextlib.suppress(OSError), client, self._context.wrap_socket(client, server_side=True) as secured:
            secured.recv(1)
