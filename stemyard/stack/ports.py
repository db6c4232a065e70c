"""Free ports on loopback."""

import random
import socket

from stemyard.stack.errors import EnvironmentLacks

HOST = "127.0.0.1"

# Below what Linux hands out to outgoing connections. There a client that knocks while the server
# restarts can take the server's port, or even connect to itself.
_FIRST, _LAST = 20_000, 31_999
_ATTEMPTS = 200


def free_ports(count: int) -> tuple[int, ...]:
    """`count` different ports nobody listens on now."""
    chosen: set[int] = set()
    for _ in range(_ATTEMPTS):
        if len(chosen) == count:
            return tuple(chosen)
        port = random.randint(_FIRST, _LAST)  # noqa: S311 - not a secret
        if _is_free(port):
            chosen.add(port)
    raise EnvironmentLacks(f"no {count} free ports between {_FIRST} and {_LAST}")


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind((HOST, port))
        except OSError:
            return False
    return True
