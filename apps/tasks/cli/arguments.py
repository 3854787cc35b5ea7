"""Options that say which runs are meant."""

from __future__ import annotations

import argparse
import re
import uuid
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from apps.tasks.filters import RunFilter
from apps.tasks.states import State

_RELATIVE = re.compile(r"\+?(?P<number>\d+(?:\.\d+)?)(?P<unit>[smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def run_id(text: str) -> uuid.UUID:
    """The id of a run or a batch."""
    try:
        return uuid.UUID(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no id") from None


def past(text: str) -> datetime:
    """A moment: ISO 8601, or so long ago (``90s``, ``15m``, ``2h``, ``7d``)."""
    return _moment(text, -1)


def future(text: str) -> datetime:
    """A moment: ISO 8601, or in so long (``90s``, ``15m``, ``2h``, ``7d``)."""
    return _moment(text, 1)


def _moment(text: str, direction: int) -> datetime:
    if found := _RELATIVE.fullmatch(text):
        return timezone.now() + direction * timedelta(**{_UNITS[found["unit"]]: float(found["number"])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither ISO 8601 nor like 15m or 2h") from None
    return moment if moment.utcoffset() is not None else timezone.make_aware(moment)


def positive(text: str) -> int:
    """A number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1")
    return int(text)


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Add an option for every condition of a `RunFilter`."""
    group = parser.add_argument_group(
        "which runs", "All conditions must hold; of an option that is given several times, any value."
    )
    group.add_argument("--state", action="append", choices=State.values, default=[], metavar="STATE")
    for name, what in (
        ("task", "a task's name"),
        ("queue", "a queue"),
        ("worker", "the last worker"),
        ("error-type", "the type of the last error, as ValueError"),
    ):
        group.add_argument(f"--{name}", action="append", default=[], help=what)
    for name, what in (
        ("error", "part of the last error's message"),
        ("group-key", "how the group key begins"),
        ("unique-key", "how the unique key begins"),
        ("correlation", "the first cause"),
        ("search", "an id, a task's name, or how a key begins"),
    ):
        group.add_argument(f"--{name}", default="", metavar="TEXT", help=what)
    group.add_argument("--batch", type=run_id, metavar="BATCH", help="the batch that they belong to")
    group.add_argument(
        "--needs-review", action="store_true", help="dead because they must not be repeated unseen"
    )
    for name in ("requested", "finished"):
        group.add_argument(
            f"--{name}-since", type=past, metavar="WHEN", help="ISO 8601, or so long ago: 15m, 2h, 7d"
        )
        group.add_argument(f"--{name}-until", type=past, metavar="WHEN")


def selection_of(options: dict[str, Any]) -> RunFilter:
    """The filter that the options make."""
    return RunFilter(
        states=tuple(options["state"]),
        tasks=tuple(options["task"]),
        queues=tuple(options["queue"]),
        workers=tuple(options["worker"]),
        error_types=tuple(options["error_type"]),
        error_text=options["error"],
        group_key=options["group_key"],
        unique_key=options["unique_key"],
        correlation_id=options["correlation"],
        search=options["search"],
        batch_id=options["batch"],
        requested_since=options["requested_since"],
        requested_until=options["requested_until"],
        finished_since=options["finished_since"],
        finished_until=options["finished_until"],
        needs_review=options["needs_review"],
        ids=tuple(options.get("ids") or ()),
    )
