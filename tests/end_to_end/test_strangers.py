"""Other programs of the machine, which have no token, do not keep its owner out."""

from __future__ import annotations

import socket

from ifap_twisted.core import limits
from tests.end_to_end.devices import EndToEndCase


class StrangerTests(EndToEndCase):
    """A program that takes all connections of the TCP port."""

    def test_all_connections_are_taken(self) -> None:
        """Verbs of the owner go on: they come over a socket of their own, which has its own bound."""
        device = self.device()
        device.start()
        for _ in range(limits.CONTROL_CLIENTS + 8):
            self.addCleanup(socket.create_connection(device.address, timeout=10).close)
        device.succeeds("put", "-", "/x", given=b"mine")
        self.assertEqual(b"mine", device.succeeds("cat", "/x"))
