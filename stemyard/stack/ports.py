"""Free ports on loopback."""

import random
import socket

from stemyard.stack.errors import EnvironmentLacks

HOST = "127.0.0.1"

# Below what Linux hands out to outgoing connections. There a client that knocks while the server
# restarts can take the server's port, or even connect to itself.
_FIRST, _LAST = 20_000, 31_999
_ATTEMPTS = 200


class FreePorts:
    """Ports nobody listens on now, none of them given twice."""

    def __init__(self) -> None:
        self._given: set[int] = set()

    def take(self, count: int) -> tuple[int, ...]:
        """Raises EnvironmentLacks when there seem to be no more."""
        return tuple(self._take() for _ in range(count))

    def _take(self) -> int:
        for _ in range(_ATTEMPTS):
            port = random.randint(_FIRST, _LAST)  # noqa: S311 - not a secret
            if port not in self._given and _is_free(port):
                self._given.add(port)
                return port
        raise EnvironmentLacks(f"no free port between {_FIRST} and {_LAST}")


def free_ports(count: int) -> tuple[int, ...]:
    """For who needs them all at once."""
    return FreePorts().take(count)


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind((HOST, port))
        except OSError:
            return False
    return True
