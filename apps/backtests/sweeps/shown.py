"""What the API of sweeps gives."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.backtests.api.shown import StandingSerializer
from apps.backtests.sweeps.models import Sweep
from apps.backtests.sweeps.selectors import Status, notes_of


class CombinationSerializer(serializers.Serializer[Any]):
    """One combination that was computed."""

    number = serializers.IntegerField()
    params = serializers.JSONField()
    metrics = serializers.DictField(
        child=serializers.FloatField(allow_null=True), help_text="By name; null where undefined."
    )


class BestSerializer(CombinationSerializer):
    """One of the best."""

    rank = serializers.IntegerField()
    backtest = serializers.UUIDField(allow_null=True, help_text="Its run in full; null before the end.")
    backtest_url = serializers.URLField(allow_null=True)


class SweepProgressSerializer(serializers.Serializer[Any]):
    """How far it is."""

    done = serializers.IntegerField(help_text="Combinations.")
    total = serializers.IntegerField()
    chunks = serializers.IntegerField()
    chunks_done = serializers.IntegerField()
    chunks_failed = serializers.IntegerField()


class SweepSummarySerializer(StandingSerializer, serializers.ModelSerializer[Sweep]):
    """One sweep without what it found. Takes ``status`` and ``urls`` from the context."""

    instruments = serializers.ListField(child=serializers.CharField())
    spec = serializers.JSONField(help_text="The complete specification, with the first combination's params.")
    space = serializers.JSONField()
    walk_forward = serializers.JSONField(allow_null=True)
    best = serializers.IntegerField(source="best_count", help_text="How many of the best are run in full.")
    exhausted = serializers.SerializerMethodField(
        help_text="Whether a random sweep found fewer combinations than it was to draw."
    )
    progress = serializers.SerializerMethodField()
    combinations_url = serializers.SerializerMethodField()
    heatmap_url = serializers.SerializerMethodField()

    class Meta:
        model = Sweep
        fields = [
            "id", "owner", "instruments", "timeframe", "start", "end", "strategy", "spec", "space", "method",
            "samples", "seed", "metric", "best", "walk_forward", "combinations", "refused", "repeated",
            "exhausted", "batch", "created_at", "finished_at", "cancelled_at", "state", "progress", "error",
            "url", "combinations_url", "heatmap_url", "report_url",
        ]  # fmt: skip
        read_only_fields = fields

    @property
    def _status(self) -> Status:
        status: Status = self.context["status"]
        return status

    def get_exhausted(self, sweep: Sweep) -> bool:
        return sweep.samples is not None and sweep.combinations < sweep.samples

    @extend_schema_field(SweepProgressSerializer())
    def get_progress(self, sweep: Sweep) -> Any:
        return SweepProgressSerializer(self._status).data

    @extend_schema_field(serializers.URLField())
    def get_combinations_url(self, sweep: Sweep) -> str:
        return str(self.context["urls"]["combinations"])

    @extend_schema_field(serializers.URLField())
    def get_heatmap_url(self, sweep: Sweep) -> str:
        return str(self.context["urls"]["heatmap"])


class SweepSerializer(SweepSummarySerializer):
    """One sweep with the best of what it found so far. Takes ``best_so_far`` from the context."""

    best_so_far = serializers.SerializerMethodField()
    overfit = serializers.SerializerMethodField(
        help_text="Deflated Sharpe ratios and the probability of backtest overfitting; null before the end."
    )
    walked = serializers.SerializerMethodField(
        help_text="The walk-forward: choices by fold, decay, the curve out of sample; null before the end."
    )
    computed = serializers.SerializerMethodField(
        help_text="Combinations that the judgement is about; null before the end."
    )
    notes = serializers.SerializerMethodField(
        help_text=(
            "What the judgement had to leave out, and why, and which runs in full are of other candles; null"
            " before the end."
        )
    )

    class Meta(SweepSummarySerializer.Meta):
        fields = [
            *SweepSummarySerializer.Meta.fields,
            "best_so_far",
            "overfit",
            "walked",
            "computed",
            "notes",
        ]
        read_only_fields = fields

    @extend_schema_field(BestSerializer(many=True))
    def get_best_so_far(self, sweep: Sweep) -> Any:
        return self.context["best_so_far"]

    @extend_schema_field(serializers.JSONField(allow_null=True))
    def get_overfit(self, sweep: Sweep) -> Any:
        return (sweep.summary or {}).get("overfit")

    @extend_schema_field(serializers.JSONField(allow_null=True))
    def get_walked(self, sweep: Sweep) -> Any:
        return (sweep.summary or {}).get("walk_forward")

    @extend_schema_field(serializers.IntegerField(allow_null=True))
    def get_computed(self, sweep: Sweep) -> Any:
        return (sweep.summary or {}).get("computed")

    @extend_schema_field(serializers.ListField(child=serializers.CharField(), allow_null=True))
    def get_notes(self, sweep: Sweep) -> Any:
        return None if sweep.summary is None else notes_of(sweep)


class CombinationPageSerializer(serializers.Serializer[Any]):
    """Some combinations that were computed."""

    count = serializers.IntegerField(help_text="Of all that fulfil the conditions.")
    computed = serializers.IntegerField(help_text="Of all, so far.")
    offset = serializers.IntegerField()
    next = serializers.IntegerField(allow_null=True, help_text="The `offset` of the next page; null: none.")
    combinations = CombinationSerializer(many=True)


class HeatmapSerializer(serializers.Serializer[Any]):
    """A metric by one or two parameters."""

    x = serializers.ListField(child=serializers.JSONField(), help_text="Values, or where ranges begin.")
    x_ends = serializers.ListField(
        child=serializers.FloatField(),
        allow_null=True,
        help_text="Where ranges end, itself left out except at the last; null where `x` has values.",
    )
    y = serializers.ListField(child=serializers.JSONField(), help_text="Likewise; empty without `y`.")
    y_ends = serializers.ListField(child=serializers.FloatField(), allow_null=True)
    values = serializers.ListField(
        child=serializers.ListField(child=serializers.FloatField(allow_null=True)),
        help_text="A row for each y, or one; null where nothing was computed.",
    )
    metric = serializers.CharField()
    reduce = serializers.CharField()
    low_is_good = serializers.BooleanField()
    computed = serializers.IntegerField()
