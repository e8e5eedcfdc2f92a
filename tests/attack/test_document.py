"""Schemathesis reads our own document and tries everything that it can think of: nothing may break, and what comes back
is what the document says.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.attack.conftest import Front, Merchant

pytestmark = [
    pytest.mark.xdist_group("attack"),
    pytest.mark.usefixtures("nothing_is_left"),
    pytest.mark.timeout(400),
]
ROOT = Path(__file__).parents[2]
EXAMPLES_MAX = 3
# One stream that nobody ends, and the end of the session that asks.
LEFT_OUT = ("WatchCampaign",)
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
    "wrong_data_is_refused",
)


# Every edge of every schema for who may do most; the others mostly meet the same refusal again and again.
@pytest.mark.parametrize(
    ("caller", "phases"),
    [("merchant", "examples,coverage,fuzzing"), ("API key", "examples,fuzzing"), ("nobody", "examples,fuzzing")],
)
def test_nothing_breaks_and_every_answer_is_as_documented(
    caller: str, phases: str, front: Front, merchant: Merchant, tmp_path: Path
) -> None:
    token = {"merchant": merchant.token, "API key": merchant.api_key, "nobody": ""}[caller]
    document = tmp_path / "openapi.json"
    document.write_text(json.dumps(httpx.get(f"{front.url}/openapi.json").json()))
    command = [str(Path(sys.executable).with_name("st")), "run", str(document), "--url", front.url]
    command += ["--phases", phases, "--max-examples", str(EXAMPLES_MAX), "--no-shrink"]
    command += ["--generation-deterministic", "--checks", ",".join(CHECKS), "--warnings", "off", "--no-color"]
    command += ["--request-timeout", "20"]
    command += [option for name in LEFT_OUT for option in ("--exclude-operation-id", name)]
    command += ["--header", f"Authorization: Bearer {token}"] if token else []
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "tests.attack.checks", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
