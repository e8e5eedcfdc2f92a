"""The manifests are what Kubernetes understands, closed by default, and agree with the code."""

import importlib
import json
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from pydantic import SecretStr

from deploy.local.credentials import KeyPair
from kit.app import HANDS_DRAIN_SECONDS, STEP_DRAIN_SECONDS
from kit.config import MeshSettings
from kit.identity import Identity
from kit.server import DRAIN_SECONDS
from services.gateway.settings import Settings as GatewaySettings
from tests.conftest import SERVICES, SETTINGS
from tests.deploy.conftest import OVERLAYS, Build, Manifest, of_kind

# The overlays are built once.
pytestmark = pytest.mark.xdist_group("deploy")
MEMBERS = (*SERVICES, "gateway")
CLUSTERS = ("local", "staging", "production")
KUBERNETES = "1.37"
CLOSED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
# Of operators, whose schemas are not Kubernetes's: `test_foreign.py`.
FOREIGN = ("cert-manager.io/v1", "postgresql.cnpg.io/v1", "monitoring.coreos.com/v1")


def pods(build: Build) -> dict[str, Manifest]:
    """The templates of pods."""
    found = {f"{kind} {name}": manifest["spec"] for (kind, name), manifest in build.items() if "spec" in manifest}
    return {name: spec["template"]["spec"] for name, spec in found.items() if "template" in spec}


def container(build: Build, name: str) -> Manifest:
    (only,) = build["Deployment", name]["spec"]["template"]["spec"]["containers"]
    return dict(only)


def settings(name: str) -> type[MeshSettings]:
    if name == "ops":
        return MeshSettings
    return importlib.import_module(f"services.{name}.settings").Settings  # type: ignore[no-any-return]


def given(build: Build, name: str) -> dict[str, Any]:
    """The environment of a member, as far as it is written down."""
    config = container(build, name)["envFrom"][0]["configMapRef"]["name"]
    shared = build["ConfigMap", config]["data"]
    return {**shared, **{each["name"]: each.get("value") for each in container(build, name)["env"]}}


def port(address: str) -> int:
    return int(address.rpartition(":")[2])


def test_kubernetes_understands_every_manifest(builds: dict[str, Build]) -> None:
    seen = set()
    for build in builds.values():
        for (kind, _), manifest in build.items():
            assert kind == "Namespace" or manifest["metadata"]["namespace"], manifest
            # What two overlays share is looked at once: a look takes 50 ms.
            alike = json.dumps({**manifest, "metadata": sorted(manifest["metadata"])})
            if manifest["apiVersion"] not in FOREIGN and alike not in seen:
                kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
            seen.add(alike)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_is_restricted(overlay: str, builds: dict[str, Build]) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, and a root that is read only."""
    for name, pod in pods(builds[overlay]).items():
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        assert all(not {"hostPath"} & set(volume) for volume in pod.get("volumes", []))
        for each in pod["containers"]:
            assert each["securityContext"] == CLOSED, name
            assert each["resources"]["limits"]["memory"]
            assert each["resources"]["requests"]["cpu"]


@pytest.mark.parametrize("overlay", CLUSTERS)
def test_namespaces_enforce_it(overlay: str, builds: dict[str, Build]) -> None:
    (namespace,) = of_kind(builds[overlay], "Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("overlay", CLUSTERS)
@pytest.mark.parametrize("name", MEMBERS)
def test_ports_and_probes_are_those_of_the_code(name: str, overlay: str, builds: dict[str, Build]) -> None:
    build, fields = builds[overlay], MeshSettings.model_fields
    each = container(build, name)
    ports = {named["name"]: named["containerPort"] for named in each["ports"]}
    assert ports["metrics"] == port(fields["metrics_address"].default)
    (exposed,) = build["Service", name]["spec"]["ports"]
    assert exposed["targetPort"] in ports
    probes = [each[f"{kind}Probe"] for kind in ("startup", "readiness", "liveness")]
    if name == "gateway":
        assert ports["http"] == GatewaySettings.model_fields["port"].default
        own = Path("services/gateway/own.py").read_text()
        for probe in probes:
            assert probe["httpGet"]["port"] == "http"
            assert f'b"{probe["httpGet"]["path"].partition("?")[0]}"' in own
        return
    host, _, said = fields[f"{name}_address"].default.removeprefix("dns:///").partition(":")
    assert (host, int(said)) == (name, exposed["port"])
    assert ports["grpc"] == port(fields["address"].default)
    assert {probe["grpc"]["port"] for probe in probes} == {ports["health"], port(given(build, name)["HEALTH_ADDRESS"])}


@pytest.mark.parametrize("overlay", CLUSTERS)
@pytest.mark.parametrize("name", [*MEMBERS, "ops"])
def test_the_environment_is_what_the_settings_read(
    name: str, overlay: str, builds: dict[str, Build], monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = settings(name).model_fields
    required = {field.upper() for field, info in fields.items() if info.is_required()}
    named = set(given(builds[overlay], name))
    assert required <= named
    own = {each["name"] for each in container(builds[overlay], name)["env"]}
    assert own <= {field.upper() for field in fields}
    known = {field.upper() for member in MEMBERS for field in settings(member).model_fields}
    assert named <= known
    for variable, value in given(builds[overlay], name).items():
        # What a Secret holds is not known here.
        secret = SETTINGS.get(name, {}).get(variable.lower(), "secret")
        monkeypatch.setenv(variable, secret if value is None else value)
    assert settings(name)()


@pytest.mark.parametrize("overlay", ["staging", "production", "staging/migrations", "production/migrations"])
def test_secrets_are_only_named(overlay: str, builds: dict[str, Build]) -> None:
    build = builds[overlay]
    assert not of_kind(build, "Secret")
    secrets = {
        field.upper()
        for member in MEMBERS
        for field, info in settings(member).model_fields.items()
        if info.annotation is SecretStr
    }
    for pod in pods(build).values():
        for each in pod["containers"]:
            for variable in each.get("env", []):
                assert variable["name"] not in secrets or variable["valueFrom"]["secretKeyRef"]["key"]
    for config in of_kind(build, "ConfigMap").values():
        assert not secrets & set(config["data"])


@pytest.mark.parametrize("name", MEMBERS)
def test_a_pod_may_take_as_long_as_its_drain(name: str, builds: dict[str, Build]) -> None:
    pod = builds["production"]["Deployment", name]["spec"]["template"]["spec"]
    assert pod["containers"][0]["args"] == ["python", "-m", f"services.{name}"]
    drain = float(given(builds["production"], name)["DRAIN_DELAY_SECONDS"])
    if name == "gateway":
        drain += GatewaySettings.model_fields["drain_seconds"].default
    else:
        drain = max(drain + DRAIN_SECONDS, HANDS_DRAIN_SECONDS + STEP_DRAIN_SECONDS)
    assert drain + 10 <= pod["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("name", MEMBERS)
@pytest.mark.parametrize("overlay", ["staging", "production"])
def test_a_service_outlives_a_node(overlay: str, name: str, builds: dict[str, Build]) -> None:
    build = builds[overlay]
    labels = build["Deployment", name]["spec"]["selector"]["matchLabels"]
    assert build["PodDisruptionBudget", name]["spec"]["selector"]["matchLabels"] == labels
    assert build["Service", name]["spec"]["selector"] == labels
    scaler = build["HorizontalPodAutoscaler", name]["spec"]
    assert scaler["scaleTargetRef"]["name"] == name
    assert scaler["minReplicas"] >= 2
    assert "replicas" not in build["Deployment", name]["spec"]
    pod = build["Deployment", name]["spec"]["template"]["spec"]
    spread = {each["topologyKey"]: each["labelSelector"]["matchLabels"] for each in pod["topologySpreadConstraints"]}
    assert spread == dict.fromkeys(("kubernetes.io/hostname", "topology.kubernetes.io/zone"), labels)
    assert pod["serviceAccountName"] == name
    assert ("ServiceAccount", name) in build


def test_senders_follow_their_queue(builds: dict[str, Build]) -> None:
    metrics = builds["production"]["HorizontalPodAutoscaler", "sender"]["spec"]["metrics"]
    assert [each["type"] for each in metrics] == ["Resource", "External"]


@pytest.mark.parametrize("overlay", ["production", "production/migrations"])
def test_production_runs_an_image_by_its_digest(overlay: str, builds: dict[str, Build]) -> None:
    for name, pod in pods(builds[overlay]).items():
        for each in pod["containers"]:
            assert re.fullmatch(r"\S+@sha256:[0-9a-f]{64}", each["image"]), name


@pytest.mark.parametrize("overlay", ["staging", "production"])
@pytest.mark.parametrize("name", [*MEMBERS, "ops"])
def test_every_member_has_a_certificate_in_its_name(name: str, overlay: str, builds: dict[str, Build]) -> None:
    certificate = builds[overlay]["Certificate", name]["spec"]
    assert certificate["dnsNames"] == [name]
    assert set(certificate["usages"]) == {"server auth", "client auth"}
    pod = builds[overlay]["Deployment", name]["spec"]["template"]["spec"]
    (volume,) = pod["volumes"]
    assert volume["secret"]["secretName"] == certificate["secretName"]
    (mount,) = pod["containers"][0]["volumeMounts"]
    assert given(builds[overlay], name)["TLS_FOLDER"] == mount["mountPath"]


@pytest.mark.parametrize("overlay", ["staging", "production"])
def test_every_database_is_migrated_by_its_owner(overlay: str, builds: dict[str, Build]) -> None:
    pod = builds[f"{overlay}/migrations"]["Job", "migrations"]["spec"]["template"]["spec"]
    assert {tuple(each["args"]) for each in pod["containers"]} == {
        ("python", "-m", "migrations", service) for service in SERVICES
    }
    for each in pod["containers"]:
        (url,) = each["env"]
        assert url["valueFrom"]["secretKeyRef"]["name"] == f"{each['args'][-1]}-owner"
    cluster = builds[overlay]["Cluster", "postgres"]["spec"]
    roles = {role["name"]: role["bypassrls"] for role in cluster["managed"]["roles"]}
    assert roles == {
        f"{service}{suffix}": suffix == "_pipeline" for service in SERVICES for suffix in ("", "_owner", "_pipeline")
    }
    databases = {each["spec"]["owner"] for each in of_kind(builds[overlay], "Database").values()}
    assert databases == {f"{service}_owner" for service in SERVICES}


def test_the_local_keys_are_pairs(builds: dict[str, Build]) -> None:
    public = json.loads(builds["local"]["ConfigMap", "mesh"]["data"]["MESH_PUBLIC_KEYS"])
    for name in public:
        lines = Path(f"deploy/k8s/overlays/local/secrets/{name}.env").read_text().splitlines()
        private = dict(line.split("=", 1) for line in lines)["MESH_PRIVATE_KEY"]
        token = Identity(name, private, public).assertion("wallet")
        seen = Identity("wallet", KeyPair.generate().private, public).verify(token)
        assert seen.service == name
