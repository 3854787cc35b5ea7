"""Prometheus is told how long the chain is, what is on its way, and whether the chain is broken."""

from __future__ import annotations

from apps.audit import record, verifying
from apps.audit.metrics import AuditCollector
from apps.tasks.models import Entry as Waiting
from tests.audit.chaining import TESTED, grow, tamper, written


def figures() -> dict[str, float]:
    return {
        sample.name.removeprefix("chandlery_audit_"): sample.value
        for metric in AuditCollector().collect()
        for sample in metric.samples
        if not sample.name.endswith("_created")
    }


def test_the_figures(chain):
    assert figures() == {
        "recorded_total": 0, "written_total": 0, "waiting": 0, "lag_seconds": 0, "broken": 0, "unverified": 0,
    }  # fmt: skip
    record(action=TESTED.name)
    record(action=TESTED.name)
    waiting = Waiting.objects.order_by("requested_at").first()
    Waiting.objects.filter(pk=waiting.pk).update(requested_at="2026-01-01T00:00:00Z")
    now = figures()
    assert (now["recorded_total"], now["written_total"], now["waiting"]) == (2, 0, 2)
    assert now["lag_seconds"] > 1000
    written()
    now = figures()
    assert (now["recorded_total"], now["written_total"], now["waiting"], now["lag_seconds"]) == (2, 2, 0, 0)
    assert now["unverified"] == 2
    verifying.verify_new()
    grow(3)
    assert figures()["unverified"] == 3
    tamper("UPDATE audit_entry SET actor = 'x' WHERE sequence = 4")
    broken = verifying.verify()
    assert (figures()["broken"], figures()["unverified"]) == (1, 3)
    verifying.accept(verified=broken, reason="a drill")
    assert (figures()["broken"], figures()["unverified"]) == (0, 0)


def test_they_are_served(chain, admin_client):
    text = admin_client.get("/metrics").content.decode()
    assert "chandlery_audit_broken 0.0" in text
    assert "chandlery_audit_written_total 0.0" in text
