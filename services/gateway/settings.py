"""What the gateway reads from its environment."""

import re
from typing import Literal

from pydantic import BaseModel, field_validator

from kit.config import MeshSettings

# Without TLS whoever is on the way signs tokens; on one's own machine nobody is.
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

    host: str = "0.0.0.0"  # noqa: S104 (a container's front door)
    #: 0 picks a free one.
    port: int = 8080
    #: What an access token must say of itself.
    token_issuer: str = "astronote"  # noqa: S105 (no secret)
    token_audience: str = "astronote"  # noqa: S105 (no secret)
    #: Issuers whose tokens are taken where one of ours would be, as JSON.
    external_issuers: tuple[ExternalIssuer, ...] = ()
    body_bytes_max: int = 1024 * 1024
    timeout_seconds: float = 15.0
    #: The longest wait for the next piece of a body.
    body_idle_seconds: float = 30.0
    #: How often a quiet stream of events says that it lives.
    heartbeat_seconds: float = 15.0
    #: How long `/readyz` waits for a service.
    readiness_seconds: float = 1.0
    #: Between "not ready" and "no more connections", for the load balancer to notice.
    drain_delay_seconds: float = 0.0
    #: How long calls in hand may take to end.
    drain_seconds: int = 20
