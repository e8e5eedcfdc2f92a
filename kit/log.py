"""One JSON line a call, on standard error."""

import logging
import re
import sys
from typing import Any

import orjson
import structlog

from kit.caller import request_id
from kit.trace import trace_id

PHONE = re.compile(r"\+\d{5,15}")


def setup(service: str) -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _ids,
            _mask,
            structlog.processors.JSONRenderer(serializer=lambda event, **_: orjson.dumps(event, default=str)),
        ],
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    logging.basicConfig(handlers=[Lines()])


class Lines(logging.Handler):
    """What libraries warn of, as lines of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        said = {"logger": record.name, "message": record.getMessage()[:500], "exc_info": record.exc_info}
        structlog.get_logger().warning("library", **said)


def _ids(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    if id := request_id():
        event["request_id"] = id
    if id := trace_id():
        event["trace_id"] = id
    return event


def _mask(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    for key, value in event.items():
        if isinstance(value, str) and "+" in value:
            event[key] = masked(value)
    return event


def masked(text: str) -> str:
    """Phones keep their first five and last two characters."""
    return PHONE.sub(lambda found: f"{found[0][:5]}…{found[0][-2:]}", text)
