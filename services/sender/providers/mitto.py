"""Mitto, Messages API v1.1. It has no idempotency key and no search, so each call is made once and read with care."""

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import structlog
from prometheus_client import Counter

from astronote.sender.v1.batches_pb2 import BatchRecipient
from kit import trace
from services.sender.outcomes import Accepted, NotSent, Outcome, Refused, Unknown
from services.sender.providers import Found, LookupFailedError
from services.sender.reports import is_id

ONE = "/api/v1.1/Messages/"
# Whatever a Retry-After says: the whole account waits for it.
RETRY_SECONDS_MAX = 300.0
BULK = "/api/v1.1/Messages/sendmessagesbulk"
# No byte of the request has left in these.
UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
KEY_REFUSED_SECONDS = 30
LOOKUP_TIMEOUT_SECONDS = 10
UNREADABLE = Counter("mitto_answers_unreadable", "Successes whose body proves nothing; alarm when it grows.")
log = structlog.get_logger()


class Mitto:
    def __init__(self, base: str, key: str, traffic_account_id: str, timeout_seconds: float) -> None:
        self._traffic_account_id = traffic_account_id
        self._client = httpx.AsyncClient(
            base_url=base,
            headers={"X-Mitto-API-Key": key, "Content-Type": "application/json"},
            timeout=httpx.Timeout(timeout_seconds, connect=5, pool=5),
            # An idle connection that the provider is about to close would make a submission unknown.
            limits=httpx.Limits(max_connections=20, keepalive_expiry=2),
        )

    async def submit(self, sender_name: str, texts: Sequence[tuple[int, BatchRecipient]]) -> Outcome:
        # Made elsewhere, so that while we wait for the answer only the bytes of a batch stand here.
        body = _body(self._traffic_account_id, sender_name, texts)
        try:
            with trace.within("CLIENT", f"POST {BULK}"):
                traced = {trace.HEADER: trace.current()}
                answer = await self._client.post(BULK, content=body, headers=traced)
        except UNSENT as error:
            return NotSent(f"provider away: {type(error).__name__}")
        except httpx.HTTPError as error:
            return Unknown(f"no answer: {type(error).__name__}")
        wished_seconds = wait_seconds(answer.headers.get("Retry-After", ""), datetime.now(UTC))
        retry_seconds = min(wished_seconds, RETRY_SECONDS_MAX)
        return read(answer.status_code, retry_seconds, answer.content, len(texts))

    async def look_up(self, provider_message_id: str) -> Found | None:
        try:
            answer = await self._client.get(ONE + quote(provider_message_id, safe=""), timeout=LOOKUP_TIMEOUT_SECONDS)
        except httpx.HTTPError as error:
            raise LookupFailedError(type(error).__name__) from error
        if answer.status_code == 404:
            return None
        return found(answer.status_code, answer.content)

    async def close(self) -> None:
        await self._client.aclose()


def _body(account: str, sender_name: str, texts: Sequence[tuple[int, BatchRecipient]]) -> bytes:
    messages = [
        {
            "trafficAccountId": account,
            "destination": recipient.phone,
            "sms": {"text": recipient.text, "sender": sender_name},
            "reference": str(id),
        }
        for id, recipient in texts
    ]
    return orjson.dumps({"messages": messages})


def read(status: int, retry_seconds: float, body: bytes, count: int) -> Outcome:
    """What an answer means; `count` messages were submitted."""
    if 200 <= status < 300:
        return _accepted(body, count)
    if status == 429:
        return NotSent("too many requests", retry_seconds)
    if status in (401, 403):
        return NotSent(f"our key was refused ({status})", KEY_REFUSED_SECONDS, counts=False)
    if status == 408 or not 400 <= status < 500:
        # A redirect too: what stands before the provider may have passed the request on.
        return Unknown(f"answer {status}")
    return Refused(f"answer {status}: {body[:200].decode(errors='replace')}")


def found(status: int, body: bytes) -> Found:
    """What a look-up says. Raises `LookupFailedError`."""
    try:
        item: Any = orjson.loads(body) if status == 200 else None
    except orjson.JSONDecodeError as error:
        raise LookupFailedError("unreadable answer") from error
    if not isinstance(item, dict) or not isinstance(item.get("text"), str):
        raise LookupFailedError(f"answer {status}")
    reference = item.get("reference")
    return Found(item["text"], reference if isinstance(reference, str) else "")


def wait_seconds(retry_after: str, now: datetime) -> float:
    """Retry-After, in seconds or as a date (RFC 9110, 10.2.3); 0 where it says nothing."""
    if retry_after.isascii() and retry_after.isdecimal():
        return float(retry_after[:10])
    try:
        until = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds())


def _accepted(body: bytes, count: int) -> Outcome:
    """Ids map by position, so anything but one item for each message, and no id twice, proves nothing."""
    try:
        items: Any = orjson.loads(body)["messages"]
        ids = [item.get("messageId") or None for item in items]
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return _unreadable("unreadable answer")
    named = [id for id in ids if id is not None]
    if len(ids) != count or not all(isinstance(id, str) and is_id(id) for id in named):
        return _unreadable(f"answer for {len(ids)} of {count} messages")
    if len(set(named)) != len(named):
        return _unreadable(f"answer for {count} messages, {len(set(named))} ids")
    return Accepted(ids)


def _unreadable(reason: str) -> Unknown:
    UNREADABLE.inc()
    log.error("answer proves nothing", reason=reason)
    return Unknown(reason)
