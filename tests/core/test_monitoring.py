"""The dashboard and the alerts ask for metrics that there are, with their labels; the README has them all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from django.conf import settings
from prometheus_client import Counter, Histogram
from prometheus_client.metrics_core import Metric

from apps.audit import recording
from apps.core import access
from apps.core.collectors import registry
from apps.core.instruments import Own, declared
from apps.liveness.reconciling import reconcile_orphans
from apps.tasks import beat, execution, relay
from apps.tasks.worker.figures import WorkerCollector
from tests.support import settle
from tests.tasks.operating import dead, succeeded

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed", "own_queues")]

ROOT = Path(settings.BASE_DIR)
DASHBOARD = json.loads((ROOT / "docker/grafana/chandlery.json").read_text())
ALERTS = yaml.safe_load((ROOT / "docker/prometheus/alerts.yml").read_text())
PROMETHEUS = yaml.safe_load((ROOT / "docker/prometheus/prometheus.yml").read_text())
#: Labels that Prometheus adds, and what it and its own client library tell.
ADDED = {"job", "instance"}
NOT_OURS = {"up", "process_resident_memory_bytes", "process_cpu_seconds_total"}
#: Where instruments are declared: importing them is what declares them.
DECLARING = (access, beat, execution, recording, relay)


def families() -> dict[str, Metric]:
    """What web processes tell of the database and workers of themselves, by name."""
    dead()
    succeeded()
    reconcile_orphans()
    settle()
    own = {family.name for family in Own().collect()} - {one.name for one in declared()}
    assert own == {"chandlery_build_info", "chandlery_process_start_time_seconds"}
    found = [*registry.collect(), *WorkerCollector().collect()]
    return {family.name: family for family in found if family.name not in {one.name for one in declared()}}


def samples() -> dict[str, set[str]]:
    """Every sample that there can be, by name, with its labels."""
    found: dict[str, set[str]] = {}
    for family in families().values():
        labels = set(getattr(family, "_labelnames", ()))
        found |= dict.fromkeys(_names(family.name, family.type), labels)
    for one in declared():
        kind = {Counter: "counter", Histogram: "histogram"}.get(one._kind, "gauge")
        found |= {name: set(one.labels) for name in _names(one.name, kind)}
    return {name: labels | ({"le"} if name.endswith("_bucket") else set()) for name, labels in found.items()}


def _names(name: str, kind: str) -> list[str]:
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(kind, [""])
    return [name + suffix for suffix in suffixes]


def test_every_metric_is_documented():
    readme = (ROOT / "README.md").read_text()
    table = readme.split("| metric |", 1)[1].split("\n\n", 1)[0]
    documented = set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))
    told = {*families(), *(one.name for one in declared())}
    assert {name.removesuffix("_total") for name in documented} == told


def expressions() -> Iterator[tuple[str, str]]:
    """Every expression, with where it stands."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"].replace("$__rate_interval", "5m")
    for group in ALERTS["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


def parts(expression: Any) -> Iterator[Any]:
    """The expression and all that it is made of."""
    yield expression
    for name in ("lhs", "rhs", "expr", "param", "vector_selector"):
        inner = getattr(expression, name, None)
        if inner is not None:
            yield from parts(inner)
    for argument in getattr(expression, "args", ()):
        yield from parts(argument)


def labels_of(expression: Any) -> tuple[set[str], set[str]]:
    """Names of metrics in an expression, and the labels that it groups by or matches."""
    names, labels = set(), set()
    for part in parts(expression):
        if isinstance(part, promql_parser.VectorSelector):
            names.add(part.name)
            labels |= {one.name for one in part.matchers.matchers}
        elif isinstance(part, promql_parser.AggregateExpr) and part.modifier is not None:
            labels |= set(part.modifier.labels)
    return names, labels


def test_the_dashboard_and_the_alerts_ask_for_what_there_is():
    known, used = samples(), set()
    for place, text in expressions():
        names, labels = labels_of(promql_parser.parse(text))
        assert names, place
        assert names - NOT_OURS <= known.keys(), place
        for name in names - NOT_OURS:
            assert labels <= known[name] | ADDED | {"le"}, (place, name)
        used |= names
    # Whatever is told is also shown.
    stems = {re.sub("_(total|bucket|sum|count)$", "", name) for name in used}
    shown = {one for one in known if re.sub("_(total|bucket|sum|count)$", "", one) in stems}
    assert known.keys() - shown == {
        "chandlery_worker_finished_total", "chandlery_task_events_total", "chandlery_events_appended_total",
        "chandlery_process_start_time_seconds", "chandlery_emails_suppressed_addresses",
        "chandlery_ratelimit_unidentified_total", "chandlery_relay_lag_seconds", "chandlery_audit_unverified",
        "chandlery_task_due",
    }  # fmt: skip


def test_every_alert_says_what_it_is_about_and_what_to_do():
    rules = [rule for group in ALERTS["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert {"summary", "description", "runbook"} == rule["annotations"].keys()
        assert rule["annotations"]["runbook"] == "README.md#incidents"
        told = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
        _, labels = labels_of(promql_parser.parse(rule["expr"]))
        assert told <= labels | ({"instance"} if rule["expr"].startswith("up") else set()), rule["alert"]


def test_panels_have_places_of_their_own_and_ask_the_chosen_source():
    assert [one["name"] for one in DASHBOARD["templating"]["list"]] == ["datasource", "queue"]
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
        for target in panel.get("targets", ()):
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    identifiers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(identifiers)) == len(identifiers)


def test_prometheus_reads_every_kind_of_process():
    web, processes = PROMETHEUS["scrape_configs"]
    assert web["static_configs"] == [{"targets": ["web:8000"]}]
    (looked_up,) = processes["dns_sd_configs"]
    assert (looked_up["names"], looked_up["port"]) == (["worker", "worker-heavy", "relay", "beat"], 9100)
    assert PROMETHEUS["rule_files"] == ["alerts.yml"]
