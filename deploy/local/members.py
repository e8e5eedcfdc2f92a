"""Who takes part in the local mesh, as data: a new service or stand-in is one entry in MEMBERS.

A service's extra settings are the last line of its entry; what all of them get is in `environment`.
"""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from deploy.local.credentials import Credentials
from deploy.local.errors import SettingMissingError
from deploy.local.ports import HOST
from deploy.local.provision import ROOT, Database


class Kind(IntEnum):
    """In the order of starting; they stop in the other one."""

    STAND_IN = 1
    SERVICE = 2
    GATEWAY = 3


#: Who asks in the name of the operator's command line: no member, since it runs when somebody calls it.
OPERATOR = "ops"


@dataclass(frozen=True)
class Wiring:
    """What a member's environment is made of. `ports` are where members serve, `metrics` where Prometheus reads."""

    data: Path
    environment: Mapping[str, str]
    credentials: Credentials
    ports: Mapping[str, int]
    metrics: Mapping[str, int]
    nats_url: str = ""
    databases: Mapping[str, Database] = field(default_factory=dict)

    def address(self, name: str) -> str:
        return f"{HOST}:{self.ports[name]}"

    def given(self, name: str, default: str) -> str:
        """What the mesh's own environment says, else the default."""
        return self.environment.get(name) or default

    def stripe(self) -> Mapping[str, str]:
        """The stand-in, or the real Stripe, which signs with a secret of its own."""
        if "stripe" not in self.ports:
            if not self.environment.get("STRIPE_WEBHOOK_SECRET"):
                raise SettingMissingError(
                    "the real Stripe was asked for (STRIPE_SECRET_KEY): set STRIPE_WEBHOOK_SECRET"
                )
            return {name: self.environment[name] for name in ("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET")}
        return {
            "STRIPE_API_BASE": f"http://{self.address('stripe')}",
            "STRIPE_SECRET_KEY": self.credentials.stripe_secret_key,
            "STRIPE_WEBHOOK_SECRET": self.given("STRIPE_WEBHOOK_SECRET", self.credentials.stripe_webhook_secret),
        }

    def mitto(self) -> Mapping[str, str]:
        """The stand-in, or the real Mitto with a key of its own."""
        if "mitto" not in self.ports:
            names = ("MITTO_API_BASE", "MITTO_API_KEY", "MITTO_TRAFFIC_ACCOUNT_ID")
            missing = [name for name in names if not self.environment.get(name)]
            if missing:
                raise SettingMissingError(f"the real Mitto was asked for (MITTO_API_BASE): set {', '.join(missing)}")
            return {name: self.environment[name] for name in names}
        return {
            "MITTO_API_BASE": f"http://{self.address('mitto')}",
            "MITTO_API_KEY": self.given("MITTO_API_KEY", self.credentials.mitto_api_key),
            "MITTO_TRAFFIC_ACCOUNT_ID": self.given("MITTO_TRAFFIC_ACCOUNT_ID", "local"),
        }

    def public_base_url(self) -> str:
        return self.given("PUBLIC_BASE_URL", f"http://{self.address('gateway')}")

    def webhook_secret(self) -> str:
        return self.given("WEBHOOK_SECRET", self.credentials.webhook_secret)


@dataclass(frozen=True)
class Member:
    """A child. `arguments` are Python's; `service` is whose identity and database it has (a second sender: "sender").

    `port` names the setting of a fixed port, and its default; without one the port is derived. A stand-in is left out
    when the environment names the real thing (`real`).
    """

    name: str
    kind: Kind = Kind.SERVICE
    service: str = ""
    arguments: tuple[str, ...] = ()
    port: tuple[str, int] | None = None
    real: str = ""
    database: bool = True
    settings: Callable[[Wiring], Mapping[str, str]] = lambda _: {}

    @property
    def identity(self) -> str:
        return self.service or self.name

    @property
    def command(self) -> tuple[str, ...]:
        return (sys.executable, *(self.arguments or ("-m", f"services.{self.identity}")))


def _stand_in(name: str, port: int, real: str, settings: Callable[[Wiring], Mapping[str, str]]) -> Member:
    """`port` is the default of its setting."""
    prefix = name.upper()
    return Member(
        name,
        Kind.STAND_IN,
        arguments=("-m", f"deploy.local.{name}"),
        port=(f"{prefix}_PORT", port),
        real=real,
        database=False,
        settings=lambda wiring: {
            f"{prefix}_PORT": str(wiring.ports[name]),
            f"{prefix}_DATA": str(wiring.data / name),
            **settings(wiring),
        },
    )


MEMBERS = (
    _stand_in(
        "mitto",
        8081,
        real="MITTO_API_BASE",
        settings=lambda wiring: {
            "MITTO_API_KEY": wiring.mitto()["MITTO_API_KEY"],
            "MITTO_CALLBACK_URL": f"http://{wiring.address('gateway')}",
            "MITTO_CALLBACK_SECRET": wiring.webhook_secret(),
        },
    ),
    _stand_in(
        "stripe",
        8082,
        real="STRIPE_SECRET_KEY",
        settings=lambda wiring: {
            "STRIPE_SECRET_KEY": wiring.stripe()["STRIPE_SECRET_KEY"],
            "STRIPE_WEBHOOK_URL": f"http://{wiring.address('gateway')}/webhooks/stripe",
            "STRIPE_WEBHOOK_SECRET": wiring.stripe()["STRIPE_WEBHOOK_SECRET"].partition(",")[0],
        },
    ),
    Member(
        "accounts",
        settings=lambda wiring: {
            "SIGNING_KEY_ENCRYPTION_KEY": wiring.given(
                "SIGNING_KEY_ENCRYPTION_KEY", wiring.credentials.signing_key_encryption_key
            )
        },
    ),
    Member(
        "contacts",
        settings=lambda wiring: {
            "SUPPRESSION_KEY": wiring.given("SUPPRESSION_KEY", wiring.credentials.suppression_key),
            "PUBLIC_BASE_URL": wiring.public_base_url(),
        },
    ),
    Member(
        "campaigns",
        settings=lambda wiring: {
            "LINK_KEY": wiring.given("LINK_KEY", wiring.credentials.link_key),
            "PUBLIC_BASE_URL": wiring.public_base_url(),
        },
    ),
    Member(
        "wallet",
        settings=lambda wiring: {
            "WELCOME_CREDITS": wiring.given("WELCOME_CREDITS", "1000000"),
            "WELCOME_PLAN": wiring.given("WELCOME_PLAN", "starter"),
            **wiring.stripe(),
        },
    ),
    Member("sender", settings=lambda wiring: {**wiring.mitto(), "WEBHOOK_SECRET": wiring.webhook_secret()}),
    Member(
        "gateway",
        Kind.GATEWAY,
        port=("PORT", 8080),
        database=False,
        settings=lambda wiring: {
            "HOST": HOST,
            "PORT": str(wiring.ports["gateway"]),
            # Demos and benchmarks come from one address, and faster than any shop.
            "RATE_LIMIT_FACTOR": wiring.given("RATE_LIMIT_FACTOR", "1000"),
        },
    ),
)


# As in the image (Dockerfile).
MEMORY = {"MALLOC_MMAP_THRESHOLD_": "262144", "MALLOC_TRIM_THRESHOLD_": "262144"}


def environment(member: Member, wiring: Wiring) -> dict[str, str]:
    """The settings of one member, nothing inherited."""
    settings = {"PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}", "PYTHONUNBUFFERED": "1"} | MEMORY
    if member.kind != Kind.STAND_IN:
        settings |= _of_the_mesh(member, wiring)
    if member.database:
        database = wiring.databases[member.identity]
        settings |= {"DATABASE_URL": database.url, "PIPELINE_DATABASE_URL": database.pipeline_url}
    return settings | dict(member.settings(wiring))


def _of_the_mesh(member: Member, wiring: Wiring) -> dict[str, str]:
    settings = {"METRICS_ADDRESS": f"{HOST}:{wiring.metrics[member.name]}", "NATS_URL": wiring.nats_url}
    if member.kind == Kind.SERVICE:
        settings["ADDRESS"] = wiring.address(member.name)
    return settings | _known(member.identity, wiring)


def operator(wiring: Wiring) -> dict[str, str]:
    """The settings of the operator's command line."""
    return {"PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}", **_known(OPERATOR, wiring)}


def _known(identity: str, wiring: Wiring) -> dict[str, str]:
    """Where the others are, and the key that says who one is."""
    mesh = wiring.credentials.mesh
    addresses = {
        f"{name.upper()}_ADDRESS": wiring.address(name) for name in mesh if name in wiring.ports and name != "gateway"
    }
    public = json.dumps({name: pair.public for name, pair in mesh.items()})
    return {"MESH_PRIVATE_KEY": mesh[identity].private, "MESH_PUBLIC_KEYS": public, **addresses}
