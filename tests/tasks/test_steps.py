"""What a run does outside of the database it does once, and later attempts get the result."""

from __future__ import annotations

import uuid

import pytest
from django.db import connection, transaction

from apps.core.ids import uuid7
from apps.tasks import Fenced, PermanentError, claims, current_run, selectors, services
from apps.tasks.claims import Claim
from apps.tasks.errors import ResultTooLarge
from apps.tasks.models import Step, TaskRun
from apps.tasks.run import Run, close_side_connection, running
from apps.tasks.states import State
from apps.tasks.testing import make_due, run_pending
from tests.support import BOTH_TRANSACTIONS
from tests.workload import tasks as work
from tests.workload.models import Effect

real_transactions = pytest.mark.usefixtures("committed")


@pytest.fixture
def claim(committed):
    """A run that is claimed here."""
    result = work.note.delay("a")
    claimed = claims.claim(run_id=uuid.UUID(result.id), worker="here")
    assert claimed is not None
    yield claimed
    close_side_connection()


def lose(claim: Claim) -> Claim:
    """The run is taken from its worker and claimed by another."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tasks_taskrun SET lease_until = now() - interval '1 s'")
    claims.reconcile()
    again = claims.claim(run_id=claim.run_id, worker="there")
    assert again is not None
    return again


def books(folder) -> dict[str, list[str]]:
    return {path.name: path.read_text().split() for path in folder.iterdir()}


@pytest.mark.parametrize("database", BOTH_TRANSACTIONS)
def test_an_attempt_after_the_steps_gets_their_results(database, request, tmp_path):
    """In a test's transaction too, where the failed attempt rolls back everything else."""
    request.getfixturevalue(database)
    result = work.trade.delay(str(tmp_path), die="raise")
    run_pending()
    run = TaskRun.objects.get(pk=result.id)
    if run.state == State.SCHEDULED:
        make_due(run)
        run_pending()
        run.refresh_from_db()
    assert (run.state, run.attempt) == (State.SUCCEEDED, 2)
    kept = books(tmp_path)
    assert {side: len(orders) for side, orders in kept.items()} == {"buy": 1, "sell": 1}
    assert run.result["bought"] == {"side": "buy", "order": kept["buy"][0]}
    assert kept["buy"] != kept["sell"]
    assert [step.name for step in selectors.steps(run.pk)] == ["buy", "sell"]
    assert all(step.finished_at for step in selectors.steps(run.pk))
    assert Effect.objects.count() == 1


@real_transactions
def test_a_redriven_run_does_not_repeat_its_steps(tmp_path):
    result = work.trade.delay(str(tmp_path))
    run_pending()
    TaskRun.objects.filter(pk=result.id).update(state=State.DEAD)
    services.redrive(run_id=result.id)
    run_pending()
    assert {side: len(orders) for side, orders in books(tmp_path).items()} == {"buy": 1, "sell": 1}


def test_a_step_that_raised_is_done_again_with_the_same_key(claim):
    run, keys = Run(claim), []

    def failing() -> None:
        keys.append(run.idempotency_key)
        raise OSError("no answer")

    def working() -> str:
        keys.append(run.idempotency_key)
        return "done"

    with pytest.raises(OSError):
        run.once("call", failing)
    assert run.once("call", working) == "done"
    assert run.once("call", failing) == "done"
    assert keys[0] == keys[1] != run.idempotency_key
    assert str(uuid.UUID(keys[0])) == keys[0]


def test_who_can_look_it_up_is_asked_about_a_step_that_may_have_happened(claim):
    run, asked, done = Run(claim), [], []

    def look_up(answer, name):
        asked.append((run.idempotency_key, name))
        return answer

    def place(name):
        done.append(name)
        raise OSError("no answer")

    with pytest.raises(OSError):
        run.once("buy", place, "x", uncertain=lambda name: look_up("never asked", name))
    assert asked == []
    # It has not happened: done again. Then it has.
    with pytest.raises(OSError):
        run.once("buy", place, "x", uncertain=lambda name: look_up(None, name))
    assert run.once("buy", place, "x", uncertain=lambda name: look_up({"id": 7}, name)) == {"id": 7}
    assert run.once("buy", place, "x") == {"id": 7}
    assert len(done) == len(asked) == 2
    assert asked[0] == asked[1]


def test_a_worker_that_lost_its_claim_begins_no_step(claim):
    run, again = Run(claim), Run(lose(claim))
    with pytest.raises(Fenced):
        run.once("call", pytest.fail, "a step of a lost claim")
    assert not Step.objects.exists()
    assert again.once("call", lambda: 1) == 1


def test_a_claim_that_is_lost_within_a_step_keeps_the_first_result(claim):
    """The effect has happened: both workers go on with one result."""
    run = Run(claim)
    others = []

    def slow() -> str:
        other = Run(lose(claim))
        others.append(other.once("call", lambda: "of the other"))
        return "of the first"

    assert run.once("call", slow) == "of the other"
    assert others == ["of the other"]


def test_results_are_json_and_come_back_alike_every_time(claim):
    run, id_ = Run(claim), uuid7()
    assert run.once("a", lambda: {"id": id_, "many": (1, 2)}) == {"id": str(id_), "many": [1, 2]}
    assert run.once("a", pytest.fail) == {"id": str(id_), "many": [1, 2]}
    assert run.once("nothing", lambda: None) is None
    assert run.once("nothing", pytest.fail) is None
    assert run.once("text", lambda: "a") == run.once("text", pytest.fail) == "a"
    with pytest.raises(PermanentError, match="has happened, but its result is not JSON"):
        run.once("b", object)
    with pytest.raises(ResultTooLarge, match="step c"):
        run.once("c", lambda: "x" * 70_000)
    with pytest.raises(ValueError, match="name"):
        run.once("", lambda: 1)


def test_a_step_is_recorded_when_the_side_connection_was_cut_meanwhile(claim):
    """As after a restart of the server."""
    run = Run(claim)

    def cutting() -> str:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND backend_type = 'client backend'"
            )
        return "done"

    assert run.once("call", cutting) == "done"
    assert Step.objects.get().result == "done"


def test_without_a_run_the_function_is_just_called():
    assert current_run().once("call", lambda *, x: x, x=3) == 3
    assert current_run().idempotency_key == ""


def test_steps_do_not_depend_on_the_handlers_transaction(claim):
    run = Run(claim)
    with running(run), pytest.raises(RuntimeError), transaction.atomic():
        run.once("call", lambda: "done")
        raise RuntimeError
    assert Step.objects.get().result == "done"
