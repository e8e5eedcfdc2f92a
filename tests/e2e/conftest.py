"""The whole mesh as processes, once a session, and a merchant who speaks to its gateway."""

from collections.abc import Iterator

import pytest

from deploy.local.mesh import Mesh
from tests.e2e.collector import Collector, collecting
from tests.shop import Oracle, Shop


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="session")
def running_mesh(collector: Collector) -> Iterator[Mesh]:
    """Small batches, quick sweeps: what takes minutes at night takes seconds here."""
    overrides = {
        "contacts": {"ERASURE_PAUSE_SECONDS": "1"},
        "campaigns": {"BATCH_SIZE": "250", "REPUBLISH_AFTER_SECONDS": "3", "SILENCE_SECONDS": "3"},
        "sender": {
            "LEASE_SECONDS": "6",
            "PROVIDER_TIMEOUT_SECONDS": "5",
            "VALIDITY_SECONDS": "25",
            "UNKNOWN_GRACE_SECONDS": "2",
        },
    }
    traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "200"}
    with Mesh.temporary(settings=traced, overrides=overrides) as mesh:
        yield mesh


@pytest.fixture
def oracle(running_mesh: Mesh) -> Oracle:
    oracle = Oracle(running_mesh)
    oracle.reset()
    return oracle


@pytest.fixture
def shop(running_mesh: Mesh) -> Iterator[Shop]:
    # The test before may have killed a part of it.
    running_mesh.wait_ready()
    shop = Shop(running_mesh)
    yield shop
    shop.http.close()
