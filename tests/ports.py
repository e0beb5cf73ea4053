"""Ports for servers that are told their port, and for addresses where nothing listens.

Below the range from which systems give ports to outgoing connections: one that was merely free a moment ago may be one of
those by the time a server wants it, with tests side by side and thousands of connections.
"""

import random
import socket

_FROM, _UP_TO = 20_000, 32_000
_draw = random.SystemRandom()  # not the seed's: tests that run side by side have the same one


def free_port() -> int:
    """A port on which nothing listens."""
    while True:
        port = _draw.randrange(_FROM, _UP_TO)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
