"""A sweep as one document of JSON types: all that its page shows, but for maps and lists that are chosen."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from apps.backtests import selectors as backtests
from apps.backtests.engine import METRICS, SpecError, strategy_of
from apps.backtests.engine.sweep import LOW_IS_GOOD, SWEPT, space_of
from apps.backtests.engine.sweep.space import Span
from apps.backtests.models import Backtest
from apps.backtests.report import wording
from apps.backtests.sweeps import conf, selectors
from apps.backtests.sweeps.mapping import MOST, ordered
from apps.backtests.sweeps.models import Sweep
from apps.tasks.states import ENDED

#: Raised with every change that a reader of documents has to know of.
VERSION = 1

#: Metrics that tables of combinations show, besides the one that was chosen by.
COLUMNS = (
    "return_pct", "sharpe", "sortino", "max_drawdown_pct", "n_trades", "win_rate_pct", "profit_factor",
)  # fmt: skip

_PROGRESS = ("done", "total", "chunks", "chunks_done", "chunks_failed")


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a sweep and its runs in full stand."""

    status: selectors.Status
    #: States of the runs in full, by backtest.
    full: Mapping[Any, str]

    @property
    def ended(self) -> bool:
        """Whether nothing more comes of it by itself."""
        return self.status.settled and all(state in ENDED for state in self.full.values())

    def tag(self) -> str:
        """Another one with every change of how it stands."""
        parts = repr((VERSION, self.status, sorted(self.full.items())))
        return hashlib.sha256(parts.encode()).hexdigest()[:32]


def standing_of(sweep: Sweep) -> Standing:
    """How it stands, in a few light queries."""
    status = selectors.statuses([sweep])[sweep.pk]
    if status.settled and sweep.finished_at is None:
        # It was judged between the two questions.
        sweep.refresh_from_db()
        status = selectors.statuses([sweep])[sweep.pk]
    picked = list(Backtest.objects.filter(picked__sweep=sweep))
    return Standing(
        status=status, full={pk: str(one.state) for pk, one in backtests.statuses(picked).items()}
    )


def title_of(sweep: Sweep) -> str:
    """What is tried."""
    strategy = wording.strategy(sweep.spec)
    return f"Sweep of {strategy.get('title') or strategy['name']}"


def about(sweep: Sweep) -> str:
    """On what."""
    where = ", ".join(sweep.instruments)
    return f"{where} {sweep.timeframe}, {sweep.start:%Y-%m-%d %H:%M} to {sweep.end:%Y-%m-%d %H:%M}"


def sweep_document(sweep: Sweep, standing: Standing) -> dict[str, Any]:
    """The sweep as it stands. Times are in ms since 1970 UTC, percent as percent.

    - ``kind`` is ``sweep``, ``version`` is `VERSION`; ``title``, ``about``, ``notes``; ``state``, ``ended``,
      ``error`` and ``progress``, as the parts of `selectors.Status`.
    - ``swept``: what was tried of each parameter: ``name``, ``values`` (text), ``count`` (of values; None:
      without end), ``places`` (the values in order; None where there are too many to be drawn one by one,
      or not all are tried); ``fixed``: the other parameters; ``facts``: names and values; ``settings``: see
      `wording.settings`.
    - ``metric``; ``metrics``: those to choose from, with ``name``, ``label``, ``unit``, ``definition`` and
      ``low_is_good``; ``columns``: names of those that tables show.
    - ``best``: ``rank``, ``number``, ``params``, ``metrics``, ``deflated`` (see ``overfit``), and of the run
      in full ``url`` (None while it has no result) and ``state`` (None where none was asked for).
    - ``overfit`` and ``walk``: see `judging`; None before the end, and where there are none.
    """
    summary, status = sweep.summary or {}, standing.status
    overfit = summary.get("overfit")
    judged = {row["number"]: row["deflated"] for row in overfit["best"]} if overfit else {}
    rules = _rules(sweep)
    order, places = _order(sweep, rules), _places(sweep, rules)
    return {
        "kind": "sweep",
        "version": VERSION,
        "title": title_of(sweep),
        "about": about(sweep),
        "notes": selectors.notes_of(sweep),
        "state": str(status.state),
        "ended": standing.ended,
        "error": status.error,
        "progress": {name: getattr(status, name) for name in _PROGRESS},
        "swept": [
            {"name": name, "places": places.get(name), **_tried(sweep.space[name], rules.get(name, {}))}
            for name in order
            if name in sweep.space
        ],
        "fixed": {name: sweep.spec["params"][name] for name in order if name not in sweep.space},
        "facts": _facts(sweep),
        "settings": [part for part in wording.settings(sweep.spec) if part["group"] != "Parameters"],
        "metric": sweep.metric,
        "metrics": _metrics(),
        "columns": list(dict.fromkeys((sweep.metric, *COLUMNS))),
        "best": [
            {
                **{name: row[name] for name in ("rank", "number", "params", "metrics")},
                "deflated": judged.get(row["number"]),
                **_full(row["backtest"], standing),
            }
            for row in selectors.best_so_far(sweep)
        ],
        "overfit": overfit,
        "walk": summary.get("walk_forward"),
    }


def _full(backtest: Any, standing: Standing) -> dict[str, Any]:
    state = standing.full.get(backtest)
    url = reverse("backtest-report", args=[backtest]) if state == "succeeded" else None
    return {"url": url, "state": state}


def _rules(sweep: Sweep) -> Mapping[str, Any]:
    """What the strategy says of each parameter; nothing where there is no such strategy any more."""
    try:
        rules: Mapping[str, Any] = strategy_of(sweep.spec["strategy"]).schema["properties"]
    except SpecError:
        return {}
    return rules


def _order(sweep: Sweep, rules: Mapping[str, Any]) -> list[str]:
    """The parameters as the strategy lists them; others, by the alphabet, behind."""
    names, listed = sorted(sweep.spec["params"]), list(rules)
    return sorted(names, key=lambda name: listed.index(name) if name in listed else len(listed))


def _tried(given: Any, rule: Mapping[str, Any]) -> dict[str, Any]:
    """One parameter's values in words, and how many they are; *rule* is what the strategy says of it."""
    if isinstance(given, Mapping):
        low, high, step = given["from"], given["to"], given.get("step")
        if rule.get("type") == "integer":
            low, high, step = int(low), int(high), int(step or 1)
        elif step is None:
            return {"values": f"{low} to {high}", "count": None}
        count = int((high - low) / step * (1 + 1e-12) + 1e-9) + 1
        return {"values": f"{low} to {high}{'' if step == 1 else f' in steps of {step}'}", "count": count}
    return {"values": ", ".join(map(str, given)), "count": len(given)}


def _places(sweep: Sweep, rules: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The values of the parameters of a grid, ascending, of those that have not too many."""
    if sweep.method != Sweep.Method.GRID:
        return {}
    try:
        space = space_of(sweep.space, {"properties": rules}, most=conf.max_combinations())
    except SpecError:
        return {}
    found = {
        name: sorted(values, key=ordered)
        for name, values in zip(space.names, space.values, strict=True)
        if not isinstance(values, Span)
    }
    return {name: values for name, values in found.items() if len(values) <= MOST}


def _facts(sweep: Sweep) -> list[dict[str, Any]]:
    """How it was asked for, and what became of the combinations."""
    found: list[tuple[str, Any]] = [
        ("Method", "every combination" if sweep.method == Sweep.Method.GRID else "drawn at random"),
    ]
    if sweep.method == Sweep.Method.RANDOM:
        found += [("Combinations asked for", sweep.samples), ("Seed", sweep.seed)]
    found += [
        ("Chosen by", f"{wording.label(sweep.metric)}, the {_end(sweep.metric)} first"),
        ("Combinations", sweep.combinations),
        ("Refused by the strategy", sweep.refused),
        ("The same as others", sweep.repeated),
        ("Best that are run in full", sweep.best_count),
    ]
    if sweep.walk_forward is not None:
        walk = sweep.walk_forward
        start = "from the start" if walk.get("anchored") else f"over {walk['train']}"
        step = f", every {walk['step']}" if walk.get("step") else ""
        found.append(("Walk-forward", f"chosen {start}, tested over the next {walk['test']}{step}"))
    return [{"name": name, "value": value} for name, value in found]


def _end(metric: str) -> str:
    return "lowest" if metric in LOW_IS_GOOD else "highest"


def _metrics() -> list[dict[str, Any]]:
    known = {metric.name: metric for metric in METRICS}
    return [
        {
            "name": name,
            "label": wording.label(name),
            "unit": known[name].unit,
            "definition": known[name].definition,
            "low_is_good": name in LOW_IS_GOOD,
        }
        for name in SWEPT
    ]


def sweep_page_of(backtest: Backtest) -> str | None:
    """The page of the sweep that asked for this backtest; None where nothing but its owner did."""
    pick = getattr(backtest, "picked", None)
    return None if pick is None else reverse("sweep-report", args=[pick.sweep_id])
