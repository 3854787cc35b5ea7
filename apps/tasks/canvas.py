"""Celery's signatures: kept as JSON, and started.

What follows a run is kept with it as signatures, and what follows a chord's header with its batch. A
signature that holds durable tasks only is started in the caller's transaction: it is recorded, like any
request. One that holds other tasks too is started by a durable run of its own (``tasks.dispatch``), because
their messages go to SQS at once and cannot be taken back with the transaction.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from typing import Any, cast

import celery.canvas
from celery import current_app
from celery.canvas import Signature
from celery.utils.functional import arity_greater, maybe_list
from django.db import transaction
from kombu.utils import json as kombu_json

from apps.core.ids import uuid7
from apps.tasks.backoff import Backoff
from apps.tasks.rates import Rate

logger = logging.getLogger(__name__)

#: The platform's task that starts signatures which hold tasks that are not durable.
DISPATCH = "tasks.dispatch"

# Values of options. Kombu's own JSON knows times, decimals and UUIDs.
kombu_json.register_type(Backoff, "backoff", asdict, lambda value: Backoff(**value))
kombu_json.register_type(Rate, "rate", asdict, lambda value: Rate(**value))
kombu_json.register_type(
    timedelta, "seconds", timedelta.total_seconds, lambda value: timedelta(seconds=value)
)


def install() -> None:
    """Let Celery give the parts of a canvas ids that sort by time, as those of all other runs do."""
    celery.canvas.uuid = lambda: str(uuid7())  # type: ignore[attr-defined]


def pack(value: Any) -> Any:
    """*value* (signatures, options) as plain JSON. Raises `TypeError` for what JSON cannot hold."""
    try:
        return json.loads(kombu_json.dumps(value, allow_nan=False))
    except ValueError as exc:
        raise TypeError(str(exc)) from None


def unpack(value: Any) -> Any:
    """The inverse of `pack`; signatures come back as dictionaries, which Celery takes for them."""
    return kombu_json.loads(json.dumps(value))


def from_database(value: Any) -> Any:
    """A jsonb column's value; a raw cursor of Django's hands it over as text."""
    return json.loads(value) if isinstance(value, str) else value


def signature(packed: Mapping[str, Any]) -> Signature[Any]:
    """The signature that was packed."""
    return cast("Signature[Any]", celery.canvas.maybe_signature(unpack(packed), app=current_app))


def continuation(
    *,
    chain: Sequence[Any] | None = None,
    link: Any = None,
    link_error: Any = None,
    root_id: str | None = None,
) -> dict[str, Any] | None:
    """What is kept with a run of what follows it, packed; None if nothing does.

    chain: the steps after it, the next one last. link, link_error: one signature or several. Raises
    `TypeError` for steps that could not be requested.
    """
    links, errbacks = maybe_list(link) or [], maybe_list(link_error) or []
    if not (chain or links or errbacks):
        return None
    kept = pack({"chain": list(chain or ()), "link": list(links), "link_error": list(errbacks)})
    for step in (*kept["chain"], *kept["link"], *kept["link_error"]):
        check(step)
    for callback in kept["link"]:
        # So that the run that it becomes is known as a child.
        if not callback["subtask_type"]:
            callback["options"].setdefault("task_id", str(uuid7()))
    if root_id:
        kept["root_id"] = root_id
    return {key: value for key, value in kept.items() if value}


def leaves(step: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The signatures of single tasks that a chain, group or chord is made of."""
    kwargs = step["kwargs"]
    match step.get("subtask_type"):
        case "chain" | "group":
            parts = kwargs["tasks"]
        case "chord":
            header = kwargs["header"]
            parts = [*(header["kwargs"]["tasks"] if isinstance(header, Mapping) else header)]
            if kwargs.get("body") is not None:
                parts.append(kwargs["body"])
        case _:
            yield step
            return
    for part in parts:
        yield from leaves(part)


def check(step: Mapping[str, Any]) -> None:
    """Raises `TypeError` for a step that no durable task of it would be requested with."""
    from apps.tasks.task import DurableTask

    for leaf in leaves(step):
        task = current_app.tasks.get(leaf["task"])
        if not isinstance(task, DurableTask):
            continue
        task.check_options(leaf["options"])
        for value in (leaf["args"], leaf["kwargs"]):
            if unpack(value) != value:
                raise TypeError(f"{task.name}: the arguments are not JSON values: {value}")


def durable(step: Mapping[str, Any]) -> bool:
    """Whether every task of a step is a durable one that is known here."""
    from apps.tasks.task import DurableTask

    tasks = current_app.tasks
    return all(isinstance(tasks.get(leaf["task"]), DurableTask) for leaf in leaves(step))


def start(step: Mapping[str, Any], args: Sequence[Any], **options: Any) -> None:
    """Start a packed signature in the caller's transaction, with *args* before its own arguments.

    Where a task of it is not known in this process, as may be in a web server, a worker starts it. Raises
    what `apply_async` raises.
    """
    if durable(step):
        signature(step).apply_async(tuple(args), **options)
    else:
        from apps.tasks.tasks import dispatch

        dispatch.apply_async(kwargs={"signature": dict(step), "args": list(args), "options": pack(options)})


def send(step: Mapping[str, Any], args: Sequence[Any], options: Mapping[str, Any]) -> None:
    """What ``tasks.dispatch`` does. Raises `LookupError` where a task is not registered here."""
    unknown = {leaf["task"] for leaf in leaves(step)} - current_app.tasks.keys()
    if unknown:
        raise LookupError(f"not registered here: {', '.join(sorted(unknown))}")
    signature(step).apply_async(tuple(args), **unpack(options))


def start_errbacks(
    errbacks: Iterable[Mapping[str, Any]], *, request: Mapping[str, Any], error: Mapping[str, Any]
) -> None:
    """Start error callbacks: with (request, error, trace) those that take several, with the id others.

    As Celery does, but what it hands over as objects is JSON here: *request* has id, task, args and
    kwargs, *error* has type, message and trace. One that cannot be requested is logged: the run that failed
    has ended all the same.
    """
    for errback in errbacks:
        if _takes_several(errback):
            args = [dict(request), dict(error), error.get("trace", "")]
        else:
            args = [request["id"]]
        try:
            with transaction.atomic():
                start(errback, args, parent_id=request["id"])
        except TypeError as exc:
            logger.error("error callback %s of %s: %s", errback["task"], request["id"], exc)


def _takes_several(errback: Mapping[str, Any]) -> bool:
    """Celery's rule: what is bound (``bind=True``), or takes one more argument, gets the id alone."""
    if errback.get("subtask_type"):
        return False
    header = getattr(current_app.tasks.get(errback["task"]), "__header__", None)
    if header is None or isinstance(header, partial):
        return False
    if not errback.get("immutable") and (errback["args"] or errback["kwargs"]):
        # What it has already does not count; with more than it takes, the request fails, not this.
        with suppress(TypeError):
            return bool(arity_greater(partial(header, *errback["args"], **errback["kwargs"]), 1))
    return bool(arity_greater(header, 1))


def errbacks_of(step: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The error callbacks that hear of a chord whose body *step* cannot run; each once."""
    found = list(maybe_list(step["options"].get("link_error")) or [])
    kwargs = step["kwargs"]
    if step.get("subtask_type") == "chord" and kwargs.get("body") is not None:
        found += errbacks_of(kwargs["body"])
    elif step.get("subtask_type") == "group":
        for task in kwargs["tasks"]:
            found += errbacks_of(task)
    unique: list[dict[str, Any]] = []
    for errback in found:
        if errback not in unique:
            unique.append(errback)
    return unique


def chords_of(steps: Iterable[Mapping[str, Any]]) -> list[str]:
    """The ids of the chords that wait for one of *steps*, which will not run."""
    found: list[str] = []
    for step in steps:
        options, kwargs = step["options"], step["kwargs"]
        if options.get("chord") and options.get("group_id"):
            found.append(options["group_id"])
        if step.get("subtask_type") == "chord" and kwargs.get("body") is not None:
            # A chord is over when its body is.
            found += chords_of([kwargs["body"]])
        elif step.get("subtask_type") in ("chain", "group"):
            found += chords_of(kwargs["tasks"])
        if options.get("chain"):
            found += chords_of(options["chain"])
    return list(dict.fromkeys(found))
