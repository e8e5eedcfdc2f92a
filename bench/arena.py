"""The mesh that everything is measured on, and what the measurements ask of it."""

import asyncio
import csv
import io
import itertools
import json
import random
import time
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any, TypeVar

import psycopg
import uvloop
from psycopg.rows import TupleRow

from bench.http_load import Load, load
from deploy.local.demo import FIRST_NAMES, LAST_NAMES
from deploy.local.members import MEMBERS, Kind, Member
from deploy.local.mesh import Mesh
from kit.identity import Identity
from tests.shop import Oracle, Shop

Result = TypeVar("Result")
Connection = psycopg.Connection[TupleRow]
CREDITS = "20000000"
LOAD_SECONDS = 8.0
CONNECTIONS = 32
IMPORT_SECONDS_MAX = 600.0


class Arena:
    """A temporary mesh, fsync on everywhere, with the settings that merchants meet but for limits of rate."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh, self.provider = mesh, Oracle(mesh)

    @staticmethod
    def mesh_of_a_run(members: Sequence[Member] = MEMBERS) -> Mesh:
        no_limits = {Kind.GATEWAY: {"RATE_LIMIT_FACTOR": "1000000"}, Kind.SERVICE: NO_RATE_LIMITS}
        return Mesh.temporary(
            settings={"WELCOME_CREDITS": CREDITS},
            members=members,
            overrides={member.name: no_limits.get(member.kind, {}) for member in members},
        )

    def shop(self, contacts: int = 0) -> Shop:
        """A fresh merchant with so many contacts."""
        shop = Shop(self.mesh)
        if contacts:
            self.bring(shop, contacts)
        return shop

    def bring(self, shop: Shop, contacts: int) -> float:
        """The seconds from the first byte of the file to the last row in the book."""
        file = sheet(contacts)
        began = time.perf_counter()
        assert shop.imported(file, IMPORT_SECONDS_MAX) == contacts
        return time.perf_counter() - began

    def load(self, requests: Iterator[bytes], seconds: float = LOAD_SECONDS, connections: int = CONNECTIONS) -> Load:
        """Half a second to warm up, then the load."""
        self.run(load(self._address, itertools.islice(requests, 500), connections, 0.5))
        return self.post(requests, seconds, connections)

    def post(self, requests: Iterator[bytes], seconds: float = 120.0, connections: int = CONNECTIONS) -> Load:
        """Until the requests are over, which all have to succeed."""
        result = self.run(load(self._address, requests, connections, seconds))
        refused = {status: count for status, count in result.statuses.items() if status >= 300}
        assert not refused, refused
        return result

    @property
    def _address(self) -> str:
        return self.mesh.url.removeprefix("http://")

    def identity(self, name: str) -> Identity:
        """Speaks in a service's name, as the service itself would."""
        pairs = self.mesh.wiring.credentials.mesh
        return Identity(name, pairs[name].private, {each: pair.public for each, pair in pairs.items()})

    def connection(self, service: str) -> Connection:
        """Into a service's database, across merchants."""
        return _connected(self.mesh.databases[service].pipeline_url)

    def owner(self, service: str) -> Connection:
        """Into a service's database, as who may change its tables, but sees no merchant's rows."""
        return _connected(self.mesh.databases[service].owner_url)

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(coroutine)


def _connected(url: str) -> Connection:
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True)


# The provider's limits are not what is measured.
NO_RATE_LIMITS = {
    "ACCOUNT_REQUESTS_PER_SECOND": "100000",
    "ACCOUNT_MESSAGES_PER_SECOND": "0",
    "MERCHANT_REQUESTS_PER_SECOND": "100000",
    "MERCHANT_MESSAGES_PER_SECOND": "0",
}


def sheet(rows: int) -> bytes:
    """A CSV of people with the columns that shops have."""
    dice, text = random.Random(7), io.StringIO()  # noqa: S311 (names of nobody)
    writer = csv.writer(text)
    writer.writerow(["phone", "first_name", "last_name", "email", "gender", "birthday", "city"])
    for number in range(rows):
        first, last = dice.choice(FIRST_NAMES), dice.choice(LAST_NAMES)
        birthday = f"{dice.randint(1950, 2005)}-{dice.randint(1, 12):02d}-{dice.randint(1, 28):02d}"
        row = [f"69{10_000_000 + number:08d}", first, last, f"c{number}@example.com", dice.choice(("male", "female"))]
        writer.writerow([*row, birthday, dice.choice(("Αθήνα", "Πάτρα", "Βόλος"))])
    return text.getvalue().encode()


def body(content: object) -> bytes:
    return json.dumps(content).encode()
