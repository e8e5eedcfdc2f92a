"""Pages by token: a token is the key of the last row, so that a page costs the same however deep it lies."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from kit.errors import InvalidArgument

SIZE_DEFAULT, SIZE_MAX = 50, 500
Key = TypeVar("Key")
Item = TypeVar("Item")


class PageTokenInvalid(InvalidArgument):
    """The page token is none of ours."""


class PageSizeInvalid(InvalidArgument):
    """A page size is 1 to 500."""


def size(page_size: int) -> int:
    """Refuses `PageSizeInvalid`."""
    if not 0 <= page_size <= SIZE_MAX:
        raise PageSizeInvalid(field="page_size", size_max=SIZE_MAX)
    return page_size or SIZE_DEFAULT


def after(token: str, parse: Callable[[str], Key]) -> Key | None:
    """The key to go on after; none for the first page. Refuses `PageTokenInvalid`."""
    if not token:
        return None
    try:
        return parse(urlsafe_b64decode(token.encode("ascii") + b"==").decode())
    except ValueError as error:
        raise PageTokenInvalid(field="page_token") from error


def number(text: str) -> int:
    """A 64-bit key."""
    found = int(text)
    if not 0 <= found < 1 << 63:
        raise ValueError(text)
    return found


def uuid(text: str) -> str:
    return str(UUID(text))


def token(items: list[Item], limit: int, key: Callable[[Item], object]) -> str:
    """The token of the page that follows; empty when a page was not full."""
    if len(items) < limit:
        return ""
    return urlsafe_b64encode(str(key(items[-1])).encode()).decode().rstrip("=")
