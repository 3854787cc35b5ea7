"""Runs, their histories and figures as tables in a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from apps.core.redaction import redact
from apps.tasks import selectors, stats, wording
from apps.tasks.models import BulkOperation, PeriodicTask, Process, TaskRun
from apps.tasks.queues import Depth
from apps.tasks.states import State

STYLES = {
    State.SCHEDULED: "cyan",
    State.QUEUED: "blue",
    State.RUNNING: "bold yellow",
    State.SUCCEEDED: "green",
    State.DEAD: "bold red",
    State.CANCELLED: "dim",
}
#: Columns where the output is no terminal, whose reader takes lines of any length.
_WIDE = 220


def console(stream: Any) -> Console:
    """A console on *stream*, wide where that is no terminal."""
    terminal = bool(stream.isatty())
    return Console(file=stream, width=None if terminal else _WIDE, highlight=False, soft_wrap=not terminal)


def table(*headings: str, right: Iterable[str] = (), title: str = "") -> Table:
    """An empty table; the columns *right* are of numbers."""
    made = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    numbers = set(right)
    for heading in headings:
        made.add_column(heading, justify="right" if heading in numbers else "left", overflow="fold")
    return made


def state(value: str, *, cancelling: bool = False) -> Text:
    """A state in its colour."""
    return Text(value + (" (cancelling)" if cancelling else ""), STYLES[State(value)])


def moment(value: datetime | None) -> str:
    """To the second, in UTC."""
    return f"{value:%Y-%m-%d %H:%M:%S}" if value else ""


def runs(found: Sequence[TaskRun]) -> Table:
    """One line per run."""
    made = table(
        "run", "task", "queue", "state", "attempt", "requested (UTC)", "due/ended", "worker", "last error"
    )
    for run in found:
        made.add_row(
            Text(str(run.pk), no_wrap=True),
            run.task,
            run.queue,
            state(run.state, cancelling=run.cancel_requested and run.state == State.RUNNING),
            f"{run.attempt}/{run.max_attempts}",
            moment(run.requested_at),
            moment(run.finished_at or run.due_at),
            run.worker,
            redact(wording.error(run.error))[:100],
        )
    return made


def run(shown: TaskRun, timeline: Sequence[selectors.TimelineEntry]) -> RenderableType:
    """One run with everything that happened to it."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim")
    facts.add_column(overflow="fold")
    for name, value in (
        ("run", str(shown.pk)),
        ("task", f"{shown.task} on {shown.queue}"),
        ("state", state(shown.state, cancelling=shown.cancel_requested and shown.state == State.RUNNING)),
        ("attempt", f"{shown.attempt} of {shown.max_attempts}"),
        ("priority", str(shown.priority or "")),
        ("group key", shown.group_key),
        ("unique key", shown.unique_key),
        ("due", moment(shown.due_at)),
        ("worker", shown.worker),
        ("arguments", _json(shown.args) if shown.args else ""),
        ("keywords", _json(shown.kwargs) if shown.kwargs else ""),
        ("progress", _json(shown.progress) if shown.progress else ""),
        ("result", _json(shown.result) if shown.result is not None else ""),
        ("last error", redact(wording.error(shown.error))),
    ):
        if value:
            facts.add_row(name, value)
    events = table("#", "when (UTC)", "since", "event", "data", "by", right=["#", "since"])
    for entry in timeline:
        elapsed = "" if entry.elapsed is None else f"+{wording.seconds(entry.elapsed.total_seconds())}"
        events.add_row(
            str(entry.version),
            f"{entry.recorded_at:%Y-%m-%d %H:%M:%S.%f}"[:-3],
            elapsed,
            entry.type.removeprefix("task."),
            _data(entry.data),
            entry.meta.get("worker") or entry.meta.get("actor", ""),
        )
    parts: list[RenderableType] = [facts, events]
    if shown.error and shown.error.get("trace"):
        parts.append(Text(redact(shown.error["trace"]), "dim"))
    return Group(*parts)


def _json(value: Any) -> str:
    return json.dumps(redact(value), ensure_ascii=False, default=str)


def _data(data: Mapping[str, Any]) -> str:
    parts = []
    for key, value in data.items():
        if value in (None, "", [], {}, False):
            continue
        text = wording.error(value) if key == "error" else value if isinstance(value, str) else _json(value)
        parts.append(f"{key}={text}")
    return " ".join(parts)


def queues(
    found: Sequence[stats.Backlog], depths: Mapping[str, Depth | None], dead: Mapping[str, Depth | None]
) -> Table:
    """One line per queue: what is on SQS, and what the database says."""
    numbers = (
        "on SQS", "in flight", "DLQ", "scheduled", "due", "queued", "running", "dead", "due lag",
        "oldest queued",
    )  # fmt: skip
    made = table("queue", *numbers, right=numbers)
    for one in found:
        depth, letters = depths.get(one.queue), dead.get(one.queue)
        made.add_row(
            one.queue,
            "?" if depth is None else wording.count(depth.visible + depth.delayed),
            "?" if depth is None else wording.count(depth.in_flight),
            "?" if letters is None else Text(wording.count(letters.visible), "red"),
            wording.count(one.scheduled),
            wording.count(one.due),
            wording.count(one.queued),
            Text(wording.count(one.running), "yellow"),
            Text(wording.count(one.dead), "red"),
            wording.seconds(one.due_lag),
            wording.seconds(one.oldest_queued),
        )
    return made


def activities(found: Sequence[stats.Activity], window: str) -> Table:
    """One line per task and queue: how often and how fast in the window."""
    numbers = (
        "requested", "started", "succeeded", "failed", "dead", "failing", "rate", "wait p50", "wait p95",
        "run p50", "run p95",
    )  # fmt: skip
    made = table("task", "queue", *numbers, right=numbers, title=f"the last {window}")
    for one in found:
        made.add_row(
            one.task,
            one.queue,
            *(
                wording.count(one.count(f"task.{event}"))
                for event in ("requested", "started", "succeeded", "attempt_failed", "dead_lettered")
            ),
            wording.share(one.failure_rate),
            wording.rate(one.rate("task.succeeded")),
            *(
                wording.seconds(durations.quantile(q))
                for durations in (one.wait, one.duration)
                for q in (0.5, 0.95)
            ),
        )
    return made


def processes(found: Sequence[Process], per_task: float | None) -> Table:
    """One line per process, under what all of them together ask of SQS."""
    numbers = ("slots", "finished", "SQS requests", "per task")
    title = "" if per_task is None else f"{per_task:.2f} SQS requests per finished task in the last hour"
    made = table(
        "process", "kind", "", "version", "queues", "last seen (UTC)", *numbers, "trouble",
        right=numbers, title=title,
    )  # fmt: skip
    for one in found:
        finished = int(one.counts.get("finished", 0))
        made.add_row(
            one.name,
            one.kind,
            Text(one.condition, "" if one.condition == "running" else "yellow"),
            one.version,
            ", ".join(one.queues),
            f"{one.seen_at:%m-%d %H:%M:%S}",
            wording.count(one.concurrency),
            wording.count(finished),
            wording.count(one.requests),
            f"{one.requests / finished:.2f}" if finished else "",
            Text(str(one.facts.get("trouble") or ""), "red"),
        )
    return made


def periodic(found: Sequence[PeriodicTask]) -> Table:
    """One line per entry, as `periodic.selectors.entries` gives them."""
    made = table(
        "entry", "task", "schedule", "", "last tick (UTC)", "last run", "next tick (UTC)", "left out"
    )
    for entry in found:
        last = getattr(entry, "last_run_state", None)
        made.add_row(
            entry.name,
            entry.task,
            entry.schedule_text,
            _switch(entry),
            moment(entry.last_tick_at),
            state(last) if last else "",
            moment(entry.next_tick_at) if entry.enabled else "",
            wording.count(entry.left_out),
        )
        if entry.last_error:
            made.add_row("", Text(entry.last_error, "red"))
    return made


def _switch(entry: PeriodicTask) -> Text:
    if entry.retired_at is not None:
        return Text("retired", "dim")
    return Text("", "") if entry.enabled else Text("off", "yellow")


def bulk(done: BulkOperation) -> str:
    """How an operation went, in words."""
    if done.finished_at is None:
        return f"{wording.runs(done.bound)} to {done.operation} in the background: run {done.run_id}"
    lines = [f"{done.operation}: {wording.runs(done.done)} done"]
    lines += [f"{count:,} refused: {reason}" for reason, count in sorted(done.reasons.items())]
    if done.more:
        lines.append("more runs match by now; nothing was done to them")
    return "\n".join(lines)
