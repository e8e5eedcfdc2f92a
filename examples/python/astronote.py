"""A client for Astronote Retail: this file, and httpx.

    with Astronote("http://127.0.0.1:8080") as shop:
        shop.register(email="me@example.com", password="correct horse", company="Cafe", senderName="Cafe")
        shop.import_contacts(b"phone,first_name\\n6912345678,Maria\\n")
        offer = {"name": "Hello", "text": "Hi {{first_name}}!", "audience": {"all": True}}
        campaign = shop.post("/v1/campaigns", offer, key="hello-1")
        print(shop.post(f"/v1/campaigns/{campaign['id']}:quote"))
        shop.post(f"/v1/campaigns/{campaign['id']}:send", key="hello-1-send")
        for progress in shop.watch(campaign["id"]):
            print(progress["report"]["counts"])

A program of its own shows an API key instead of logging in: `Astronote(url, api_key="ar_live_…")`.
"""

import json
import random
import time
from collections.abc import Callable, Iterator
from typing import Any, Self

import httpx

Json = dict[str, Any]

TRIES_MAX = 5
PAUSE_SECONDS_MAX = 60.0
WATCH_SECONDS = 60.0
# Refused before anything was done: a repeat is safe whatever was asked.
NOT_DONE = {408, 429}
# What was done, if anything, is not known: a repeat needs a key, or a method that changes nothing twice.
AWAY = {502, 503, 504}


class Refused(Exception):
    """The API said no. `reason` is the name to switch on (`INSUFFICIENT_CREDITS`), `fields` are what is wrong."""

    def __init__(self, answer: httpx.Response) -> None:
        try:
            error = answer.json()["error"]
        except (ValueError, KeyError, TypeError):
            error = {"message": answer.text[:200], "details": []}
        details: list[Json] = error["details"]
        self.status = answer.status_code
        self.reason: str = next((each["reason"] for each in details if "reason" in each), "")
        self.fields: list[str] = [found["field"] for each in details for found in each.get("fieldViolations", ())]
        self.request_id = answer.headers.get("x-request-id", "")
        super().__init__(f"{self.status} {self.reason}: {error['message']} {' '.join(self.fields)}".strip())


class Astronote:
    """Raises `Refused`, and httpx's errors where the API can't be reached at all."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str = "",
        timeout_seconds: float = 30.0,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http = httpx.Client(base_url=url, timeout=timeout_seconds, transport=transport)
        self._sleep = sleep
        self._refresh_token = ""
        if api_key:
            self._http.headers["Authorization"] = f"Bearer {api_key}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def register(self, **profile: str) -> Json:
        return self._begin("/v1/auth:register", profile)

    def login(self, email: str, password: str) -> Json:
        return self._begin("/v1/auth:login", {"email": email, "password": password})

    def get(self, path: str, **query: Any) -> Json:
        return self._call("GET", path, params=query)

    def post(self, path: str, body: Json | None = None, *, key: str = "") -> Json:
        """`key` makes a repeat safe where the API offers `Idempotency-Key`: then an answer that was lost is asked for
        again.
        """
        headers = {"Idempotency-Key": key} if key else {}
        return self._call("POST", path, json=body or {}, headers=headers)

    def patch(self, path: str, body: Json) -> Json:
        """Changes the fields that the body names."""
        return self._call("PATCH", path, json=body)

    def delete(self, path: str) -> None:
        self._call("DELETE", path)

    def every(self, path: str, field: str, **query: Any) -> Iterator[Json]:
        """All items of a list, page by page: `every("/v1/contacts", "contacts", tag="regular")`."""
        token = ""
        while True:
            page = self.get(path, **query, pageToken=token)
            yield from page[field]
            token = page["nextPageToken"]
            if not token:
                return

    def import_contacts(self, content: bytes, *, content_type: str = "text/csv", **query: str) -> Json:
        """Returns when the import has ended; `rejected` rows are at `/v1/imports/{id}/rejects`."""
        headers = {"Content-Type": content_type}
        found = self._call("POST", "/v1/contacts:import", content=content, headers=headers, params=query)
        while found["state"] not in ("DONE", "FAILED"):
            self._sleep(1.0)
            found = self.get(f"/v1/imports/{found['id']}")
        return found

    def watch(self, campaign_id: str) -> Iterator[Json]:
        """The progress of a campaign, until its books are closed. A stream that breaks off is taken up again."""
        tries = 0
        while tries < TRIES_MAX:
            tries += 1
            try:
                for progress in self._events(f"/v1/campaigns/{campaign_id}:watch"):
                    tries = 0
                    yield progress
                    if progress["report"]["final"]:
                        return
            except httpx.TransportError:
                pass
            self._sleep(_pause_seconds(tries))
        raise TimeoutError(f"{campaign_id}: the stream keeps breaking off")

    def _events(self, path: str) -> Iterator[Json]:
        """Server-sent events. An `error` event ends the stream, as a broken connection does."""
        timeout = httpx.Timeout(WATCH_SECONDS)
        with self._http.stream("GET", path, timeout=timeout) as answer:
            if answer.is_error:
                answer.read()
                if self._is_renewed(answer):
                    return
                raise Refused(answer)
            for line in answer.iter_lines():
                if line.startswith("event: error"):
                    return
                if line.startswith("data: "):
                    yield json.loads(line.removeprefix("data: "))

    def _begin(self, path: str, body: Json) -> Json:
        self._http.headers.pop("Authorization", None)
        session = self._call("POST", path, json=body)
        self._http.headers["Authorization"] = f"Bearer {session['accessToken']}"
        self._refresh_token = session["refreshToken"]
        return session

    def _call(self, method: str, path: str, **options: Any) -> Json:
        is_repeatable = method != "POST" or "Idempotency-Key" in options.get("headers", {})
        for attempt in range(1, TRIES_MAX + 1):
            try:
                answer = self._http.request(method, path, **options)
            except httpx.TransportError:
                if not is_repeatable or attempt == TRIES_MAX:
                    raise
                self._sleep(_pause_seconds(attempt))
                continue
            if answer.is_success:
                content: Json = answer.json()
                return content
            again = NOT_DONE | AWAY if is_repeatable else NOT_DONE
            if attempt == TRIES_MAX or not (answer.status_code in again or self._is_renewed(answer)):
                raise Refused(answer)
            if answer.status_code in again:
                self._sleep(_pause_seconds(attempt, answer))
        raise AssertionError("the last attempt returns or raises")

    def _is_renewed(self, answer: httpx.Response) -> bool:
        """Whether an access token that ran out was traded for a new one. A refresh token works once."""
        if answer.status_code != 401 or not self._refresh_token:
            return False
        token, self._refresh_token = self._refresh_token, ""
        self._begin("/v1/auth:refresh", {"refreshToken": token})
        return True


def _pause_seconds(attempt: int, answer: httpx.Response | None = None) -> float:
    """What the API asks for; else longer each time, and not at the same moment as everybody else."""
    asked = answer.headers.get("Retry-After", "") if answer is not None else ""
    if asked.isdigit():
        return min(float(asked), PAUSE_SECONDS_MAX)
    return min(0.5 * 2.0**attempt, PAUSE_SECONDS_MAX) * random.uniform(0.5, 1.0)  # noqa: S311 (no secret)
