"""Celery's signatures, chains, groups and chords of durable tasks, executed in this process."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import chain, chord, group, states
from celery.exceptions import ChordError
from celery.result import AsyncResult, GroupResult
from django.db import transaction
from django.utils import timezone

from apps.events.selectors import read_stream
from apps.tasks import Backoff, claims, services
from apps.tasks.batchstates import BatchState
from apps.tasks.models import Batch, TaskRun
from apps.tasks.states import State
from apps.tasks.testing import run_pending
from tests.workload import tasks as work
from tests.workload.models import Effect

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("state_follows_from_events"),
]


def outcome(signature: Any) -> Any:
    """What a canvas comes to."""
    result = signature.apply_async()
    run_pending()
    return result.get(timeout=0)


def run_of(result: Any) -> TaskRun:
    return TaskRun.objects.get(pk=result.id)


def effects() -> list[str]:
    return sorted(Effect.objects.values_list("name", flat=True))


def allow(name: str) -> None:
    Effect.objects.create(name=name, attempt=0)


# Chains -------------------------------------------------------------------------------------------


def test_a_chain_hands_each_result_to_the_next_step():
    result = (work.add.s(1, 2) | work.add.s(3) | work.add.s(4)).apply_async()
    assert len(run_pending()) == 3
    assert result.get(timeout=0) == 10
    assert result.parent.get(timeout=0) == 6
    assert result.parent.parent.get(timeout=0) == 3


def test_the_next_step_exists_as_soon_as_the_one_before_has_succeeded_and_not_earlier():
    result = (work.add.s(1, 2) | work.add.s(3)).apply_async()
    claimed = claims.claim(run_id=uuid.UUID(result.parent.id), worker="w")
    assert claimed is not None
    with pytest.raises(RuntimeError), transaction.atomic():
        claims.succeed(claimed, 3)
        assert TaskRun.objects.filter(pk=result.id).exists()
        raise RuntimeError
    assert not TaskRun.objects.filter(pk=result.id).exists()
    claims.succeed(claimed, 3)
    with pytest.raises(claims.Fenced):
        claims.succeed(claimed, 3)
    assert TaskRun.objects.filter(task="workload.add").count() == 2
    assert run_of(result).args == [3, 3]


@pytest.mark.parametrize("task", [work.add, work.add_loosely])
def test_steps_follow_handlers_of_every_kind_once(task):
    assert outcome(task.s(1, 2) | work.add.s(3)) == 6
    assert TaskRun.objects.count() == 2


def test_a_step_follows_a_handler_that_completes_its_run_itself():
    assert outcome(work.add_completing.s(1, 2) | work.add.s(3)) == 6
    assert TaskRun.objects.count() == 2


def test_immutable_steps_take_no_result():
    assert outcome(work.add.s(1, 2) | work.add.si(10, 20)) == 30


def test_steps_keep_their_options():
    moment = datetime(2100, 1, 1, tzinfo=UTC)
    step = work.add.s(3).set(
        queue="email", priority=7, run_at=moment, backoff=Backoff(base=1), expires=timedelta(days=90_000)
    )
    result = (work.add.s(1, 2) | step).apply_async()
    run_pending()
    run = run_of(result)
    assert (run.queue, run.priority, run.due_at) == ("email", 7, moment)
    assert run.backoff["base"] == 1
    assert run.expires_at > moment


def test_signatures_take_celerys_options():
    signature = work.add.s(1).clone(args=(5,)).set(queue="ingest", priority=2)
    result = signature.apply_async(countdown=600)
    run = run_of(result)
    assert (run.args, run.queue, run.priority, run.state) == ([5, 1], "ingest", 2, State.SCHEDULED)
    assert run.due_at > timezone.now() + timedelta(minutes=9)
    stamped = work.add.s(1, 1)
    stamped.stamp(tenant="acme")
    assert outcome(stamped) == 2


def test_what_follows_shares_the_first_cause():
    result = (work.add.s(1, 2) | work.add.s(3)).apply_async()
    run_pending()
    requested = read_stream(f"task:{result.id}")[0]
    assert requested.meta["causation_id"] == requested.meta["correlation_id"] == result.parent.id


def test_ids_of_steps_sort_by_time_as_others_do():
    result = (work.add.s(1, 2) | group(work.add.s(3), work.add.s(4)) | work.total.s()).apply_async()
    run_pending()
    assert run_of(result).state == State.SUCCEEDED
    assert {run.pk.version for run in TaskRun.objects.all()} == {7}


def test_a_dead_step_stops_the_chain_and_a_redrive_lets_it_go_on():
    result = (work.add.s(1, 2) | work.fail_until_allowed.s("x") | work.add.s(4)).apply_async()
    run_pending()
    dead = TaskRun.objects.get(state=State.DEAD)
    assert not TaskRun.objects.filter(pk=result.id).exists()
    assert [step["task"] for step in dead.continuation["chain"]] == ["workload.add"]
    assert result.state == states.PENDING
    with pytest.raises(ValueError, match="x is not allowed"):
        result.get(timeout=5)
    allow("x")
    services.redrive(run_id=dead.pk)
    run_pending()
    assert AsyncResult(result.id).get(timeout=0) == 7


def test_a_step_that_cannot_take_the_result_ends_the_run_before_it():
    result = (work.add.s(1, 2) | work.add.s(3, 4)).apply_async()
    run_pending()
    run = run_of(result.parent)
    assert (run.state, run.attempt, run.error["type"]) == (State.DEAD, 1, "PermanentError")
    assert "what was to follow cannot be requested" in run.error["message"]


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (work.add.s(3).set(compression="gzip"), "take no option compression"),
        (work.add.s(object()), "not JSON serializable"),
        (work.add.s(datetime(2030, 1, 1, tzinfo=UTC)), "not JSON values"),
        (work.add.s(float("nan")), "not JSON compliant"),
    ],
)
def test_a_step_that_can_never_be_requested_is_refused_with_the_first(step, message):
    with pytest.raises(TypeError, match=message):
        (work.add.s(1, 2) | step).apply_async()
    assert not TaskRun.objects.exists()


def test_nothing_follows_a_run_that_may_be_anothers():
    with pytest.raises(TypeError, match="unique key"):
        (work.add.s(1, 2).set(unique_key="k") | work.add.s(3)).apply_async()


# Callbacks ----------------------------------------------------------------------------------------


def test_links_follow_a_success():
    signature = work.add.s(1, 2)
    signature.link(work.keep.s("linked"))
    signature.link(work.note.si("immutable"))
    signature.link_error(work.told.s())
    result = signature.apply_async()
    run_pending()
    assert effects() == ["immutable"]
    assert sorted(child.state for child in result.children) == [states.SUCCESS] * 2
    assert [3, "linked"] in [child.get(timeout=0) for child in result.children]


def test_error_callbacks_are_requested_with_the_death():
    signature = work.refused.s()
    signature.link(work.note.si("never"))
    for errback in (work.told.s(), work.told_id.s(), work.note.si("immutable")):
        signature.link_error(errback)
    result = signature.apply_async()
    claimed = claims.claim(run_id=uuid.UUID(result.id), worker="w")
    assert claimed is not None
    with pytest.raises(RuntimeError), transaction.atomic():
        claims.fail(claimed, ValueError("x"), retry=False)
        assert TaskRun.objects.count() == 4
        raise RuntimeError
    assert TaskRun.objects.count() == 1
    claims.fail(claimed, ValueError("x"), retry=False)
    run_pending()
    assert effects() == ["immutable", f"told {result.id}", "told workload.refused ValueError: x"]


def test_error_callbacks_wait_for_the_last_attempt():
    signature = work.hopeless.s().set(backoff=Backoff(base=0))
    result = signature.on_error(work.told_id.s()).apply_async()
    run_pending()
    assert run_of(result).attempt == 3
    assert effects() == [f"told {result.id}"]


@pytest.mark.parametrize(
    "how", ["cancelled", "cancelled while running", "expired", "orphaned", "handed back"]
)
def test_every_end_without_success_is_told(how):
    options = {"expires": 0.01} if how == "expired" else {"max_attempts": 1}
    result = work.add.s(1, 2).set(**options).on_error(work.told_id.s()).apply_async()
    run_id = uuid.UUID(result.id)
    held = claims.claim(run_id=run_id, worker="w") if how not in ("cancelled", "expired") else None
    if how.startswith(("cancelled", "handed")):
        services.cancel(run_id=run_id)
    match how:
        case "cancelled while running":
            assert held is not None
            claims.cancelled(held)
        case "handed back":
            claims.hand_back(run_ids=[run_id], worker="w", reason="test")
        case "expired":
            while not claims.expire():
                pass
        case "orphaned":
            TaskRun.objects.filter(pk=run_id).update(lease_until=timezone.now() - timedelta(seconds=1))
            claims.reconcile()
    run_pending()
    assert effects() == [f"told {result.id}"]


def test_an_error_callback_that_cannot_be_requested_stops_nothing(caplog):
    result = work.refused.s().on_error(work.add.s(1, 2, 3)).on_error(work.told_id.s()).apply_async()
    run_pending()
    assert run_of(result).state == State.DEAD
    assert effects() == [f"told {result.id}"]
    assert "error callback workload.add" in caplog.text


# Groups and chords --------------------------------------------------------------------------------


def test_a_group_runs_its_tasks_and_collects_their_results():
    result = group(work.add.s(index, index) for index in range(4)).apply_async()
    assert not result.ready()
    run_pending()
    assert result.ready()
    assert result.successful()
    assert result.get(timeout=0) == [0, 2, 4, 6]


def test_a_groups_failure_is_raised():
    result = group(work.add.s(1, 1), work.refused.s()).apply_async()
    run_pending()
    assert result.failed()
    with pytest.raises(Exception, match="no use"):
        result.get(timeout=0)


def test_a_chords_body_gets_the_results_in_the_order_of_the_header():
    result = chord([work.add.s(index, index) for index in range(5)], work.keep.s()).apply_async()
    # Last first.
    for run in TaskRun.objects.order_by("-seq"):
        claimed = claims.claim(run_id=run.pk, worker="w")
        assert claimed is not None
        claims.succeed(claimed, claimed.args[0] * 10)
    run_pending()
    assert result.get(timeout=0) == [[0, 10, 20, 30, 40]]
    assert result.parent.get(timeout=0) == [0, 10, 20, 30, 40]
    restored = GroupResult.restore(result.parent.id)
    assert restored is not None
    assert restored.get(timeout=0) == [0, 10, 20, 30, 40]


@pytest.mark.parametrize(
    ("canvas", "expected"),
    [
        (chain(work.add.s(1, 1), group(work.add.s(1), work.add.s(2)), work.total.s()), 7),
        (chain(work.add.s(1, 1), group(work.add.s(1), work.add.s(2))), [3, 4]),
        (chain(group(work.add.s(1, 1), work.add.s(2, 2)), work.total.s(), work.add.s(1)), 7),
        (
            chord(
                [chain(work.add.s(1, 1), work.add.s(1)), chord([work.add.s(1, 1)], work.total.s())],
                work.keep.s(),
            ),
            [[3, 2]],
        ),
        (chord([chain(work.add.s(1, 1), group(work.add.s(1), work.add.s(2)))], work.keep.s()), [[[3, 4]]]),
        (chord([work.add.s(1, 1)], group(work.total.s(), work.total.s(plus=1))), [2, 3]),
        (chord([work.add.s(1, 1)], chain(work.total.s(), work.add.s(1), work.add.s(1))), 4),
        (chord([], work.keep.s()), [[]]),
        (
            chain(
                group(work.add.s(1, 1), work.add.s(2, 2)),
                group(work.total.s(), work.total.s()),
                work.total.s(),
            ),
            12,
        ),
    ],
)  # fmt: skip
def test_mixed_canvases_come_to_what_they_say(canvas, expected):
    assert outcome(canvas) == expected
    assert not Batch.objects.exclude(state=BatchState.COMPLETED).exists()


def test_a_chord_whose_header_fails_is_incomplete_until_the_run_is_redriven():
    body = work.keep.s("body").on_error(work.told.s())
    header = [work.add.s(1, 1), work.fail_until_allowed.s(5, "a"), work.refused.s()]
    result = chord(header, body).apply_async()
    run_pending()
    batch = Batch.objects.get()
    assert batch.state == BatchState.INCOMPLETE
    assert "a is not allowed" in batch.reason
    told = [name for name in effects() if name.startswith("told workload.keep ChordError")]
    assert len(told) == 1
    assert result.state == states.FAILURE
    with pytest.raises(ChordError, match="not allowed"):
        AsyncResult(result.id).get(timeout=0)
    allow("a")
    for run in TaskRun.objects.filter(state=State.DEAD):
        services.redrive(run_id=run.pk)
    run_pending()
    assert Batch.objects.get().state == BatchState.INCOMPLETE
    refused = TaskRun.objects.get(state=State.DEAD)
    services.redrive(run_id=refused.pk)
    claimed = claims.claim(run_id=refused.pk, worker="w")
    assert claimed is not None
    claims.succeed(claimed, 7)
    run_pending()
    assert AsyncResult(result.id).get(timeout=0) == [[2, 5, 7], "body"]
    assert [event.type for event in read_stream(batch.stream)] == [
        "batch.created", "batch.incomplete", "batch.completed",
    ]  # fmt: skip


def test_a_failure_deep_in_a_header_reaches_every_chord_around_it():
    inner = chord([chain(work.refused.s(), work.add.s(1)), work.add.s(1, 1)], work.keep.s())
    outer = chord([inner, work.add.s(2, 2)], work.keep.s().on_error(work.told_id.s()))
    result = outer.apply_async()
    run_pending()
    assert set(Batch.objects.values_list("state", flat=True)) == {BatchState.INCOMPLETE}
    assert effects() == [f"told {result.id}"]


def test_a_cancelled_header_run_makes_the_chord_incomplete():
    chord([work.add.s(1, 1), work.add.s(2, 2)], work.keep.s().on_error(work.note.si("told"))).apply_async()
    services.cancel(run_id=TaskRun.objects.order_by("seq")[0].pk)
    run_pending()
    assert Batch.objects.get().state == BatchState.INCOMPLETE
    assert effects() == ["told"]


def test_a_chord_is_rolled_back_with_its_transaction():
    with pytest.raises(RuntimeError), transaction.atomic():
        chord([work.add.s(1, 1)], work.keep.s()).apply_async()
        raise RuntimeError
    assert not Batch.objects.exists()
    assert not TaskRun.objects.exists()


def test_a_step_that_is_not_durable_is_sent_by_a_run_of_its_own():
    (work.add.s(1, 2) | work.plain_add.s(3) | work.add.s(4)).apply_async()
    claimed = claims.claim(run_id=TaskRun.objects.get().pk, worker="w")
    assert claimed is not None
    claims.succeed(claimed, 3)
    dispatch = TaskRun.objects.get(task="tasks.dispatch")
    assert dispatch.kwargs["signature"]["task"] == "workload.plain_add"
    assert dispatch.kwargs["args"] == [3]
    assert [step["task"] for step in dispatch.kwargs["options"]["chain"]] == ["workload.add"]
