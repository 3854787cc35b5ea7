"""A snapshot as a screen of text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from apps.tasks import wording
from apps.tasks.cli.tables import STYLES
from apps.tasks.queues import Depth
from apps.tasks.states import State
from apps.tasks.top.snapshot import Failure, Member, Rates, RunningRun, Snapshot, Tick

#: Lines that are not lists: the first one, frames and headings, and the one that the cursor stays on.
_OTHER_LINES = 19
_BAR_WIDTH = 16
#: Ages from which a queue is worth a look, and from which it is in trouble (seconds).
_SLOW, _STUCK = 30.0, 300.0
#: Seconds after which a tick that nobody dealt with is overdue.
_LATE = 10.0


def screen(seen: Snapshot, *, height: int) -> RenderableType:
    """Queues, running runs, failures and ticks; the lists are cut so that all fits into *height* lines."""
    free = max(height - _OTHER_LINES - len(seen.queues), 6)
    failures = seen.failures[: max(free // 3, 2)]
    ticks = seen.ticks[: max(free // 6, 2)]
    running = seen.running[: max(free - max(len(failures), 1) - max(len(ticks), 1), 2)]
    return Group(
        _first_line(seen),
        _queues(seen),
        _running(seen, running),
        _failures(failures),
        _ticks(seen, ticks),
        _processes(seen.processes),
    )


def _first_line(seen: Snapshot) -> Text:
    line = Text(f"{seen.at:%Y-%m-%d %H:%M:%S} UTC   ", "bold")
    for state in ("scheduled", "queued", "running", "dead"):
        count = sum(getattr(queue, state) for queue in seen.queues)
        line.append(f"{count:,} {state}   ", STYLES[State(state)])
    line.append(f"in {_rate(sum(rate.requested for rate in seen.rates.values()))}")
    line.append(f"   out {_rate(sum(rate.ended for rate in seen.rates.values()))}")
    if seen.requests_per_task is not None:
        line.append(f"   {seen.requests_per_task:.2f} SQS requests per task")
    if seen.oldest_writer >= 1:
        line.append(f"   a transaction has been writing for {wording.seconds(seen.oldest_writer)}", "yellow")
    return line


def _rate(value: float) -> str:
    return f"{value:,.1f}/s"


def _table(*columns: tuple[str, dict[str, Any]]) -> Table:
    made = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False, padding=(0, 1), show_edge=False)
    for heading, options in columns:
        made.add_column(heading, no_wrap=True, **options)
    return made


def _panel(title: str, content: RenderableType) -> Panel:
    return Panel(content, title=title, title_align="left", border_style="dim", padding=(0, 1))


_RIGHT: dict[str, Any] = {"justify": "right"}


def _queues(seen: Snapshot) -> Panel:
    made = _table(
        ("queue", {}),
        *(
            (heading, _RIGHT)
            for heading in (
                "on SQS", "in flight", "DLQ", "scheduled", "due", "queued", "running", "dead", "due lag",
                "oldest", "in", "out", "failed",
            )
        ),
    )  # fmt: skip
    for queue in seen.queues:
        rates = seen.rates.get(queue.queue, Rates())
        made.add_row(
            Text(queue.queue, "bold"),
            *_depth(queue.queue, seen.on_sqs, seen.dead_letters),
            wording.count(queue.scheduled),
            wording.count(queue.due),
            Text(wording.count(queue.queued), STYLES[State.QUEUED]),
            Text(wording.count(queue.running), STYLES[State.RUNNING]),
            Text(wording.count(queue.dead), STYLES[State.DEAD]),
            _age(queue.due_lag),
            _age(queue.oldest_queued),
            wording.rate(rates.requested),
            wording.rate(rates.ended),
            Text(wording.rate(rates.failed), "red"),
        )
    return _panel("queues", made)


def _depth(
    queue: str, on_sqs: Mapping[str, Depth | None], dead_letters: Mapping[str, Depth | None]
) -> tuple[str, str, Text]:
    depth, letters = on_sqs.get(queue), dead_letters.get(queue)
    return (
        "?" if depth is None else wording.count(depth.visible + depth.delayed),
        "?" if depth is None else wording.count(depth.in_flight),
        Text("?" if letters is None else wording.count(letters.visible), "red"),
    )


def _age(seconds: float | None) -> Text:
    style = "" if not seconds or seconds < _SLOW else "yellow" if seconds < _STUCK else "bold red"
    return Text(wording.seconds(seconds), style)


def _running(seen: Snapshot, listed: list[RunningRun]) -> Panel:
    made = _table(
        ("run", {}), ("task", {"ratio": 2}), ("worker", {"ratio": 2}), ("try", _RIGHT), ("age", _RIGHT),
        ("progress", {"min_width": _BAR_WIDTH}), ("", _RIGHT), ("left", _RIGHT), ("", {"ratio": 2}),
    )  # fmt: skip
    for run in listed:
        bar: RenderableType = "" if run.share is None else ProgressBar(1.0, run.share, width=_BAR_WIDTH)
        made.add_row(
            Text(run.id[-12:], "dim"),
            run.task,
            run.worker,
            run.attempt,
            wording.seconds(run.age),
            bar,
            "" if run.share is None else f"{100 * run.share:.0f} %",
            wording.seconds(run.left),
            Text("cancelling" if run.cancelling else run.message, "yellow" if run.cancelling else "dim"),
        )
    total = sum(queue.running for queue in seen.queues)
    more = f", {len(listed)} shown" if len(listed) < total else ""
    return _panel(f"running: {total:,}{more}", made if listed else Text("nothing", "dim"))


def _failures(listed: list[Failure]) -> Panel:
    made = _table(("run", {}), ("task", {"ratio": 1}), ("", {}), ("when (UTC)", {}), ("error", {"ratio": 3}))
    for failure in listed:
        dead = failure.state == State.DEAD
        made.add_row(
            Text(failure.id[-12:], "dim"),
            failure.task,
            Text("dead since" if dead else "again at", STYLES[State.DEAD] if dead else "yellow"),
            f"{failure.at:%m-%d %H:%M:%S}",
            failure.error,
        )
    return _panel("failures", made if listed else Text("none", "dim"))


def _processes(found: list[Member]) -> Text:
    """Who is up, and in what trouble."""
    line = Text("processes: ", "dim")
    if not found:
        line.append("none has reported", "yellow")
    for process in found:
        fine = process.condition == "running" and not process.trouble
        line.append(f"{process.kind} {process.name} ", "" if fine else "red")
        if not fine:
            line.append(f"({process.trouble or process.condition}) ", "red")
    return line


def _ticks(seen: Snapshot, listed: list[Tick]) -> Panel:
    made = _table(
        ("entry", {"ratio": 2}), ("last tick (UTC)", {}), ("its run", {}), ("next in", _RIGHT),
        ("", {"ratio": 3}),
    )  # fmt: skip
    for tick in listed:
        wait = None if tick.next is None else (tick.next - seen.at).total_seconds()
        made.add_row(
            tick.entry,
            "" if tick.last is None else f"{tick.last:%m-%d %H:%M:%S}",
            Text(tick.run, STYLES[State(tick.run)] if tick.run else ""),
            Text("overdue", "red")
            if wait is not None and wait < -_LATE
            else wording.seconds(wait and max(wait, 0)),
            Text(tick.error, "red"),
        )
    return _panel("beat", made if listed else Text("no entries: has beat ever run?", "dim"))
