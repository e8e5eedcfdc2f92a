"""What the gateway reads from its environment."""

import re
from typing import Literal

from pydantic import BaseModel, Field, IPvAnyNetwork, field_validator

from kit.config import MeshSettings

# Without TLS whoever is on the way signs tokens; on one's own machine nobody is.
ORIGIN = re.compile(r"https://[a-z0-9.-]+(:[0-9]+)?|http://(localhost|127\.0\.0\.1)(:[0-9]+)?")
KEYS_ADDRESS = re.compile(r"https://[^\s/]+(/\S*)?|http://(localhost|127\.0\.0\.1)(:[0-9]+)?(/\S*)?")


class ExternalIssuer(BaseModel):
    """Somebody else who says who a merchant's user is. One algorithm, type and audience, so that a token chooses none;
    the merchant's claim holds the id of a merchant here.
    """

    issuer: str
    audience: str
    #: Where its keys are, as a JSON Web Key Set.
    jwks_url: str
    algorithm: Literal["RS256", "ES256", "EdDSA"] = "RS256"
    token_type: str = "at+jwt"  # noqa: S105 (RFC 9068)
    merchant_claim: str = "mid"
    user_claim: str = "sub"

    @field_validator("jwks_url")
    @classmethod
    def _is_safe(cls, url: str) -> str:
        if not KEYS_ADDRESS.fullmatch(url):
            raise ValueError("an address of keys begins with https://")
        return url

    @field_validator("issuer", "audience")
    @classmethod
    def _is_said(cls, text: str) -> str:
        if not text:
            raise ValueError("can't be empty")
        return text


class Settings(MeshSettings):
    """Bounds are per request; a method's own `limits` option stands above the defaults here."""

    #: Where HTTP is served.
    host: str = "0.0.0.0"  # noqa: S104 (a container's front door)
    #: 0 picks a free one.
    port: int = 8080
    #: Who an access token must say that it is by.
    token_issuer: str = "astronote"  # noqa: S105 (no secret)
    #: For whom it must say that it is.
    token_audience: str = "astronote"  # noqa: S105 (no secret)
    #: Issuers whose tokens are taken where one of ours would be, as JSON.
    external_issuers: tuple[ExternalIssuer, ...] = ()
    #: Networks of our own proxies; only what they say of a client's address is believed.
    trusted_proxies: tuple[IPvAnyNetwork, ...] = ()
    #: The header in which they say it: the one that they overwrite or add to, whatever the client sent.
    forwarded_header: Literal["x-forwarded-for", "forwarded"] = "x-forwarded-for"
    #: Web apps that may call from a browser, and with its cookies, as JSON: `["https://app.example.com"]`.
    cors_origins: tuple[str, ...] = ()
    #: Multiplies the rate limits of every contract.
    rate_limit_factor: float = Field(default=1.0, gt=0)
    #: Calls to one service that are under way at once, streams apart; as many more wait for their turn.
    service_calls_max: int = Field(default=256, ge=1)
    #: Streams of one service at once.
    service_streams_max: int = Field(default=512, ge=1)
    #: A call waits so long for its turn.
    service_wait_seconds: float = 0.5
    #: Open connections; one more is answered with 503. Fewer where the process may not open so many files.
    connections_max: int = 15_000
    #: The longest body, where the contract does not say another.
    body_bytes_max: int = 1024 * 1024
    #: What the bodies of all requests may take up in memory together.
    bodies_bytes_max: int = 128 * 1024 * 1024
    #: The longest that a call may take, where the contract does not say another.
    timeout_seconds: float = 15.0
    #: The longest wait for the next piece of a body.
    body_idle_seconds: float = 30.0
    #: How often a quiet stream of events says that it lives.
    heartbeat_seconds: float = 15.0
    #: How long `/readyz` waits for a service.
    readiness_seconds: float = 1.0
    #: How long calls in hand may take to end.
    drain_seconds: int = 20

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [origin for origin in origins if not ORIGIN.fullmatch(origin)]:
            raise ValueError(f"no origins, as a browser writes them: {wrong}")
        return origins
