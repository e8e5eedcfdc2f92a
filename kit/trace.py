"""The trace that what is in hand belongs to, as the W3C writes it (https://www.w3.org/TR/trace-context/).

A `traceparent` goes with every call, event, piece of work and submission; its id stands in every line of the logs.
"""

import re
import secrets
from contextvars import ContextVar

HEADER = "traceparent"
FORM = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")
_current: ContextVar[str] = ContextVar("traceparent", default="")


def current() -> str:
    """Empty where nothing is in hand that belongs to a trace."""
    return _current.get()


def trace_id() -> str:
    return _current.get()[3:35]


def child(given: str) -> str:
    """A span under the one that was given; in a trace of its own where that is none."""
    found = FORM.fullmatch(given)
    return f"00-{found[1]}-{secrets.token_hex(8)}-{found[2]}" if found else of(secrets.token_hex(16))


def of(trace_id: str) -> str:
    """A span of the trace of this id: 32 hexadecimal figures, such as those of a UUID."""
    return f"00-{trace_id}-{secrets.token_hex(8)}-01"


def enter(traceparent: str) -> None:
    """What follows, in this task, belongs to this span."""
    _current.set(traceparent)
