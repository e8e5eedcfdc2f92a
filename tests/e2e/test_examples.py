"""What we hand to others runs: the walk with curl, block by block, and the client in Python."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import httpx
import pytest

from deploy.local.mesh import Mesh

pytestmark = [pytest.mark.xdist_group("e2e"), pytest.mark.timeout(180)]
ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "python"


def test_the_walk_through_leads_to_closed_books(running_mesh: Mesh) -> None:
    running_mesh.wait_ready()
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / "docs" / "walkthrough.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) > 8
    environment = {**os.environ, "base": running_mesh.url}
    script = "set -euxo pipefail\n" + "\n".join(blocks)
    done = run(["bash", "-c", script], environment)
    assert done.returncode == 0, done.stderr[-3000:]


def test_the_example_campaign_closes_its_books(running_mesh: Mesh) -> None:
    running_mesh.wait_ready()
    command = [sys.executable, str(EXAMPLES / "campaign.py"), str(EXAMPLES / "contacts.csv")]
    done = run(command, {**os.environ, "ASTRONOTE_URL": running_mesh.url})
    assert done.returncode == 0, done.stderr[-3000:]
    assert "3 contacts came in, 1 rows were rejected" in done.stdout
    assert "COMPLETED" in done.stdout


def run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=170, check=False)


@pytest.fixture(scope="module")
def client() -> ModuleType:
    spec = importlib.util.spec_from_file_location("astronote_example", EXAMPLES / "astronote.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Script:
    """Answers in turn, and what was asked and waited for."""

    def __init__(self, *answers: httpx.Response | httpx.TransportError) -> None:
        self.answers, self.asked, self.waited = list(answers), list[httpx.Request](), list[float]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, httpx.TransportError):
            raise answer
        return answer


def refusal(status: int, reason: str = "", **headers: str) -> httpx.Response:
    details = [{"reason": reason}] if reason else []
    return httpx.Response(status, json={"error": {"message": "", "details": details}}, headers=headers)


SESSION = {"accessToken": "a", "refreshToken": "r"}


def test_it_waits_as_long_as_it_is_told_and_repeats_what_is_safe(client: ModuleType) -> None:
    script = Script(refusal(429, "RATE_LIMITED", **{"Retry-After": "7"}), httpx.Response(200, json={"id": "1"}))
    shop = client.Astronote("http://test", transport=httpx.MockTransport(script), sleep=script.waited.append)
    assert shop.post("/v1/contacts", {"phone": "1"}) == {"id": "1"}
    assert script.waited == [7.0]
    # An answer that was lost: asked for again under its key, and not without one.
    script.answers = [httpx.ReadError(""), refusal(503), httpx.Response(200, json={})]
    shop.post("/v1/campaigns/1:send", key="once")
    assert {request.headers["idempotency-key"] for request in script.asked[2:]} == {"once"}
    script.answers = [httpx.ReadError("")]
    with pytest.raises(httpx.ReadError):
        shop.post("/v1/campaigns/1:send")
    script.answers = [refusal(503)] * client.TRIES_MAX
    with pytest.raises(client.Refused):
        shop.get("/v1/me")


def test_it_renews_a_token_that_ran_out_once(client: ModuleType) -> None:
    script = Script(httpx.Response(200, json=SESSION), refusal(401, "TOKEN_INVALID"))
    script.answers += [
        httpx.Response(200, json={"accessToken": "b", "refreshToken": "s"}),
        httpx.Response(200, json={}),
    ]
    shop = client.Astronote("http://test", transport=httpx.MockTransport(script))
    shop.login("me@example.com", "password")
    shop.get("/v1/me")
    assert script.asked[-1].headers["authorization"] == "Bearer b"
    # The refresh token is no good either: that is the end, and no loop.
    script.answers = [refusal(401, "TOKEN_INVALID"), refusal(401, "REFRESH_TOKEN_INVALID")]
    with pytest.raises(client.Refused, match="REFRESH_TOKEN_INVALID"):
        shop.get("/v1/me")
    assert not script.answers
