"""What a route answers, and how it reaches the caller."""

from dataclasses import dataclass

import orjson


@dataclass(frozen=True, slots=True)
class Answer:
    """`wait_seconds` pass before it is sent; a dropped one is never sent, and the connection is reset instead."""

    status: int
    body: bytes
    retry_after_seconds: int | None = None
    wait_seconds: float = 0
    dropped: bool = False


class RefusedError(Exception):
    """The request ends here, with this status and `{"message": …}`."""

    def __init__(self, status: int, message: str, retry_after_seconds: int | None = None) -> None:
        super().__init__(message)
        self.answer = Answer(status, orjson.dumps({"message": message}), retry_after_seconds)


def json_answer(content: object, status: int = 200) -> Answer:
    return Answer(status, orjson.dumps(content))


def parsed(body: bytes) -> dict[str, object]:
    """The JSON object in a body; refuses anything else with 400."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RefusedError(400, f"the body is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise RefusedError(400, "the body is not a JSON object")
    return content
