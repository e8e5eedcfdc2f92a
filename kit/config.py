"""Settings, read from the environment once at start. A missing one stops the service with its name."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from kit.identity import Identity
from kit.tls import Certificates


# What was given stays out of the log of a start that failed: it may be a password.
class MeshSettings(BaseSettings, hide_input_in_errors=True):
    """What every process of the mesh needs."""

    #: Where gRPC is served.
    address: str = "0.0.0.0:50051"
    #: Where the health service answers in plain text, for probes that speak no TLS; empty: nowhere.
    health_address: str = ""
    #: The folder of `tls.crt`, `tls.key` and `ca.crt`, by which services prove themselves; empty: no TLS.
    tls_folder: str = ""
    #: Between "not ready" and "no more calls": for load balancers and the other services to notice.
    drain_delay_seconds: float = 0.0
    #: Where Prometheus reads; port 0 picks one.
    metrics_address: str = "0.0.0.0:9090"
    #: Where OpenTelemetry's collector takes spans over gRPC, such as `http://collector:4317`; empty: nowhere.
    otel_exporter_otlp_endpoint: str = ""
    #: base64url of this service's Ed25519 seed, 32 bytes.
    mesh_private_key: SecretStr
    #: Public keys by service, as JSON.
    mesh_public_keys: dict[str, str]
    #: Where accounts answers, as gRPC names addresses.
    accounts_address: str = "dns:///accounts:50051"
    #: Where contacts answers.
    contacts_address: str = "dns:///contacts:50051"
    #: Where campaigns answers.
    campaigns_address: str = "dns:///campaigns:50051"
    #: Where the wallet answers.
    wallet_address: str = "dns:///wallet:50051"
    #: Where the sender answers.
    sender_address: str = "dns:///sender:50051"

    def identity(self, service: str) -> Identity:
        return Identity(service, self.mesh_private_key.get_secret_value(), self.mesh_public_keys)

    def certificates(self) -> Certificates | None:
        return Certificates(self.tls_folder) if self.tls_folder else None

    def address_of(self, service: str) -> str:
        return str(getattr(self, f"{service}_address"))


class ServiceSettings(MeshSettings):
    """What a service with a database needs as well."""

    #: The role of the merchants' calls: under row-level security.
    database_url: SecretStr
    #: The role of the service's own jobs, which work across merchants: BYPASSRLS.
    pipeline_database_url: SecretStr
    #: Where NATS answers, with its token: `nats://TOKEN@nats:4222`.
    nats_url: SecretStr
    #: Copies of each stream; 3 where the broker has three nodes.
    nats_replicas: int = Field(default=1, ge=1, le=5)
    #: Connections a role.
    database_pool_size: int = 10
