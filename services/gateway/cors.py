"""Which web apps may call from a browser: those of an exact list, nobody else, and never everybody.

A cookie counts from them and from our own pages only, so that no other site spends a merchant's refresh token.
"""

from collections.abc import Iterable, Mapping

from services.gateway.exchange import Header

ALLOWED_HEADERS = b"Authorization, Content-Type, Idempotency-Key, If-None-Match, X-Request-Id"
EXPOSED_HEADERS = b"Content-Disposition, ETag, Retry-After, X-Request-Id"
# For how long a browser asks no second time.
AGE_SECONDS_MAX = b"600"
VARY: Header = (b"vary", b"Origin")


class Cors:
    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origins)

    def headers(self, request: Mapping[str, str]) -> list[Header]:
        """What an answer says of who may read it."""
        if not self._origins:
            return []
        origin = request.get("origin", "")
        if origin not in self._origins:
            return [VARY]
        return [
            VARY,
            (b"access-control-allow-origin", origin.encode("ascii")),
            (b"access-control-allow-credentials", b"true"),
            (b"access-control-expose-headers", EXPOSED_HEADERS),
        ]

    def preflight(self, request: Mapping[str, str], verbs: str) -> list[Header]:
        """What an answer to OPTIONS says beside `headers`; `verbs` are those of the path."""
        if request.get("origin", "") not in self._origins or "access-control-request-method" not in request:
            return []
        return [
            (b"access-control-allow-methods", verbs.encode("ascii")),
            (b"access-control-allow-headers", ALLOWED_HEADERS),
            (b"access-control-max-age", AGE_SECONDS_MAX),
        ]

    def takes_cookies(self, request: Mapping[str, str]) -> bool:
        """A browser names the origin of what posts; programs name none."""
        origin = request.get("origin")
        return origin is None or origin in self._origins or origin.partition("://")[2] == request.get("host")
