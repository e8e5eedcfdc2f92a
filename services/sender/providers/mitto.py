"""Mitto, Messages API v1.1. It has no idempotency key and no search, so each call is made once and read with care."""

from collections.abc import Sequence
from typing import Any

import httpx
import orjson

from astronote.sender.v1.batches_pb2 import BatchRecipient
from services.sender.outcomes import Accepted, NotSent, Outcome, Refused, Unknown

BULK = "/api/v1.1/Messages/sendmessagesbulk"
# No byte of the request has left in these.
UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


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
        account = self._traffic_account_id
        messages = [
            {
                "trafficAccountId": account,
                "destination": recipient.phone,
                "sms": {"text": recipient.text, "sender": sender_name},
                "reference": str(id),
            }
            for id, recipient in texts
        ]
        try:
            answer = await self._client.post(BULK, content=orjson.dumps({"messages": messages}))
        except UNSENT as error:
            return NotSent(f"provider away: {type(error).__name__}")
        except httpx.HTTPError as error:
            return Unknown(f"no answer: {type(error).__name__}")
        return read(answer.status_code, answer.headers.get("Retry-After", ""), answer.content, len(messages))

    async def close(self) -> None:
        await self._client.aclose()


def read(status: int, retry_after: str, body: bytes, count: int) -> Outcome:
    """What an answer means; `count` messages were submitted."""
    if 200 <= status < 300:
        return _accepted(body, count)
    if status == 429:
        return NotSent("too many requests", float(retry_after) if retry_after.isdecimal() else 0)
    if status in (401, 403):
        return NotSent(f"our key was refused ({status})", 30, counts=False)
    if status == 408 or status >= 500:
        return Unknown(f"answer {status}")
    return Refused(f"answer {status}: {body[:200].decode(errors='replace')}")


def _accepted(body: bytes, count: int) -> Outcome:
    """Ids map by position, so anything but one item for each message, and no id twice, proves nothing."""
    try:
        items: Any = orjson.loads(body)["messages"]
        ids = [item.get("messageId") or None for item in items]
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return Unknown("unreadable answer")
    named = [id for id in ids if id is not None]
    if len(ids) != count or not all(isinstance(id, str) for id in named) or len(set(named)) != len(named):
        return Unknown(f"answer for {len(ids)} of {count} messages, {len(set(named))} ids")
    return Accepted(ids)
