"""ETags, conditional GET, and what is compressed for whom."""

import gzip

import httpx
import pytest

from astronote.campaigns.v1.campaigns_pb2 import Progress
from tests.gateway.servicers import Record

PATH = "/v1/contacts/abc"


async def test_the_same_again_is_not_sent_again(http: httpx.AsyncClient) -> None:
    first = await http.get(PATH)
    tag = first.headers["etag"]
    assert tag.startswith('"')
    again = await http.get(PATH, headers={"if-none-match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert "content-length" not in again.headers
    assert (await http.get("/v1/contacts/other", headers={"if-none-match": tag})).status_code == 200


@pytest.mark.parametrize("given", ["W/{}", '"x", {}', '{}, "x"', "*"])
async def test_forms_of_a_condition(http: httpx.AsyncClient, given: str) -> None:
    tag = (await http.get(PATH)).headers["etag"]
    assert (await http.get(PATH, headers={"if-none-match": given.format(tag)})).status_code == 304
    assert (await http.head(PATH, headers={"if-none-match": given.format(tag)})).status_code == 304


@pytest.mark.parametrize("given", ['"x"', "", "x", '""', '"' * 500])
async def test_other_conditions_do_not_hold(http: httpx.AsyncClient, given: str) -> None:
    assert (await http.get(PATH, headers={"if-none-match": given})).status_code == 200


@pytest.mark.parametrize(
    ("accepted", "is_zipped"),
    [
        ("gzip", True), ("br, gzip;q=0.5", True), ("GZIP", True), ("*", True), ("gzip;q=0", False),
        ("gzip; q=0.000, br", False), ("br", False), ("", False), ("xgzip", False), ("identity", False),
    ],
)  # fmt: skip
async def test_compression_is_for_whom_takes_it(anonymous: httpx.AsyncClient, accepted: str, is_zipped: bool) -> None:
    answer = await anonymous.get("/openapi.json", headers={"accept-encoding": accepted})
    assert answer.json()["openapi"]
    assert (answer.headers.get("content-encoding") == "gzip") == is_zipped
    assert answer.headers["vary"] == "Accept-Encoding"
    assert answer.headers["etag"].endswith('-gzip"') == is_zipped
    assert answer.headers["cache-control"] == "public, max-age=60"


async def test_what_the_client_has_compressed_is_the_same(anonymous: httpx.AsyncClient) -> None:
    for path in ("/openapi.json", "/docs"):
        answer = await anonymous.get(path, headers={"accept-encoding": "gzip"})
        tags = {answer.headers["etag"], answer.headers["etag"].replace("-gzip", "")}
        for tag in tags:
            found = await anonymous.get(path, headers={"accept-encoding": "gzip", "if-none-match": tag})
            assert found.status_code == 304


@pytest.mark.parametrize(("length", "is_zipped"), [(10, False), (2000, True), (600_000, True)])
async def test_short_answers_stay_as_they_are(
    http: httpx.AsyncClient, record: Record, length: int, is_zipped: bool
) -> None:
    record.name = "Ελένη" * length
    async with http.stream("GET", PATH, headers={"accept-encoding": "gzip"}) as answer:
        raw = b"".join([piece async for piece in answer.aiter_raw()])
    assert ("content-encoding" in answer.headers) == is_zipped
    assert record.name.encode() in (gzip.decompress(raw) if is_zipped else raw)
    assert len(raw) == int(answer.headers["content-length"])


async def test_what_hands_out_secrets_is_never_compressed(anonymous: httpx.AsyncClient, record: Record) -> None:
    body = {"email": "a@b.gr", "password": "long enough", "company": "c" * 5000}
    record.token = "t" * 5000
    answer = await anonymous.post("/v1/auth:register", json=body, headers={"accept-encoding": "gzip"})
    assert len(answer.content) > 5000
    for name in ("content-encoding", "etag"):
        assert name not in answer.headers


async def test_streams_are_not_compressed(http: httpx.AsyncClient, record: Record) -> None:
    record.events = [Progress() for _ in range(50)]
    for path in ("/v1/campaigns/c:watch", "/v1/contacts:export"):
        if path.endswith("export"):
            record.events = []
        answer = await http.get(path, headers={"accept-encoding": "gzip"})
        assert answer.status_code == 200
        assert "content-encoding" not in answer.headers


async def test_a_compressed_body_is_refused(http: httpx.AsyncClient, record: Record) -> None:
    headers = {"content-encoding": "gzip", "content-type": "application/json"}
    answer = await http.post("/v1/contacts", content=gzip.compress(b'{"phone": "1"}'), headers=headers)
    assert answer.status_code == 415
    assert answer.json()["error"]["details"][0]["reason"] == "CONTENT_ENCODING_UNSUPPORTED"
    assert not record.requests
