"""Waits for what comes by itself, and never for ever."""

import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")


def until(holds: Callable[[], Answer], seconds: float = 15.0, otherwise: str = "") -> Answer:
    """What `holds` answers, once that is true; `otherwise` says what is wrong when it never is."""
    deadline = time.monotonic() + seconds
    while not (answer := holds()):
        assert time.monotonic() < deadline, otherwise or f"not within {seconds} s"
        time.sleep(0.05)
    return answer
