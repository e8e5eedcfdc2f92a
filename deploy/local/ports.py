"""Ports of this machine. All stay below 32768, where the kernel takes its ephemeral ones from."""

import os
import socket

from deploy.local.errors import PortTakenError

HOST = "127.0.0.1"
LOWEST, HIGHEST = 20_000, 32_000
POSSIBLE_MAX = 65_535
PORTS_A_PROCESS = 101

_given: set[int] = set()


def is_free(port: int) -> bool:
    """Whether a server could listen on 127.0.0.1 at `port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def answers(port: int) -> bool:
    """Whether something accepts connections on 127.0.0.1 at `port`."""
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


def free(preferred: int = 0) -> int:
    """A free port: the preferred one where it can be had, else another one, never the same twice in a process.

    Processes look in places of their own: what one was told is free, another one could take before it is used.
    Raises PortTakenError when the machine has none left.
    """
    if preferred and is_free(preferred):
        return preferred
    first = os.getpid() * PORTS_A_PROCESS
    for offset in range(HIGHEST - LOWEST):
        port = LOWEST + (first + offset) % (HIGHEST - LOWEST)
        if port not in _given and is_free(port):
            _given.add(port)
            return port
    raise PortTakenError(f"no free port between {LOWEST} and {HIGHEST}")
