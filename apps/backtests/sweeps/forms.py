"""What the API of sweeps takes."""

from __future__ import annotations

import re
from typing import Any

from rest_framework import serializers

from apps.backtests.api.asked import BacktestRequestSerializer
from apps.backtests.api.forms import Form
from apps.backtests.models import Backtest
from apps.backtests.sweeps.asking import METRICS, MOST_BEST
from apps.backtests.sweeps.models import Sweep
from apps.core.paging import PageQuerySerializer
from apps.core.serializers import StrictSerializer

#: What of a body only sweeps have.
_OWN = ("space", "method", "samples", "seed", "metric", "best", "walk_forward")
#: What to do about missing minutes: no candles are fetched for a sweep.
MISSING = [choice for choice in Backtest.Missing.choices if choice[0] != Backtest.Missing.FETCH]
#: Rows of combinations that are answered in JSON unless told otherwise.
ROWS = 100
_CONDITION = re.compile(r"\s*([\w.]{1,60})\s*(<=|>=|!=|<|>|=)\s*(\S{1,60})\s*")


class SweepRequestSerializer(BacktestRequestSerializer):
    """The body of ``POST /sweeps``: that of a backtest, whose ``params`` are the fixed ones, and the space.

    A sweep fetches no candles. What each part may be is up to `requesting.sweep_request`.
    """

    missing = serializers.ChoiceField(
        choices=MISSING,
        default=Backtest.Missing.REFUSE,
        help_text=(
            "Where minutes of the range are missing without a known cause: `refuse` (409, with the gaps), or"
            " `ignore` them and run on what is there. A sweep fetches nothing."
        ),
    )
    space = serializers.JSONField(
        help_text="What to try for each parameter: a list of values, or an object with from, to and step."
    )
    method = serializers.ChoiceField(choices=Sweep.Method.choices, default=Sweep.Method.GRID)
    samples = serializers.IntegerField(
        required=False, allow_null=True, help_text="How many combinations a random sweep draws."
    )
    seed = serializers.IntegerField(
        required=False, allow_null=True, help_text="The same seed draws the same; 0 unless given."
    )
    metric = serializers.CharField(default="sharpe", help_text=f"One of {', '.join(METRICS)}.")
    best = serializers.IntegerField(
        default=10, help_text=f"How many of the best are run in full: up to {MOST_BEST}."
    )
    walk_forward = serializers.JSONField(
        required=False,
        allow_null=True,
        help_text="train and test (as 180d), step (test unless given), anchored (false).",
    )

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        for name in ("title", "labels"):
            del fields[name]
        return fields

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of `requesting.sweep_request` that the body gives."""
        given = super().arguments()
        spec = given["spec"]
        return {**given, **{name: spec.pop(name) for name in _OWN if name in spec}}


class SweepListQuerySerializer(PageQuerySerializer):
    """The query parameters of ``GET /sweeps``."""


class CombinationsQuerySerializer(StrictSerializer):
    """The query parameters of ``GET /sweeps/<id>/combinations``."""

    repeatable = frozenset({"where"})

    offset = serializers.IntegerField(min_value=0, max_value=2**31, default=0)
    limit = serializers.IntegerField(
        min_value=1,
        max_value=10_000,
        required=False,
        help_text=f"{ROWS} in JSON unless given; all in the other forms.",
    )
    sort = serializers.CharField(
        required=False,
        help_text="A column, as `sharpe` or `params.fast`; with `-` the highest first. Else by number.",
    )
    where = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        max_length=20,
        help_text="A condition, as `n_trades>=30` or `params.fast=10`; several have all to hold.",
    )
    format = serializers.ChoiceField(
        choices=[(form.value, form.name) for form in Form],
        required=False,
        help_text="Without it, what `Accept` asks for.",
    )

    def validate_where(self, value: list[str]) -> list[tuple[str, str, str]]:
        """Column, operator and value of each condition."""
        found = []
        for text in value:
            parts = _CONDITION.fullmatch(text)
            if parts is None:
                raise serializers.ValidationError(f"{text!r} is no condition as n_trades>=30.")
            found.append((parts[1], parts[2], parts[3]))
        return found


class HeatmapQuerySerializer(StrictSerializer):
    """The query parameters of ``GET /sweeps/<id>/heatmap``."""

    x = serializers.CharField(help_text="A swept parameter.")
    y = serializers.CharField(required=False, help_text="Another one; without it there is one row of values.")
    metric = serializers.CharField(required=False, help_text="The sweep's unless given.")
    reduce = serializers.ChoiceField(
        choices=["max", "mean"],
        default="max",
        help_text="Of combinations that differ in other parameters: the best, or the mean.",
    )
