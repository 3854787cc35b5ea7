"""Limits per key, order per key, rates, expiry and unique keys: decided by the claim, whoever claims."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from apps.events import projections
from apps.events.selectors import read_stream
from apps.tasks import claims, queues, relay
from apps.tasks.models import RateHit, TaskRun
from apps.tasks.projection import TaskRuns
from apps.tasks.rates import Rate
from apps.tasks.states import State
from apps.tasks.tasks import reconcile_orphans
from apps.tasks.testing import run_pending
from tests.platform import wait_for_all
from tests.workload import tasks as work
from tests.workload.models import Effect, Span

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("state_follows_from_events"),
]


def types(run_id) -> list[str]:
    return [event.type.removeprefix("task.") for event in read_stream(f"task:{run_id}")]


def claim(result, worker="w"):
    return claims.claim(run_id=uuid.UUID(result.id), worker=worker)


def state(result) -> str:
    return TaskRun.objects.get(pk=result.id).state


def in_threads(number, work_of) -> None:
    """Run *work_of* (index) in so many threads at once, each on a connection of its own."""
    barrier = threading.Barrier(number)

    def body(index):
        try:
            barrier.wait()
            work_of(index)
        finally:
            connection.close()

    threads = [threading.Thread(target=body, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# Concurrency ------------------------------------------------------------------------------------------


def limited(name, limit=2, **options):
    return work.note.apply_async(
        args=[name], concurrency_key="exchange:binance", concurrency_limit=limit, **options
    )


def test_of_one_key_only_so_many_runs_are_claimed_at_a_time():
    first, second, third = limited("a"), limited("b"), limited("c")
    held = claim(first)
    assert held
    assert claim(second)
    assert claim(third) is None
    assert state(third) == State.SCHEDULED
    claims.succeed(held, None)
    assert claim(third)


def test_another_key_is_not_held_up():
    limited("a", limit=1)
    claim(limited("b", limit=1))
    assert claim(work.note.apply_async(args=["c"], concurrency_key="other", concurrency_limit=1))


@pytest.mark.parametrize("limit", [1, 3])
def test_claims_at_the_same_moment_never_exceed_the_limit(limit):
    results = [limited(f"n{index}", limit=limit) for index in range(12)]
    held = []
    in_threads(6, lambda index: held.extend(filter(None, map(claim, results[index * 2 : index * 2 + 2]))))
    assert len(held) == limit
    assert TaskRun.objects.filter(state=State.RUNNING).count() == limit


def test_a_message_that_comes_too_early_is_used_up_and_the_run_waits(own_queues):
    first, second = limited("a", limit=1), limited("b", limit=1)
    assert relay.GatedRuns("default").publish() == (1, 1)
    held = claim(first)
    # As if two relays had published at the same moment.
    TaskRun.objects.filter(pk=second.id).update(concurrency_limit=2)
    assert relay.GatedRuns("default").publish() == (1, 1)
    TaskRun.objects.filter(pk=second.id).update(concurrency_limit=1)
    assert claim(second) is None
    assert types(second.id) == ["requested", "published", "deferred"]
    assert read_stream(f"task:{second.id}")[-1].data["reason"] == "concurrency"
    assert relay.GatedRuns("default").publish() == (0, 0)
    claims.succeed(held, None)
    assert relay.GatedRuns("default").publish() == (1, 1)
    assert claim(second)


def test_the_relay_publishes_as_many_as_the_key_lets_through(own_queues):
    with transaction.atomic():
        for index in range(5):
            limited(f"n{index}", limit=2)
        work.note.delay("free")
    gated = relay.GatedRuns("default")
    assert gated.publish() == (2, 2)
    assert gated.publish() == (0, 0)
    assert relay.publish_due(queue="default") == (1, 1)
    assert queues.depth("default").visible == 3


def test_keys_beyond_one_look_are_reached_by_the_next(own_queues, monkeypatch):
    monkeypatch.setattr(relay, "_GATES", 3)
    with transaction.atomic():
        for index in range(7):
            for _ in range(3):
                work.note.apply_async(args=["x"], concurrency_key=f"k{index}", concurrency_limit=1)
    gated = relay.GatedRuns("default")
    assert [gated.publish()[1] for _ in range(4)] == [3, 3, 1, 0]
    waiting = TaskRun.objects.filter(state=State.QUEUED).values_list("concurrency_key", flat=True)
    assert Counter(waiting) == {f"k{index}": 1 for index in range(7)}


def test_a_key_holds_with_several_workers_and_concurrency_above_one(platform):
    platform.relay()
    platform.worker(concurrency=3)
    platform.worker(concurrency=3)
    with transaction.atomic():
        for index in range(10):
            work.spanning.apply_async(
                args=[f"limited{index}", 0.15], concurrency_key="k", concurrency_limit=2
            )
            work.spanning.apply_async(args=[f"free{index}", 0.15])
    wait_for_all()
    assert worst_overlap(Span.objects.filter(name__startswith="limited")) <= 2
    assert worst_overlap(Span.objects.all()) > 2


def worst_overlap(spans) -> int:
    edges = sorted(edge for span in spans for edge in ((span.start, 1), (span.end, -1)))
    worst = now = 0
    for _, step in edges:
        now += step
        worst = max(worst, now)
    return worst


# Order ------------------------------------------------------------------------------------------------


def ordered(name, group="g", **options):
    return work.note.apply_async(args=[name], queue="ordered.fifo", group_key=group, **options)


def test_a_group_starts_one_at_a_time_in_the_order_of_the_requests():
    first, second, other = ordered("a"), ordered("b"), ordered("c", group="h")
    assert claim(second) is None
    assert claim(other)
    held = claim(first)
    assert claim(second) is None
    claims.succeed(held, None)
    assert claim(second)


def test_a_run_that_waits_for_its_next_attempt_keeps_its_place():
    first, second = ordered("a"), ordered("b")
    held = claim(first)
    assert held
    claims.fail(held, RuntimeError("x"), retry=True, delay=600)
    assert claim(second) is None
    TaskRun.objects.filter(pk=first.id).update(due_at=datetime.now(UTC))
    again = claim(first)
    assert again
    claims.fail(again, RuntimeError("x"), retry=False)
    assert state(first) == State.DEAD
    assert claim(second)
    projections.rebuild(TaskRuns())


def test_a_run_whose_time_has_not_come_holds_up_nobody():
    ordered("later", countdown=3600)
    assert claim(ordered("now"))


def test_the_relay_publishes_one_of_a_group_at_a_time(own_queues):
    results = [ordered(f"n{index}") for index in range(3)]
    gated = relay.GatedRuns("ordered.fifo")
    for result in results:
        assert gated.publish() == (1, 1)
        assert gated.publish() == (0, 0)
        held = claim(result)
        claims.succeed(held, None)


def test_groups_are_worked_off_in_order_by_several_workers(platform):
    platform.relay()
    platform.worker("ordered.fifo", concurrency=3)
    platform.worker("ordered.fifo", concurrency=2)
    chance = random.Random(1)
    with transaction.atomic():
        for index in range(8):
            for group in "abc":
                work.spanning.apply_async(
                    args=[f"{group}{index}", chance.uniform(0, 0.1)], queue="ordered.fifo", group_key=group
                )
    wait_for_all()
    for group in "abc":
        spans = list(Span.objects.filter(name__startswith=group).order_by("start"))
        assert [span.name for span in spans] == [f"{group}{index}" for index in range(8)]
        assert worst_overlap(spans) == 1


# Rates ------------------------------------------------------------------------------------------------


def rated(name="x", rate="3/h", cost=1):
    return work.note.apply_async(args=[name], rate_key="weights", rate=rate, rate_cost=cost)


def test_starts_of_a_key_cost_no_more_than_its_rate():
    assert [bool(claim(rated(cost=2, rate="5/h"))) for _ in range(3)] == [True, True, False]
    assert claim(rated(cost=1, rate="5/h"))
    assert not claim(rated(cost=1, rate="5/h"))


def test_a_start_that_would_cost_too_much_waits_until_there_is_room(own_queues):
    first = rated(rate="1/h")
    assert relay.GatedRuns("default").publish() == (1, 1)
    second = rated(rate="1/h")
    # Published by another relay at the same moment.
    TaskRun.objects.filter(pk=second.id).update(rate_limit=2)
    assert relay.GatedRuns("default").publish() == (1, 1)
    TaskRun.objects.filter(pk=second.id).update(rate_limit=1)
    assert claim(first)
    assert claim(second) is None
    run = TaskRun.objects.get(pk=second.id)
    assert (run.state, run.due_at) == (State.SCHEDULED, RateHit.objects.get().at + timedelta(hours=1))
    assert relay.GatedRuns("default").publish() == (0, 0)


def test_starts_that_count_no_more_are_forgotten():
    assert claim(rated(rate="1/h"))
    reconcile_orphans.delay()
    run_pending()
    assert RateHit.objects.exists()
    RateHit.objects.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    reconcile_orphans.delay()
    run_pending()
    assert not RateHit.objects.exists()


def test_the_relay_publishes_what_the_rate_leaves(own_queues):
    with transaction.atomic():
        for _ in range(4):
            rated(rate="5/h", cost=2)
    gated = relay.GatedRuns("default")
    assert gated.publish() == (2, 2)
    assert gated.publish() == (0, 0)


def test_in_no_window_more_is_admitted_than_the_rate_and_nothing_is_held_back_without_need():
    rate = Rate.parse("5/1s")
    results = [rated(rate="5/1s") for _ in range(12)]
    in_threads(4, lambda index: [hammer(result) for result in results[index::4]])
    starts = sorted(hit.at for hit in RateHit.objects.all())
    assert len(starts) == 12
    for index, start in enumerate(starts[rate.limit :], rate.limit):
        gap = start - starts[index - rate.limit]
        assert gap >= timedelta(seconds=rate.period)


def hammer(result) -> None:
    deadline = time.monotonic() + 30
    while claim(result) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("1200/m", Rate(limit=1200, period=60)),
        ("10/s", Rate(limit=10, period=1)),
        ("5 / 30s", Rate(limit=5, period=30)),
        ("1/2d", Rate(limit=1, period=172_800)),
    ],
)
def test_rates_are_read(text, rate):
    assert Rate.parse(text) == rate


@pytest.mark.parametrize("text", ["", "5", "5/x", "0/s", "-1/s", "5/0s", "1.5/s"])
def test_what_is_no_rate_is_refused(text):
    with pytest.raises(ValueError, match="rate"):
        Rate.parse(text)


# Expiry -----------------------------------------------------------------------------------------------


def test_a_run_that_expired_before_its_start_is_cancelled_with_its_reason():
    result = work.note.apply_async(args=["a"], expires=0.01)
    time.sleep(0.02)
    assert claim(result) is None
    assert state(result) == State.CANCELLED
    assert read_stream(f"task:{result.id}")[-1].data == {"reason": "expired"}
    assert run_pending() == []


def test_expired_runs_are_found_without_a_message_and_not_published(own_queues):
    late = work.note.apply_async(args=["a"], expires=datetime.now(UTC) - timedelta(seconds=1))
    fine = work.note.apply_async(args=["b"], expires=timedelta(hours=1))
    assert relay.publish_due(queue="default") == (1, 1)
    assert [str(run_id) for run_id in claims.expire()] == [late.id]
    assert state(fine) == State.QUEUED


# Unique keys ------------------------------------------------------------------------------------------


def test_a_key_can_be_taken_for_a_period_even_after_the_run_has_ended():
    first = work.note.apply_async(args=["a"], unique_key="k", unique_for=3600, unique_states=State)
    run_pending()
    assert (
        work.note.apply_async(args=["b"], unique_key="k", unique_for=3600, unique_states=State).id == first.id
    )
    assert work.note.apply_async(args=["c"], unique_key="k", unique_for=0, unique_states=State).id != first.id
    run_pending()
    assert list(Effect.objects.order_by("pk").values_list("name", flat=True)) == ["a", "c"]


def test_a_key_can_be_free_as_soon_as_its_run_has_started():
    waiting = ("scheduled", "queued")
    first = work.note.apply_async(args=["a"], unique_key="k", unique_states=waiting)
    assert work.note.apply_async(args=["b"], unique_key="k", unique_states=waiting).id == first.id
    assert claim(first)
    second = work.note.apply_async(args=["c"], unique_key="k", unique_states=waiting)
    assert second.id != first.id
    assert work.note.apply_async(args=["d"], unique_key="k", unique_states=waiting).id == second.id


@pytest.mark.parametrize("options", [{}, {"unique_for": 60}, {"unique_states": list(State)}])
def test_requests_at_the_same_moment_are_one_run(options):
    ids = []
    in_threads(
        6,
        lambda _: ids.append(work.note.apply_async(args=["a"], unique_key="k", **options).id),
    )
    assert len(ids) == 6
    assert len(set(ids)) == TaskRun.objects.count() == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"concurrency_key": "k"}, "go together"),
        ({"rate_key": "k"}, "go together"),
        ({"rate_key": "k", "rate": "3/s", "rate_cost": 4}, "between 1 and"),
        ({"rate_key": "k", "rate": "often"}, "is no rate"),
        ({"unique_for": 5}, "need a unique_key"),
        ({"unique_key": ""}, "must not be empty"),
        ({"expires": -1}, "in the future"),
        ({"expires": datetime(2030, 1, 1)}, "aware"),  # noqa: DTZ001
        ({"priority": 70_000}, "small integer"),
        ({"queue": "ordered.fifo", "group_key": "g", "priority": 1}, "in order"),
        ({"unique_key": "k", "unique_states": ["gone"]}, "gone"),
    ],
)
def test_options_that_cannot_work_are_refused(options, message):
    with pytest.raises(TypeError, match=message):
        work.note.apply_async(args=["a"], **options)
    assert not TaskRun.objects.exists()
