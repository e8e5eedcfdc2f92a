"""How Stripe refuses."""

from typing import Any


class RefusedError(Exception):
    """The request ends here, with this status and Stripe's `{"error": {…}}`."""

    def __init__(self, status: int, message: str, kind: str = "invalid_request_error", code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = {"error": {"type": kind, "message": message, **({"code": code} if code else {})}}


def missing(kind: str, id: str) -> RefusedError:
    return RefusedError(404, f"No such {kind}: '{id}'", code="resource_missing")


def declined() -> RefusedError:
    return RefusedError(402, "Your card was declined.", "card_error", "card_declined")
