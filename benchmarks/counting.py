"""A proxy on loopback that counts what goes through it, in threads of its own."""

from __future__ import annotations

import socket
import threading

PIECE = 1 << 18


class CountingProxy:
    """Hands connections on to a server.

    :ivar sent: bytes that clients sent; ``received`` those that they got.
    """

    def __init__(self, host: str, port: int) -> None:
        self.sent = self.received = 0
        self._to = (host, port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        """Take no more connections."""
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client = self._listening.accept()[0]
            except OSError:
                return
            server = socket.create_connection(self._to)
            for way in ((client, server, "sent"), (server, client, "received")):
                threading.Thread(target=self._hand_on, args=way, daemon=True).start()

    def _hand_on(self, source: socket.socket, sink: socket.socket, name: str) -> None:
        try:
            while piece := source.recv(PIECE):
                setattr(self, name, getattr(self, name) + len(piece))
                sink.sendall(piece)
        except OSError:
            pass  # the other side is gone: so is this one
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
