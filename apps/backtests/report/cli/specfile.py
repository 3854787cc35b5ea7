"""SPEC.json: a specification and, optionally, what to run it on."""

from __future__ import annotations

import json
from argparse import ArgumentTypeError
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from apps.backtests.engine import Spec, SpecError
from apps.backtests.report.cli.places import place
from apps.candles.cli import arguments

_STRATEGIES = (".strategy", ".json")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a file, and the command line over it, ask for; None and () where neither says anything.

    *files* are those that it was read from.
    """

    spec: Spec
    instruments: tuple[str, ...]
    timeframe: str | None
    start: datetime | None
    end: datetime | None
    files: tuple[Path, ...]


def read(path: Path, options: Mapping[str, Any]) -> Asked:
    """The specification of a file, and what to run it on by the file and, before it, by *options*.

    Raises CommandError, which names the file and, where there is one, line, column and field.
    """
    text = _text(path)
    values = _decoded(path, text)
    if not isinstance(values, dict):
        raise CommandError(f"{path}: expected an object", returncode=arguments.WRONG)

    def wrong(field: str, message: str, *, file: Path = path) -> CommandError:
        where = place(text, field) if file == path else None
        position = f":{where[0]}:{where[1]}" if where else ""
        return CommandError(f"{file}{position}: {field} {message}", returncode=arguments.WRONG)

    asked = {
        name: values.pop(name, None) for name in ("instrument", "instruments", "timeframe", "start", "end")
    }
    strategy_file = path
    named = values.get("strategy")
    if isinstance(named, str) and named.endswith(_STRATEGIES) and (path.parent / named).is_file():
        strategy_file = path.parent / named
        content = _text(strategy_file)
        values["strategy"] = _decoded(strategy_file, content) if named.endswith(".json") else f"{content}\n"
    try:
        spec = Spec.from_dict(values)
    except SpecError as exc:
        in_file = exc.field.partition(".")[0] == "strategy"
        raise wrong(exc.field, exc.message, file=strategy_file if in_file else path) from None
    start, end = (options[name] or _moment(asked[name], name, wrong) for name in ("start", "end"))
    if start and end and start >= end:
        raise CommandError("start: it is not before the end", returncode=arguments.WRONG)
    timeframe = options["timeframe"] or asked["timeframe"]
    if timeframe is not None and not isinstance(timeframe, str):
        raise wrong("timeframe", "must be text")
    return Asked(
        spec=spec,
        instruments=tuple(options["instrument"] or _instruments(asked, wrong)),
        timeframe=timeframe,
        start=start,
        end=end,
        files=(path, strategy_file),
    )


def _instruments(asked: Mapping[str, Any], wrong: Callable[[str, str], CommandError]) -> list[str]:
    one, several = asked["instrument"], asked["instruments"]
    if one is not None and several is not None:
        raise wrong("instruments", "cannot stand beside instrument")
    if several is None:
        if one is not None and not isinstance(one, str):
            raise wrong("instrument", "must be text")
        return [] if one is None else [one]
    if not isinstance(several, list) or not several or not all(isinstance(each, str) for each in several):
        raise wrong("instruments", "must be a list of texts")
    return list(dict.fromkeys(several))


def _moment(value: Any, field: str, wrong: Callable[[str, str], CommandError]) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise wrong(field, "must be text")
    try:
        return arguments.moment(value)
    except ArgumentTypeError as exc:
        raise wrong(field, f"is not a time: {exc}") from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise CommandError(f"{path}: {exc}", returncode=arguments.WRONG) from None


def _decoded(path: Path, text: str) -> Any:
    def refused(name: str) -> None:
        raise ValueError(f"{name} is no number of JSON")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            raise ValueError("a name stands twice in one object")
        return made

    try:
        return json.loads(text, parse_constant=refused, object_pairs_hook=once)
    except json.JSONDecodeError as exc:
        message = f"{path}:{exc.lineno}:{exc.colno}: no JSON: {exc.msg}"
    except ValueError as exc:
        message = f"{path}: {exc}"
    except RecursionError:
        message = f"{path}: too deeply nested"
    raise CommandError(message, returncode=arguments.WRONG)
