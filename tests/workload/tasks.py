from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from celery import shared_task, signals
from django.db import connection, transaction
from django.utils import timezone

from apps.ratelimits.scopes import scope
from apps.tasks import Backoff, DurableTask, MicroBatchedTask, PermanentError, RetryLater, current_run
from apps.tasks.models import Entry
from tests.workload.models import Effect, Record, Span, Start

SOON = Backoff(base=0.05, factor=1.0, maximum=0.05)


def _effect(name: str) -> None:
    Effect.objects.create(name=name, attempt=current_run().attempt)


@shared_task(base=DurableTask, name="workload.note", backoff=SOON)
def note(name: str, seconds: float = 0.0) -> dict[str, Any]:
    """Leave one effect, then take *seconds* before the end."""
    _effect(name)
    if seconds:
        time.sleep(seconds)
    return {"noted": name}


@shared_task(base=DurableTask, name="workload.limited", backoff=SOON)
def limited(name: str) -> bool:
    """Leave an effect if the group ``exports`` has room for it; whether there was."""
    allowed = scope("exports").hit("export", name).allowed
    if allowed:
        _effect(name)
    return allowed


@shared_task(base=DurableTask, name="workload.long", backoff=SOON, atomic=False)
def long(name: str, steps: int, seconds: float) -> None:
    """Begin visibly, take a while with progress reports, and commit one effect at the end."""
    Start.objects.create(name=name, pid=os.getpid())
    run = current_run()
    for step in range(steps):
        run.progress(step, steps, f"step {step}")
        time.sleep(seconds)
    with run.completing({"steps": steps}):
        _effect(name)


@shared_task(base=DurableTask, name="workload.patient", backoff=SOON, atomic=False)
def patient(name: str, *, polite: bool = True) -> None:
    """Begin visibly, go on until a Start named "go" is there, and commit one effect at the end.

    A polite one reports its progress, and so learns that it is to be cancelled.
    """
    Start.objects.create(name=name, pid=os.getpid())
    run = current_run()
    done = 0
    while not Start.objects.filter(name="go").exists():
        done += 1
        if polite:
            run.progress(done, 1_000_000)
        time.sleep(0.1)
    with run.completing():
        _effect(name)


@shared_task(base=DurableTask, name="workload.once", backoff=SOON, repeatable=False, atomic=False)
def once(name: str, failures: int = 0) -> None:
    """Go on as `patient` does, but not to be repeated unseen if the worker dies. It may fail first."""
    Start.objects.create(name=name, pid=os.getpid())
    if current_run().attempt <= failures:
        raise RuntimeError("failed, which is known")
    while not Start.objects.filter(name="go").exists():
        time.sleep(0.1)
    with current_run().completing():
        _effect(name)


@shared_task(base=DurableTask, name="workload.overlong", max_attempts=1, time_limit=1)
def overlong() -> None:
    """Take longer than the hard time limit."""
    time.sleep(60)


@shared_task(base=DurableTask, name="workload.flaky", backoff=SOON, max_attempts=5)
def flaky(name: str, failures: int) -> None:
    """Write, and fail in the first *failures* attempts."""
    _effect(name)
    if current_run().attempt <= failures:
        raise RuntimeError(f"failure {current_run().attempt} of {failures}")


@shared_task(base=DurableTask, name="workload.hopeless", max_attempts=3, backoff=SOON)
def hopeless() -> None:
    """Fail always."""
    raise ValueError("always")


@shared_task(base=DurableTask, name="workload.refused", max_attempts=3)
def refused() -> None:
    """Fail for good."""
    raise PermanentError("no use")


@shared_task(base=DurableTask, name="workload.later", max_attempts=3)
def later(seconds: float) -> None:
    """Ask for a certain wait."""
    raise RetryLater(seconds, "busy")


@shared_task(base=DurableTask, name="workload.chain")
def chain(names: list[str]) -> None:
    """Leave an effect and request the next run."""
    _effect(names[0])
    if names[1:]:
        chain.delay(names=names[1:])


@shared_task(base=DurableTask, name="workload.cancelling", atomic=False)
def cancelling() -> None:
    """Have itself cancelled, and find out at the next report."""
    from apps.tasks import services

    run = current_run()
    assert run.id is not None
    services.cancel(run_id=run.id, actor="test")
    run.progress(1, 1)


@shared_task(base=DurableTask, name="workload.fenced")
def fenced(name: str) -> None:
    """Lose the claim in the middle, as after a pause longer than the lease."""
    _effect(name)
    run = current_run()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tasks_taskrun SET fence = fence + 1 WHERE id = %s", [run.id])


@shared_task(base=DurableTask, name="workload.broken_transaction")
def broken_transaction() -> None:
    """Leave the transaction in a failed state."""
    with transaction.atomic():
        Effect.objects.create(name=None, attempt=1)  # type: ignore[misc]


@shared_task(base=DurableTask, name="workload.spanning")
def spanning(name: str, seconds: float) -> None:
    """Take a while, and say from when to when."""
    start = timezone.now()
    time.sleep(seconds)
    Span.objects.create(name=name, start=start, end=timezone.now())


@shared_task(
    base=DurableTask,
    name="workload.renamed",
    args_version=3,
    upgrades={
        1: lambda args, kwargs: ([*args, kwargs.pop("title")], kwargs),
        2: lambda args, kwargs: ([], {"name": args[0]}),
    },
)
def renamed(name: str = "") -> None:
    """A handler whose argument was called title, then had no name, and is called name now."""
    _effect(name)


@shared_task(base=DurableTask, name="workload.echo", max_attempts=1)
def echo(**values: Any) -> dict[str, Any]:
    """Return what it was given."""
    return values


# Pure functions for canvases.


@shared_task(base=DurableTask, name="workload.add")
def add(x: int, y: int) -> int:
    """Of two numbers."""
    return x + y


@shared_task(base=DurableTask, name="workload.total")
def total(numbers: Any, plus: int = 0) -> int:
    """Of numbers, however nested."""
    flat = [total(part) for part in numbers] if isinstance(numbers, list) else [numbers]
    return sum(flat) + plus


@shared_task(base=DurableTask, name="workload.keep")
def keep(value: Any, *more: Any) -> list[Any]:
    """What came."""
    return [value, *more]


@shared_task(base=DurableTask, name="workload.add_loosely", atomic=False)
def add_loosely(x: int, y: int) -> int:
    """Without a transaction around it."""
    return x + y


@shared_task(base=DurableTask, name="workload.add_completing", atomic=False)
def add_completing(x: int, y: int) -> None:
    """Completed by the handler itself."""
    with current_run().completing(x + y):
        _effect("completing")


@shared_task(base=DurableTask, name="workload.fail_until_allowed", max_attempts=1)
def fail_until_allowed(value: Any, name: str) -> Any:
    """Fail unless there is an effect of that name."""
    if not Effect.objects.filter(name=name).exists():
        raise ValueError(f"{name} is not allowed")
    return value


@shared_task(base=DurableTask, name="workload.told")
def told(request: dict[str, Any], error: dict[str, Any], trace: str) -> None:
    """An error callback that wants to know everything."""
    _effect(f"told {request['task']} {error['type']}: {error['message']}")


@shared_task(base=DurableTask, name="workload.told_id")
def told_id(run_id: str) -> None:
    """An error callback that takes the id."""
    _effect(f"told {run_id}")


@shared_task(base=DurableTask, name="workload.finished")
def finished(batch_id: str, counts: dict[str, int]) -> dict[str, int]:
    """A batch's callback."""
    _effect(f"finished {batch_id}")
    return counts


@shared_task(name="workload.plain_add")
def plain_add(x: int, y: int) -> int:
    """Celery's own: neither recorded nor exactly once."""
    return x + y


@shared_task(
    base=MicroBatchedTask, name="workload.record", batch_size=50, linger=0.1, max_attempts=2, backoff=SOON
)
def record(entries: list[Entry]) -> None:
    """Write each entry under its id, and an effect of it that nothing keeps from happening twice."""
    for entry in entries:
        _effect(entry.payload["name"])
        time.sleep(entry.payload.get("seconds", 0))
        match entry.payload.get("fault"):
            case "poison":
                raise ValueError(f"{entry.payload['name']} cannot be written")
            case "later":
                raise RetryLater(600, "busy")
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "database":
                with connection.cursor() as cursor:
                    cursor.execute("SET LOCAL statement_timeout = 1")
                    cursor.execute("SELECT pg_sleep(1)")
    Record.objects.bulk_create(
        [Record(id=entry.pk, name=entry.payload["name"], actor=entry.actor) for entry in entries],
        ignore_conflicts=True,
    )


@shared_task(base=DurableTask, name="workload.trade", backoff=SOON, max_attempts=4)
def trade(folder: str, die: str = "", look_up: bool = False) -> dict[str, Any]:
    """Place two orders at an exchange that keeps them in files, one line for each time that it was asked to.

    The first attempt ends as *die* says: in the middle of an order, between the two, or at the end.
    """
    run = current_run()

    def end_here(place: str) -> None:
        if die == place and run.attempt == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    def place(side: str) -> dict[str, str]:
        with (Path(folder) / side).open("a") as book:
            book.write(f"{run.idempotency_key}\n")
        end_here(side)
        return {"side": side, "order": run.idempotency_key}

    def find(side: str) -> dict[str, str] | None:
        with (Path(folder) / "asked").open("a") as asked:
            asked.write(f"{run.idempotency_key}\n")
        book = Path(folder) / side
        if book.exists() and run.idempotency_key in book.read_text().split():
            return {"side": side, "order": run.idempotency_key, "found": "yes"}
        return None

    uncertain = find if look_up else None
    bought = run.once("buy", place, "buy", uncertain=uncertain)
    end_here("between")
    sold = run.once("sell", place, "sell", uncertain=uncertain)
    _effect("traded")
    if die == "raise" and run.attempt == 1:
        raise RuntimeError("after both orders")
    return {"bought": bought, "sold": sold}


@shared_task(base=DurableTask, name="workload.indiscreet", max_attempts=1)
def indiscreet(secret: str) -> None:
    """Fail with an error that shows its secrets, as HTTP clients do."""
    raise RuntimeError(f"POST /orders?signature={secret} failed: {{'api_key': '{secret}', 'qty': 5}}")


@shared_task(base=DurableTask, name="workload.poison")
def poison() -> None:
    """Ends every worker that receives it; see below."""


@shared_task(base=DurableTask, name="workload.fatal")
def fatal() -> None:
    """Ends every process of a pool that is to execute it; see below."""


@shared_task(base=DurableTask, name="workload.hanging")
def hanging() -> None:
    """Makes the main loop of every worker hang that receives it; see below."""


@signals.task_received.connect
def _in_the_main_process(request: Any, **_: Any) -> None:
    """Before anything is claimed."""
    if request.name == poison.name:
        os._exit(9)
    if request.name == hanging.name:
        time.sleep(600)


@signals.task_prerun.connect
def _in_the_pool(task: Any, **_: Any) -> None:
    """Likewise."""
    if task.name == fatal.name and not task.request.called_directly:
        os.kill(os.getpid(), signal.SIGKILL)


@shared_task(base=DurableTask, name="workload.backend")
def backend() -> int:
    """The number of the server process behind the connection to the database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid: int = cursor.fetchone()[0]
    return pid
