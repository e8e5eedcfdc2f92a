"""An upload that is refused while it is on its way."""

from collections import Counter

import httpx
import pytest

from tests.attack.conftest import Front, Merchant

pytestmark = [pytest.mark.xdist_group("attack"), pytest.mark.usefixtures("nothing_is_left")]


def test_a_refusal_that_overtakes_its_upload_says_why(front: Front, merchant: Merchant) -> None:
    """The service ends the call between two writes, before one or within: the caller sees the same each time."""
    reasons: Counter[str] = Counter()
    with httpx.Client(base_url=front.url, headers={**merchant.headers, "Content-Type": "text/csv"}) as http:
        for size in (1, 300_000):
            for _ in range(60):
                answer = http.post("/v1/contacts:import?columns=none", content=b"phone\n" + b"a" * size)
                reasons[answer.json()["error"]["details"][0]["reason"]] += 1
    assert reasons == {"IMPORT_INVALID": 120}
