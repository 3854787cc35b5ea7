"""The state of the installation, as a whole and with parts of it away."""

from __future__ import annotations

import json
from datetime import timedelta
from threading import Event

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.candles.services import write_candles
from apps.candles.timeframes import minute_of, to_ms
from apps.core.ids import uuid7
from apps.core.readiness import Probe, Watched
from apps.notifications.models import Email
from apps.operations import needs, reaching, selectors, snapshot, status
from apps.operations.snapshot import take
from apps.ratelimits.engine import engine
from apps.ratelimits.tally import Denial, denials_key
from apps.tasks import queues, relay, tally
from apps.tasks.models import TaskRun
from apps.webhooks.models import Delivery
from tests.candles.helpers import instrument, walk
from tests.operations.helpers import all_kinds, process
from tests.support import settle
from tests.tasks.operating import dead, running, succeeded, waiting
from tests.workload import tasks as work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed", "own_queues")]


def test_queues_runs_failures_and_processes_are_seen():
    dead(2)
    succeeded()
    waiting(3)
    work.note.delay("queued")
    relay.publish_due(queue="default")
    running()
    process("worker", concurrency=4)
    process("worker", silent=900)
    process("relay", facts={"trouble": "SQS does not answer"})
    settle()
    seen = take()
    assert [one.name for one in seen.servers if one.answers and one.bucket] == ["Database", "Redis", "SQS"]
    backlogs, pace, failures = seen.backlogs.value, seen.pace.value, seen.failures.value
    assert backlogs
    assert pace
    assert failures
    assert (backlogs.waiting, backlogs.running, backlogs.dead) == (1, 1, 2)
    assert backlogs.oldest is not None
    assert seen.on_sqs.value
    assert seen.on_sqs.value["default"] is not None
    assert seen.on_sqs.value["default"].visible == 1
    hour = pace.minutes
    assert len(hour) == 60
    assert [sum(getattr(one, name) for one in hour) for name in ("succeeded", "failed", "dead")] == [1, 2, 2]
    assert failures.types == [("PermanentError", 2)]
    assert failures.newest[0].error == "PermanentError: no use"
    kinds = {one.name: (one.alive, one.vanished, one.slots) for one in seen.processes.value or ()}
    assert kinds == {"worker": (1, 1, 4), "relay": (1, 0, 0), "beat": (0, 0, 0)}
    told = [(one.tone, one.text) for one in needs.needs(seen)]
    assert told == [
        ("bad", "no beat alive: no periodic task is requested"),
        ("bad", "2 dead runs, most of PermanentError"),
        ("late", "relay: SQS does not answer"),
    ]


def test_candles_denials_deliveries_and_mails_are_seen(shared_candles):
    now = minute_of(timezone.now())
    late, fine = instrument("LATE/USDT", followed=True), instrument("FINE/USDT", followed=True)
    instrument("NONE/USDT", followed=True)
    instrument("OTHER/USDT")
    write_candles(instrument=late, minutes=walk(60, start=to_ms(now - timedelta(minutes=90))))
    write_candles(instrument=fine, minutes=walk(60, start=to_ms(now - timedelta(minutes=60))))
    limits, at = engine(), timezone.now().timestamp()
    for ago, shadow in ((5, False), (90, False), (7200, False), (5, True)):
        row = Denial(at - ago, "default/address", "1.2.3.4", shadow, "GET", "/", "1.2.3.4")
        limits.limiter.transport.command(
            "RPUSH", denials_key(limits.limiter.keys).encode(), json.dumps(row).encode()
        )
    for outcome in ("accepted", "refused", "refused"):
        _delivery(outcome)
    Email.objects.create(kind="x", recipient="a@example.com", context={})
    seen = take()
    followed = {one.text: one.lag for one in seen.following.value or ()}
    assert list(followed) == ["binance:FINE/USDT", "binance:LATE/USDT", "binance:NONE/USDT"]
    assert followed["binance:NONE/USDT"] is None
    assert 30 * 60 <= followed["binance:LATE/USDT"] < 33 * 60
    assert seen.denials.value
    assert seen.deliveries.value
    assert seen.unsent.value
    assert (seen.denials.value.count, seen.denials.value.groups) == (2, [("default", 2)])
    assert seen.denials.value.minutes[-2:] == [1, 1]
    assert (seen.deliveries.value.accepted, seen.deliveries.value.refused) == (1, 2)
    assert seen.unsent.value.count == 1
    assert "2 followed instruments without candles of late" in [one.text for one in needs.needs(seen)]


def _delivery(outcome: str) -> None:
    Delivery.objects.create(
        id=uuid7(), at=timezone.now(), format="tradingview", outcome=outcome, status=202,
        body_digest="0" * 64, size=2, milliseconds=1.0,
    )  # fmt: skip


def test_without_redis_the_rest_stays(redis_away):
    all_kinds()
    seen = take()
    assert [one.answers for one in seen.servers] == [True, False, True]
    assert seen.trading.reason == seen.denials.reason == "Redis does not answer"
    assert seen.backlogs
    assert seen.orders
    assert seen.audit
    assert [one.text for one in needs.needs(seen)] == ["Redis does not answer"]


def test_without_sqs_the_rest_stays(settings):
    all_kinds()
    settings.SQS_ENDPOINT_URL = "http://127.0.0.1:1"
    queues.forget_urls()
    seen = take()
    assert [one.answers for one in seen.servers] == [True, True, False]
    assert seen.on_sqs.reason
    assert seen.backlogs
    assert seen.trading


def test_without_the_database_nothing_of_it_is_asked_and_the_rest_stays(database_away):
    with database_away():
        seen = take()
    assert [one.answers for one in seen.servers] == [False, True, True]
    assert seen.trading
    assert seen.on_sqs
    reasons = {one.reason for one in (seen.backlogs, seen.orders, seen.audit)}
    assert reasons == {"the database does not answer"}


def test_a_database_that_hangs_keeps_nobody_waiting(monkeypatch):
    going_on = Event()
    hanging = Probe(name="database", ask=lambda: going_on.wait(60), essential=True, timeout=0.0)
    monkeypatch.setattr(reaching, "_database", Watched(hanging))
    with CaptureQueriesContext(connection) as captured:
        told = status.status(None)
    going_on.set()
    assert len(captured) == 0
    assert (told.overall, told.quotes) == ("down", ())
    assert [one.reason for one in snapshot.snapshot().servers] == ["Database does not answer", "", ""]


def test_a_defect_in_one_part_is_told_and_the_rest_stays(monkeypatch, caplog):
    monkeypatch.setattr(selectors, "failures", lambda: 1 / 0)
    seen = take()
    assert seen.failures.reason == "it could not be told: ZeroDivisionError"
    assert seen.backlogs
    assert "ZeroDivisionError" in caplog.text


def test_one_look_serves_all_who_ask_within_two_seconds():
    first = snapshot.snapshot()
    with CaptureQueriesContext(connection) as captured:
        assert snapshot.snapshot() is first
    assert len(captured) == 0


def test_the_number_of_queries_does_not_grow_with_what_there_is(monkeypatch):
    # Counting new events takes some more, every five seconds at most.
    monkeypatch.setattr(tally, "catch_up", lambda **_: 0)
    take()
    with CaptureQueriesContext(connection) as empty:
        take()
    dead(3)
    waiting(5)
    for _ in range(3):
        all_kinds()
        instrument(followed=True)
    with CaptureQueriesContext(connection) as full:
        take()
    assert len(full) == len(empty) <= 13
    assert TaskRun.objects.count() == 8
