"""The trace that what is in hand belongs to, as the W3C writes it (https://www.w3.org/TR/trace-context/).

A `traceparent` goes with every call, event, piece of work and submission; its id stands in every line of the logs.
Where nobody collects spans (`export`) they are nothing but ids.
"""

import importlib
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

HEADER = "traceparent"
FORM = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
# What an RPC ends with by no fault of its caller's.
FAILED = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
Kind = Literal["SERVER", "CLIENT", "CONSUMER", "INTERNAL"]
_current: ContextVar[str] = ContextVar("traceparent", default="")


@dataclass
class Span:
    """What is done from `begin` to `end`."""

    traceparent: str
    start: float = field(default_factory=time.monotonic)

    def end(self, name: str, *, failed: bool = False, **attributes: str | int) -> float:
        """Its seconds. The name has no ids in it; what is empty among the attributes is left out."""
        return time.monotonic() - self.start


def _plain(_kind: Kind, given: str) -> Span:
    return Span(child(given))


#: How spans are made, and what calls to other services go through: kit/spans.py puts its own here.
start: Callable[[Kind, str], Span] = _plain
interceptors: list[Any] = []


def export(service: str, endpoint: str) -> None:
    """Sends the spans of this process to the collector there, from now on; without one nothing is even loaded."""
    if endpoint:
        importlib.import_module("kit.spans").export(service, endpoint)


def current() -> str:
    """Empty where nothing is in hand that belongs to a trace."""
    return _current.get()


def trace_id() -> str:
    return _current.get()[3:35]


def child(given: str) -> str:
    """A span under the one that was given; in a trace of its own where that is none."""
    found = FORM.fullmatch(given)
    return f"00-{found[1]}-{secrets.token_hex(8)}-{found[3]}" if found else of(secrets.token_hex(16))


def of(trace_id: str) -> str:
    """A span of the trace of this id: 32 hexadecimal figures, such as those of a UUID."""
    return f"00-{trace_id}-{secrets.token_hex(8)}-01"


def enter(traceparent: str) -> None:
    """What follows, in this task, belongs to this span."""
    _current.set(traceparent)


def begin(kind: Kind, given: str) -> Span:
    """What follows, in this task, is a span under the one that is given."""
    span = start(kind, given)
    enter(span.traceparent)
    return span


@contextmanager
def within(kind: Kind, name: str) -> Iterator[Span]:
    """What the block does is a span under the one in hand, which is in hand again afterwards."""
    outer, failed = current(), True
    span = begin(kind, outer)
    try:
        yield span
        failed = False
    finally:
        span.end(name, failed=failed)
        enter(outer)
