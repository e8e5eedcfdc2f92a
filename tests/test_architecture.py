"""Keeps the house: what every service, contract, table and refusal has to be, whoever adds the next one."""

import importlib
import inspect
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from google.api.annotations_pb2 import http
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor

from astronote.options.v1.options_pb2 import Access, access
from kit.errors import DomainError
from tests.conftest import SERVICES, TestMesh

ROOT = Path(__file__).parents[1]
# Of these 140 are spans (kit/trace.py, kit/spans.py), which every hop of every service makes, and 170 are what is taken
# together (kit/inbox.py, kit/gathering.py) and plans, times and single messages that a busy road can't do without
# (kit/store.py, kit/rows.py), and 70 ask the broker, since its library holds what comes (kit/pulling.py).
KIT_LINES_MAX = 2766
MODULE_LINES_MAX = 350


def files() -> Iterator[FileDescriptor]:
    """Every contract."""
    for path in sorted((ROOT / "gen").rglob("*_pb2.py")):
        yield importlib.import_module(".".join(path.relative_to(ROOT / "gen").with_suffix("").parts)).DESCRIPTOR


METHODS: list[MethodDescriptor] = [
    method for file in files() for service in file.services_by_name.values() for method in service.methods
]


assert METHODS


def name(method: MethodDescriptor) -> str:
    return f"{method.containing_service.full_name}.{method.name}"


@pytest.mark.parametrize("method", METHODS, ids=name)
def test_every_rpc_says_who_may_call_it_and_has_a_route_or_is_internal(method: MethodDescriptor) -> None:
    rule = method.GetOptions().Extensions[access]
    has_route = method.GetOptions().Extensions[http].WhichOneof("pattern") is not None
    assert rule.caller != Access.CALLER_UNSPECIFIED
    assert has_route == (rule.caller != Access.INTERNAL)
    assert rule.services or rule.caller != Access.INTERNAL
    assert set(rule.services) <= {*SERVICES, "gateway", "ops"}
    # What needs no merchant is not a merchant's: such a method can't be reached from outside.
    assert not rule.no_merchant or rule.caller == Access.INTERNAL


def test_no_two_routes_collide() -> None:
    patterns: Counter[tuple[str, str]] = Counter()
    for method in METHODS:
        rule = method.GetOptions().Extensions[http]
        for binding in (rule, *rule.additional_bindings):
            if verb := binding.WhichOneof("pattern"):
                patterns[verb, re.sub(r"\{[^}]*\}", "{}", getattr(binding, verb))] += 1
    assert [pattern for pattern, count in patterns.items() if count > 1] == []


def modules(service: str) -> Iterator[ModuleType]:
    package = importlib.import_module(f"services.{service}")
    for module in pkgutil.walk_packages(package.__path__, f"services.{service}."):
        if not module.name.endswith("__main__"):
            yield importlib.import_module(module.name)


def refusals(service: str) -> set[type[DomainError]]:
    return {
        member
        for module in modules(service)
        for member in vars(module).values()
        if inspect.isclass(member) and issubclass(member, DomainError) and member.__module__.startswith("services.")
    }


@pytest.mark.parametrize("service", [*SERVICES, "gateway"])
def test_every_refusal_says_what_is_wrong_under_a_reason_of_its_own(service: str) -> None:
    reasons = Counter(refusal.reason() for refusal in refusals(service))
    assert [reason for reason, count in reasons.items() if count > 1] == []
    for refusal in refusals(service):
        assert refusal.__doc__, refusal
        assert refusal.__doc__.endswith("."), refusal


def test_every_refusal_that_a_contract_names_is_one() -> None:
    reasons = {refusal.reason() for service in (*SERVICES, "gateway") for refusal in refusals(service)}
    reasons |= {each.reason() for each in all_subclasses(DomainError)}
    for path in (ROOT / "protos").rglob("*.proto"):
        for sentence in re.findall(r"(?:Refuses|refused with)([^.]*)\.", re.sub(r"\n\s*//", "", path.read_text())):
            for reason in re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", sentence):
                assert reason in reasons, f"{path.name} names {reason}"


def all_subclasses(cls: type[DomainError]) -> Iterator[type[DomainError]]:
    for each in cls.__subclasses__():
        yield each
        yield from all_subclasses(each)


def test_every_event_has_a_sender() -> None:
    for path in (ROOT / "protos").rglob("events.proto"):
        service = path.parts[-3]
        source = "".join(each.read_text() for each in (ROOT / "services" / service).rglob("*.py"))
        for event in re.findall(r"^message (\w+)", path.read_text(), re.MULTILINE):
            assert re.search(rf"\b{event}\(", source), f"nothing in {service} says {event}"


def test_no_event_names_a_person() -> None:
    """A stream keeps events for a week and `dead_letters` those that nobody could handle, out of an erasure's reach:
    they say who is meant by ids.
    """
    personal = re.compile(r"(^|_)(phone|phones|to|from|email|name|text|birthday|address|agent)$")
    events = [
        message
        for file in files()
        if file.name.endswith("/events.proto")
        for message in file.message_types_by_name.values()
    ]
    fields = [field for message in events for field in message.fields if not field.GetOptions().deprecated]
    assert [field.full_name for field in fields if personal.search(field.name)] == []
    assert len(fields) > 20


@pytest.mark.parametrize("service", SERVICES)
def test_every_tenant_table_has_row_level_security(service: str, mesh: TestMesh) -> None:
    query = """
        SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity,
               EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'merchant_id'),
               EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polqual IS NOT NULL),
               pg_get_userbyid(c.relowner)
        FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
          AND c.relname <> 'alembic_version'
    """
    with psycopg.connect(mesh.database(service).owner_url.replace("+psycopg", "")) as connection:
        tables = connection.execute(query).fetchall()
    assert tables
    for table, is_secured, has_merchant, has_policy, owner in tables:
        assert is_secured, f"{service}.{table} has no row-level security"
        assert not has_merchant or has_policy, f"{service}.{table} has no policy for its merchants"
        assert owner == f"{service}_owner"


@pytest.mark.parametrize("service", SERVICES)
def test_the_migrations_make_the_tables(service: str, mesh: TestMesh) -> None:
    config = Config(str(ROOT / "alembic.ini"), ini_section=service)
    config.attributes["url"] = mesh.database(service).owner_url
    command.check(config)


@pytest.mark.parametrize("service", [*SERVICES, "gateway"])
def test_every_service_has_its_manifest_and_its_few_lines_of_start(service: str) -> None:
    assert (ROOT / "deploy/k8s/base" / service / "kustomization.yaml").exists()
    assert service in (ROOT / "deploy/k8s/base/kustomization.yaml").read_text()
    main = (ROOT / "services" / service / "__main__.py").read_text()
    assert len(main.splitlines()) <= 20
    assert importlib.import_module(f"services.{service}").__doc__


def test_kit_keeps_its_budget() -> None:
    lines = {path.name: len(path.read_text().splitlines()) for path in (ROOT / "kit").glob("*.py")}
    assert sum(lines.values()) <= KIT_LINES_MAX


def test_modules_stay_small() -> None:
    for path in [*(ROOT / "kit").rglob("*.py"), *(ROOT / "services").rglob("*.py")]:
        assert len(path.read_text().splitlines()) <= MODULE_LINES_MAX, path


def test_every_decision_has_a_number_of_its_own() -> None:
    numbers = [path.name[:4] for path in sorted((ROOT / "docs/adr").iterdir())]
    assert numbers == [f"{number:04d}" for number in range(1, len(numbers) + 1)]
    for path in (ROOT / "docs/adr").iterdir():
        assert path.read_text().startswith(f"# {int(path.name[:4])}. "), path


def test_sql_stands_in_stores_only() -> None:
    for path in (ROOT / "services").rglob("*.py"):
        parts = path.relative_to(ROOT / "services").parts[1:]
        if not any(part.startswith("store") for part in parts) and parts[-1] != "tables.py":
            assert not re.search(r"^\s*(from|import) (sqlalchemy|psycopg)", path.read_text(), re.MULTILINE), path


def test_what_is_locked_up_to_a_limit_is_asked_for_once() -> None:
    """`kit.rows.one_of` says why."""
    locking = re.compile(r"\n {8}(\w+) = ((?:(?!\n {8}\w).)*?\.with_for_update\()", re.DOTALL)
    for path in (path for room in ("services", "kit") for path in (ROOT / room).rglob("*.py")):
        for function in path.read_text().split("    async def "):
            queries = {name for name, query in locking.findall(function) if "await" not in query}
            assert not queries & set(re.findall(r"\.in_\((\w+)", function)), function
            assert not re.search(r"\.in_\(\s*select\((?:(?!\n {8}\w).)*\.with_for_update\(", function, re.DOTALL), (
                function
            )
            assert not re.search(r"\bIN \(\s*SELECT[^;]*LIMIT[^;)]*FOR UPDATE", function), function
