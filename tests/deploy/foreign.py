"""Schemas of what we say to operators and charts, which Kubernetes's own schemas do not know.

Written down field by field from their references, and closed: a field that is misspelt, or stands in the wrong place,
is an error, and a new one is added here after a look at its reference. No package of a registry brings them all.

- cert-manager 1.17: https://cert-manager.io/docs/reference/api-docs/
- CloudNativePG 1.27: https://cloudnative-pg.io/documentation/1.27/cloudnative-pg.v1/
- Prometheus operator 0.80: https://prometheus-operator.dev/docs/api-reference/api/
- NATS's chart 1.3: https://github.com/nats-io/k8s/blob/main/helm/charts/nats/values.yaml
"""

from typing import Any

Schema = dict[str, Any]
TEXT, BOOLEAN, COUNT = {"type": "string"}, {"type": "boolean"}, {"type": "integer", "minimum": 1}
HOURS = {"type": "string", "pattern": "^[0-9]+h$"}
SECONDS = {"type": "string", "pattern": "^[0-9]+[smh]$"}
SIZE = {"type": "string", "pattern": "^[0-9]+[MG]i$"}
TEXTS = {"type": "object", "additionalProperties": TEXT}


def one_of(*values: object) -> Schema:
    return {"enum": list(values)}


def many(item: Schema) -> Schema:
    return {"type": "array", "minItems": 1, "items": item}


def closed(required: str = "", **fields: Schema) -> Schema:
    """An object with these fields and no others."""
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": fields,
        "required": required.split(),
    }


NAMED = closed("name", name=TEXT)
# Kubernetes's own, which are looked at where they end up: in a pod, by whoever makes it.
RESOURCES = closed("requests limits", requests=TEXTS, limits=TEXTS)

CERTIFICATE = closed(
    "secretName issuerRef privateKey",
    secretName=TEXT,
    isCA=one_of(True),
    commonName=TEXT,
    dnsNames=many(TEXT),
    duration=HOURS,
    renewBefore=HOURS,
    privateKey=closed(
        "algorithm size rotationPolicy",
        algorithm=one_of("ECDSA"),
        size=one_of(256),
        rotationPolicy=one_of("Always", "Never"),
    ),
    usages=many(one_of("server auth", "client auth", "cert sign")),
    issuerRef=closed("name kind", name=TEXT, kind=one_of("Issuer")),
)
ISSUER = {"oneOf": [closed("selfSigned", selfSigned=closed()), closed("ca", ca=closed("secretName", secretName=TEXT))]}

ROLE = closed(
    "name ensure login bypassrls passwordSecret",
    name=TEXT,
    ensure=one_of("present"),
    login=one_of(True),
    bypassrls=BOOLEAN,
    passwordSecret=NAMED,
)
CLUSTER = closed(
    "instances imageName storage resources bootstrap postgresql plugins managed",
    instances=COUNT,
    imageName=TEXT,
    storage=closed("size", size=SIZE),
    walStorage=closed("size", size=SIZE),
    resources=RESOURCES,
    affinity=closed(
        enablePodAntiAffinity=BOOLEAN, podAntiAffinityType=one_of("required", "preferred"), topologyKey=TEXT
    ),
    bootstrap=closed(
        "initdb",
        initdb=closed(
            localeProvider=one_of("builtin"), builtinLocale=TEXT, locale=TEXT, localeCType=TEXT, dataChecksums=BOOLEAN
        ),
    ),
    postgresql=closed(
        synchronous=closed(
            "method number",
            method=one_of("any", "first"),
            number=COUNT,
            dataDurability=one_of("required", "preferred"),
        ),
        parameters=TEXTS,
    ),
    monitoring=closed(enablePodMonitor=BOOLEAN),
    plugins=many(closed("name", name=TEXT, enabled=BOOLEAN, isWALArchiver=BOOLEAN, parameters=TEXTS)),
    managed=closed("roles", roles=many(ROLE)),
)
DATABASE = closed(
    "name owner cluster", name=TEXT, owner=TEXT, cluster=NAMED, databaseReclaimPolicy=one_of("retain", "delete")
)
SCHEDULED_BACKUP = closed(
    "schedule cluster method pluginConfiguration",
    # Six fields: seconds come first, other than in a CronJob.
    schedule={"type": "string", "pattern": r"^\S+( \S+){5}$"},
    cluster=NAMED,
    method=one_of("plugin"),
    pluginConfiguration=closed("name", name=TEXT, parameters=TEXTS),
)

POD_MONITOR = closed(
    "selector podMetricsEndpoints",
    selector=closed("matchLabels", matchLabels=TEXTS),
    podTargetLabels=many(TEXT),
    podMetricsEndpoints=many(closed("port", port=TEXT, interval=SECONDS, path=TEXT)),
)
RULE = closed(
    "alert expr labels annotations", alert=TEXT, expr=TEXT, labels=TEXTS, annotations=TEXTS, **{"for": SECONDS}
)
PROMETHEUS_RULE = closed("groups", groups=many(closed("name rules", name=TEXT, interval=SECONDS, rules=many(RULE))))

#: Of a manifest's `spec`, by its kind.
SPECS = {
    "cert-manager.io/v1 Certificate": CERTIFICATE,
    "cert-manager.io/v1 Issuer": ISSUER,
    "postgresql.cnpg.io/v1 Cluster": CLUSTER,
    "postgresql.cnpg.io/v1 Database": DATABASE,
    "postgresql.cnpg.io/v1 ScheduledBackup": SCHEDULED_BACKUP,
    "monitoring.coreos.com/v1 PodMonitor": POD_MONITOR,
    "monitoring.coreos.com/v1 PrometheusRule": PROMETHEUS_RULE,
}

# What `merge` holds is laid over what the chart makes.
CONTAINER = closed("securityContext resources", securityContext={"type": "object"}, resources=RESOURCES)
NATS_VALUES = closed(
    "config container reloader promExporter podTemplate podDisruptionBudget natsBox",
    config=closed(
        "cluster jetstream merge monitor",
        cluster=closed("enabled replicas", enabled=one_of(True), replicas=one_of(3)),
        jetstream=closed(
            "enabled fileStore merge",
            enabled=one_of(True),
            fileStore=closed(
                "enabled pvc", enabled=one_of(True), pvc=closed("enabled size", enabled=one_of(True), size=SIZE)
            ),
            memoryStore=closed("enabled", enabled=BOOLEAN),
            merge=closed("sync_interval", sync_interval=one_of("always")),
        ),
        merge=closed(
            "max_payload authorization",
            max_payload=one_of("<< 8MB >>"),
            authorization=closed("token", token=one_of("<< $NATS_TOKEN >>")),
        ),
        # The probes of its pods, and the exporter, ask there.
        monitor=closed("enabled", enabled=one_of(True)),
    ),
    container=closed(
        "image env merge",
        image=closed(repository=TEXT, tag=TEXT),
        env={
            "type": "object",
            "additionalProperties": closed(
                "valueFrom", valueFrom=closed("secretKeyRef", secretKeyRef=closed("name key", name=TEXT, key=TEXT))
            ),
        },
        merge=CONTAINER,
    ),
    reloader=closed("merge", enabled=BOOLEAN, merge=CONTAINER),
    promExporter=closed("merge", enabled=BOOLEAN, podMonitor=closed(enabled=BOOLEAN), merge=CONTAINER),
    podTemplate=closed(
        "merge topologySpreadConstraints",
        merge=closed(
            "spec",
            spec=closed("securityContext", securityContext={"type": "object"}, automountServiceAccountToken=BOOLEAN),
        ),
        topologySpreadConstraints={
            "type": "object",
            "additionalProperties": closed(maxSkew=COUNT, whenUnsatisfiable=TEXT),
        },
    ),
    podDisruptionBudget=closed(enabled=BOOLEAN),
    natsBox=closed(enabled=BOOLEAN),
)
