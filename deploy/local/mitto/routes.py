"""HTTP: one ASGI application that reads a body, finds its route, checks the key and sends the answer."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from deploy.local.mitto.answers import Answer, RefusedError
from deploy.local.mitto.control import Control
from deploy.local.mitto.submissions import Submissions

_Event = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Event]]
_Send = Callable[[_Event], Awaitable[None]]

_MESSAGES = "/api/v1.1/Messages/"
_CONTROL = "/_stand-in/"
_BODY_BYTES_MAX = 16_000_000


class Routes:
    """The provider's routes need the key; those of the stand-in are for whoever can reach its port."""

    def __init__(self, api_key: str, submissions: Submissions, control: Control) -> None:
        self._api_key = api_key.encode()
        self._submissions = submissions
        self._posts = {"send": submissions.send, "sendmessagesbulk": submissions.send_bulk}
        self._control = {
            "summary": ("GET", control.summary),
            "accepted": ("GET", control.accepted),
            "behaviour": ("POST", control.behaviour),
            "inbound": ("POST", control.inbound),
            "reset": ("POST", control.reset),
        }

    async def __call__(self, scope: _Event, receive: _Receive, send: _Send) -> None:
        body = await _read(receive)
        if body is None:
            return
        try:
            answer = await self._answered(scope, body)
        except RefusedError as refused:
            answer = refused.answer
        if answer.wait_seconds and await _disconnected(receive, answer.wait_seconds):
            return
        if answer.dropped:
            scope["state"]["transport"].abort()
            await _disconnected(receive, timeout_seconds=5)
            return
        await _send_answer(send, answer)

    async def _answered(self, scope: _Event, body: bytes) -> Answer:
        method, path = scope["method"], scope["path"]
        if len(body) > _BODY_BYTES_MAX:
            raise RefusedError(413, "the body is too long")
        if path.startswith(_MESSAGES):
            self._check_key(scope)
            return self._provider(method, path.removeprefix(_MESSAGES), body)
        expected, handler = self._control.get(path.removeprefix(_CONTROL), (None, None))
        if handler is None or not path.startswith(_CONTROL):
            raise RefusedError(404, "no such route")
        if method != expected:
            raise RefusedError(405, f"{expected} is meant")
        return await handler(scope["query_string"], body)

    def _provider(self, method: str, name: str, body: bytes) -> Answer:
        post = self._posts.get(name)
        if method != ("POST" if post else "GET"):
            raise RefusedError(405, "the method doesn't fit the route")
        return post(body) if post else self._submissions.show(name)

    def _check_key(self, scope: _Event) -> None:
        key = next((value for name, value in scope["headers"] if name == b"x-mitto-api-key"), None)
        if key is None:
            raise RefusedError(401, "X-Mitto-API-Key is missing")
        if not hmac.compare_digest(key, self._api_key):
            raise RefusedError(403, "X-Mitto-API-Key is not valid")


async def _read(receive: _Receive) -> bytes | None:
    """The body; None when the caller went away before its end. What is past the maximum is not kept."""
    parts: list[bytes] = []
    length, more = 0, True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            return None
        length += len(event["body"])
        if length - len(event["body"]) <= _BODY_BYTES_MAX:
            parts.append(event["body"])
        more = event["more_body"]
    return b"".join(parts)


async def _disconnected(receive: _Receive, timeout_seconds: float) -> bool:
    """Waits; True as soon as the caller has gone, False when the time is over."""
    try:
        async with asyncio.timeout(timeout_seconds):
            await receive()
    except TimeoutError:
        return False
    return True


async def _send_answer(send: _Send, answer: Answer) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer.body)).encode())]
    if answer.retry_after_seconds is not None:
        headers.append((b"retry-after", str(answer.retry_after_seconds).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
