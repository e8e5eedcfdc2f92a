"""Makes the dashboards of Grafana: `make dashboards` writes them beside the manifests, where a ConfigMap takes them.

A panel is a line below: its title, its unit, and what it draws, by legend. Every replica says the same of what is
counted in a database, so such figures are taken by `max`.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "k8s/components/monitoring/dashboards"
WIDTH, HEIGHT, COLUMNS = 12, 8, 2
STATS_WIDTH, STATS_HEIGHT = 4, 4
STREAMS = 'route!~".*:(watch|export|import)"'


@dataclass(frozen=True)
class Panel:
    """`queries` by legend; a `stat` shows one number, and turns red from `alarm_from` on."""

    title: str
    unit: str
    queries: dict[str, str]
    is_stat: bool = False
    alarm_from: float | None = None


def lines(title: str, unit: str, **queries: str) -> Panel:
    return Panel(title, unit, {legend.replace("__", " "): query for legend, query in queries.items()})


def by(title: str, unit: str, label: str, query: str) -> Panel:
    """A line for each value of a label."""
    return Panel(title, unit, {f"{{{{{label}}}}}": query})


def rate(metric: str) -> str:
    """How much a second, over all pods."""
    return f"sum(rate({metric}[5m]))"


def a_day(metric: str) -> str:
    return f"sum(increase({metric}[1d]))"


def rates(title: str, label: str, metric: str, unit: str = "short") -> Panel:
    """A line for each value of a label: how much a second."""
    return by(title, unit, label, f"sum by ({label}) (rate({metric}[5m]))")


def stat(title: str, unit: str, query: str, alarm_from: float | None = None) -> Panel:
    return Panel(title, unit, {"": query}, is_stat=True, alarm_from=alarm_from)


def quantiles(title: str, buckets: str) -> Panel:
    """Of a histogram, as the sum of rates of its buckets."""
    wanted = {"half": 0.5, "of 20": 0.95, "of 100": 0.99}
    return Panel(title, "s", {name: f"histogram_quantile({share}, {buckets})" for name, share in wanted.items()})


TEXTS_OF_CUSTOMERS = rates("Texts of customers", "kind", "inbound_texts_total")

DASHBOARDS: dict[str, tuple[str, list[Panel]]] = {
    "mesh": (
        "Mesh",
        [
            stat("Requests a second", "reqps", rate("http_seconds_count")),
            stat(
                "Of these 5xx",
                "percentunit",
                rate('http_seconds_count{status=~"5.."}') + " / " + rate("http_seconds_count"),
                0.01,
            ),
            stat("In hand", "short", "sum(http_in_hand)"),
            stat("Pods that answer", "short", 'sum(up{app=~"accounts|campaigns|contacts|gateway|sender|wallet"})'),
            stat("Oldest event in an outbox", "s", "max(outbox_oldest_seconds)", 60),
            stat("Dead letters in a day", "short", a_day("dead_letters_total"), 1),
            rates("Requests by status", "status", "http_seconds_count", "reqps"),
            quantiles("Time to answer", f"sum by (le) (rate(http_seconds_bucket{{{STREAMS}}}[5m]))"),
            rates("RPCs by service", "app", "rpc_seconds_count", "reqps"),
            rates(
                "RPCs that nobody anticipated",
                "method",
                'rpc_seconds_count{code=~"INTERNAL|UNKNOWN|DEADLINE_EXCEEDED|UNAVAILABLE"}',
                "reqps",
            ),
            by(
                "Slowest RPCs (of 100)",
                "s",
                "method",
                "topk(8, histogram_quantile(0.99, sum by (le, method) (rate(rpc_seconds_bucket[5m]))))",
            ),
            by("Calls in hand by service", "short", "service", "sum by (service) (service_calls_in_hand)"),
            by("Messages waiting by consumer", "short", "consumer", "max by (consumer) (consumer_waiting)"),
            rates("Messages handled", "consumer", 'consumer_seconds_count{outcome="handled"}'),
            rates("Events relayed", "app", "outbox_relayed_total"),
            rates("Failing work", "exported_job", "job_failures_total"),
            Panel(
                "Database connections in use",
                "short",
                {"{{app}} {{role}}": "max by (app, role) (database_connections_in_use)"},
            ),
            by("Memory", "bytes", "app", "max by (app) (process_resident_memory_bytes)"),
            rates("CPU", "app", "process_cpu_seconds_total"),
            by("Broker reached", "short", "app", "min by (app) (broker_connected)"),
        ],
    ),
    "sending": (
        "Send path",
        [
            stat("Texts accepted a second", "short", rate('messages_recorded_total{outcome="ACCEPTED"}')),
            stat("Campaigns sending", "short", 'max(campaigns_open{state="SENDING"})'),
            stat("Unknown messages", "short", "max(messages_unknown)", 1000),
            stat("Breaker", "bool_on_off", "max(breaker_open)", 1),
            stat("Batches waiting", "short", 'max(consumer_waiting{consumer=~"sender_work_.*"})', 50),
            stat("Most published batch", "short", "max(batch_generation_max)", 4),
            lines(
                "The funnel, recipients a second",
                "short",
                prepared=rate("recipients_prepared_total"),
                submitted=rate('messages_recorded_total{outcome!="SKIPPED"}'),
                accepted=rate('messages_recorded_total{outcome="ACCEPTED"}'),
                delivered=rate('message_moves_total{to_state="DELIVERED"}'),
                failed=rate('message_moves_total{to_state="FAILED"}'),
                skipped=rate('messages_recorded_total{outcome="SKIPPED"}'),
            ),
            by("Campaigns without a final report", "short", "state", "max by (state) (campaigns_open)"),
            by("Recipients on the road", "short", "state", "max by (state) (recipients_open)"),
            by("Reports that became final", "short", "state", "sum by (state) (increase(campaigns_final_total[1h]))"),
            rates("Calls to the provider", "outcome", "submissions_total", "reqps"),
            quantiles("Time of a call", "sum by (le) (rate(provider_seconds_bucket[5m]))"),
            rates("Submissions held back", "why", "submissions_held_total"),
            lines(
                "Delivery reports a second",
                "short",
                applied=rate("delivery_reports_applied_total"),
                parked=rate("delivery_reports_parked_total"),
                quarantined=rate("delivery_reports_quarantined_total"),
                of__nobody=rate("delivery_reports_orphaned_total"),
            ),
            lines(
                "Unknowns",
                "short",
                unknown="max(messages_unknown)",
                proven__in__an__hour="sum(increase(unknown_messages_proven_total[1h]))",
                late__in__an__hour="sum(increase(evidence_late_total[1h]))",
            ),
            rates("Look-ups at the provider", "outcome", "orphans_looked_up_total"),
            lines(
                "Oldest that waits",
                "s",
                posted__body="max(webhooks_waiting_oldest_seconds)",
                unknown="max(messages_unknown_oldest_seconds)",
            ),
            TEXTS_OF_CUSTOMERS,
        ],
    ),
    "money": (
        "Money",
        [
            stat("Ledger's contradictions", "short", "max(ledger_discrepancies)", 1),
            stat("Tallies' contradictions", "short", "max(tally_discrepancies)", 1),
            stat("Evidence against our books", "short", a_day("evidence_contradicting_total"), 1),
            stat("Since the last recount", "s", "time() - max(ledger_recount_time_seconds)", 1800),
            stat("Oldest open hold", "s", "max(wallet_hold_oldest_seconds)", 14 * 86400),
            stat("Settlements waiting", "short", "max(settlements_waiting)", 1000),
            lines(
                "Credits of all merchants",
                "short",
                available='max(wallet_credits{balance="available"})',
                held='max(wallet_credits{balance="held"})',
            ),
            lines(
                "Credits since the beginning",
                "short",
                spent='max(wallet_credits{balance="spent"})',
                purchased='max(wallet_credits{balance="purchased"})',
                granted='max(wallet_credits{balance="granted"})',
            ),
            rates(
                "The wallet's moves",
                "method",
                'rpc_seconds_count{method=~".*/(Hold|Settle|CloseHold|GrantCredits)"}',
                "reqps",
            ),
            rates("What the wallet refuses", "code", 'rpc_seconds_count{app="wallet",code!="OK"}', "reqps"),
            lines("Settlements", "short", waiting="max(settlements_waiting)", failing="max(settlements_failing)"),
            lines("Open holds", "short", open="max(wallet_holds_open)"),
            lines(
                "Oldest that is open",
                "s",
                hold="max(wallet_hold_oldest_seconds)",
                automatic__purchase="max(wallet_top_up_oldest_seconds)",
            ),
            lines(
                "Payments that need somebody, in an hour",
                "short",
                given__up="sum(increase(stripe_events_dead_total[1h]))",
                not__as__asked="sum(increase(discrepant_payments_total[1h]))",
            ),
        ],
    ),
    "merchants": (
        "Merchants",
        [
            stat(
                "Registered in a day",
                "short",
                a_day('rpc_seconds_count{method=~".*/Register",code="OK"}'),
            ),
            stat(
                "Campaigns sent in a day",
                "short",
                a_day('rpc_seconds_count{method=~".*/SendCampaign",code="OK"}'),
            ),
            stat("Texts accepted in a day", "short", a_day('messages_recorded_total{outcome="ACCEPTED"}')),
            stat("Redeemed in a day", "short", a_day('rpc_seconds_count{method=~".*/Redeem.*",code="OK"}')),
            stat("Opt-outs by text in a day", "short", a_day('inbound_texts_total{kind="STOP"}')),
            stat("Refused as too often", "reqps", rate("http_limited_total")),
            by("Busiest routes", "reqps", "route", "topk(8, sum by (route) (rate(http_seconds_count[5m])))"),
            by(
                "Routes that refuse most",
                "reqps",
                "route",
                'topk(8, sum by (route) (rate(http_seconds_count{status=~"4.."}[5m])))',
            ),
            lines(
                "People let in",
                "short",
                logged__in=rate('rpc_seconds_count{method=~".*/Login",code="OK"}'),
                refused=rate('rpc_seconds_count{method=~".*/Login",code!="OK"}'),
                renewed=rate('rpc_seconds_count{method=~".*/Refresh",code="OK"}'),
            ),
            rates("Refused as too often, by route", "route", "http_limited_total", "reqps"),
            lines(
                "Pages of customers",
                "reqps",
                offers=rate('http_seconds_count{route=~".*/o/.*"}'),
                opt__outs=rate('http_seconds_count{route=~".*/u/.*"}'),
                forms=rate('http_seconds_count{route=~".*/f/.*"}'),
            ),
            TEXTS_OF_CUSTOMERS,
        ],
    ),
}


def dashboard(name: str) -> dict[str, Any]:
    title, panels = DASHBOARDS[name]
    return {
        "uid": f"astronote-{name}",
        "title": f"Astronote: {title}",
        "tags": ["astronote"],
        "schemaVersion": 39,
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": [{"name": "source", "type": "datasource", "query": "prometheus"}]},
        "panels": [shown(id, panel, place) for id, (panel, place) in enumerate(placed(panels), start=1)],
    }


def placed(panels: list[Panel]) -> Iterator[tuple[Panel, dict[str, int]]]:
    """Numbers in a row above, graphs in two columns below."""
    stats = [panel for panel in panels if panel.is_stat]
    for index, panel in enumerate(stats):
        yield panel, {"x": index * STATS_WIDTH, "y": 0, "w": STATS_WIDTH, "h": STATS_HEIGHT}
    for index, panel in enumerate(panel for panel in panels if not panel.is_stat):
        row, column = divmod(index, COLUMNS)
        yield panel, {"x": column * WIDTH, "y": STATS_HEIGHT + row * HEIGHT, "w": WIDTH, "h": HEIGHT}


def shown(id: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${source}"}
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.alarm_from is not None:
        steps.append({"color": "red", "value": panel.alarm_from})
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    if not panel.is_stat:
        defaults["custom"] = {"fillOpacity": 10, "showPoints": "never"}
    return {
        "id": id,
        "title": panel.title,
        "type": "stat" if panel.is_stat else "timeseries",
        "gridPos": place,
        "datasource": source,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": source, "expr": query, "legendFormat": legend}
            for index, (legend, query) in enumerate(panel.queries.items())
        ],
    }


def text(name: str) -> str:
    return json.dumps(dashboard(name), ensure_ascii=False, indent=1) + "\n"


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    for name in DASHBOARDS:
        (FOLDER / f"{name}.json").write_text(text(name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
