"""Every process reports what it is and does, and every request to SQS is counted."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from django.db.models import F
from django.urls import reverse
from django.utils import timezone

from apps.tasks import processes, queues, selectors
from apps.tasks.models import Process, TaskRun, UsageCount
from apps.tasks.processes import Report
from apps.tasks.usage import REQUESTS, Usage
from tests.platform import wait_for_all
from tests.support import wait_until
from tests.workload import tasks as work

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def requests(totals: dict[str, int]) -> Counter[str]:
    return Counter(
        {name.removeprefix(REQUESTS): n for name, n in totals.items() if name.startswith(REQUESTS)}
    )


def test_every_request_to_sqs_is_counted(proxy, platform):
    """By relay and worker together, as many of each kind as a proxy in front of SQS has seen."""
    relay, worker = platform.relay(), platform.worker()
    platform.ready(relay, worker)
    for index in range(30):
        work.note.delay(f"n{index}")
    wait_for_all()
    wait_until(lambda: queues.depth("default").empty, what="messages to be deleted")
    assert worker.stop()
    assert relay.stop()
    totals = selectors.usage_since()
    sent = requests(totals)
    # Of other actions, this process has sent some through the proxy too.
    for action in ("ReceiveMessage", "DeleteMessageBatch", "SendMessageBatch"):
        assert sent[action] == proxy.requests[action] > 0, action
    assert totals["finished"] == totals["messages"] == totals["deletes"] == totals["published"] == 30
    assert totals["empty_receives"] < totals["receives"] == sent["ReceiveMessage"]
    ratio = selectors.requests_per_task(timezone.now() - timedelta(hours=1))
    assert ratio == pytest.approx(sum(sent.values()) / 30)
    assert selectors.requests_per_task(timezone.now() + timedelta(hours=1)) is None


def test_processes_say_what_they_are(platform, admin_client):
    relay, worker, beat = platform.relay(), platform.worker("default", "email"), platform.beat()
    platform.ready(relay, worker, beat)
    result = work.note.delay("a")
    wait_for_all()

    def row(kind: Process.Kind) -> Process:
        return wait_until(lambda: Process.objects.filter(kind=kind).first(), what=f"the report of {kind}")

    its = wait_until(
        lambda: Process.objects.filter(kind=Process.Kind.WORKER, counts__finished__gte=1).first(),
        what="the worker to report the run",
    )
    assert its.pid == worker.pid
    assert its.name == TaskRun.objects.get(pk=result.id).worker
    assert (sorted(its.queues), its.concurrency, its.condition) == (["default", "email"], 2, "running")
    polled = {queues.physical_name(name) for name in ("default", "email")}
    wait_until(
        lambda: set(Process.objects.get(pk=its.pk).facts["polled"]) == polled, what="polls of both queues"
    )
    relays = wait_until(
        lambda: Process.objects.filter(kind=Process.Kind.RELAY, counts__published__gte=1).first(),
        what="the relay to report what it published",
    )
    assert relays.pid == relay.pid
    assert 0 <= relays.facts["lag"] <= relays.facts["max_lag"]
    assert row(Process.Kind.BEAT).pid == beat.pid
    page = admin_client.get(reverse("admin:tasks_process_changelist")).content.decode()
    assert its.name in page
    assert "SQS requests per finished task in the last hour" in page
    assert worker.stop()
    assert relay.stop()
    assert {its.condition for its in Process.objects.exclude(kind=Process.Kind.BEAT)} == {"ended"}
    assert beat.stop()
    assert row(Process.Kind.BEAT).condition == "ended"


@pytest.fixture
def counted(monkeypatch) -> Usage:
    """The counts of a process that has done nothing yet."""
    fresh = Usage()
    monkeypatch.setattr(processes, "usage", fresh)
    return fresh


@pytest.mark.django_db
def test_sums_do_not_go_down_when_processes_go(counted):
    report = Report(Process.Kind.WORKER)
    counted.count("finished", 2)
    report.write()
    report.write()
    counted.count("finished", 3)
    counted.request("ReceiveMessage")
    report.write(ended=True)
    vanished = Report(Process.Kind.WORKER)
    vanished.write()
    assert {its.condition for its in Process.objects.all()} == {"ended", "running"}
    totals = selectors.usage_since()
    # The other process has counted the same.
    assert totals == {"finished": 10, "requests.ReceiveMessage": 2}
    Process.objects.update(seen_at=F("seen_at") - timedelta(minutes=1))
    assert Process.objects.get(ended_at=None).condition == "vanished"
    Process.objects.update(seen_at=LONG_AGO)
    assert processes.prune() == 2
    assert not Process.objects.exists()
    assert selectors.usage_since() == totals


@pytest.mark.django_db
def test_what_is_old_is_kept_by_the_day(counted):
    Report(Process.Kind.RELAY).write()
    now = timezone.now()
    for minutes in range(60):
        UsageCount.objects.create(
            kind="relay", name="published", at=LONG_AGO + timedelta(minutes=minutes), count=2
        )
        UsageCount.objects.create(
            kind="relay", name="published", at=now - timedelta(minutes=minutes), count=1
        )
    before = selectors.usage_since()
    for _ in range(2):
        processes.prune()
        assert selectors.usage_since() == before
        old = UsageCount.objects.get(at__lt=now - timedelta(days=30))
        assert (old.at, old.count) == (LONG_AGO, 120)
    assert selectors.usage_since(now - timedelta(minutes=9, seconds=30)) == {"published": 10}
    assert Process.objects.count() == 1
