"""What an answer of the gateway has to look like."""

from typing import Any

import httpx


def error(answer: httpx.Response, code: int, status: str) -> dict[str, Any]:
    """The error, after a look at its shape."""
    assert answer.status_code == code, answer.text
    assert answer.headers["content-type"] == "application/json"
    (found,) = answer.json().values()
    assert (found["code"], found["status"]) == (code, status)
    assert set(found) == {"code", "status", "message", "details"}
    return dict(found)


def fields(answer: httpx.Response) -> list[str]:
    details = answer.json()["error"]["details"]
    return [each["field"] for detail in details for each in detail.get("fieldViolations", [])]
