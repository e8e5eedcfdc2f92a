"""One arena for every crash test."""

from collections.abc import Iterator

import pytest

from tests.crash.arena import Arena


@pytest.fixture(scope="session")
def arena() -> Iterator[Arena]:
    with Arena.open() as arena:
        yield arena
