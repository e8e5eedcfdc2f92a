from kit.config import MeshSettings


class Settings(MeshSettings):
    """Bounds are per request; a method's own `limits` option stands above the defaults here."""

    host: str = "0.0.0.0"  # noqa: S104 (a container's front door)
    #: 0 picks a free one.
    port: int = 8080
    #: What an access token must say of itself.
    token_issuer: str = "astronote"  # noqa: S105 (no secret)
    token_audience: str = "astronote"  # noqa: S105 (no secret)
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
