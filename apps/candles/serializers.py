"""What the API of backfills takes and gives."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.candles.models import Backfill
from apps.candles.selectors import BackfillState, BackfillStatus
from apps.core.serializers import MomentField, StrictSerializer, utc


class BackfillRequestSerializer(StrictSerializer):
    """The body of ``POST /backfills``. What may be asked for is up to `services.backfill_request`."""

    instrument = serializers.CharField(help_text="As `binance:BTC/USDT`; it need not be known here yet.")
    start = MomentField(help_text="Minutes that open at this moment or later.")
    end = MomentField(help_text="Minutes that open before this moment, which must not be in the future.")


class BackfillErrorSerializer(serializers.Serializer[Any]):
    """The last error of one of the backfill's tasks."""

    run = serializers.UUIDField(source="run_id")
    state = serializers.CharField(help_text="The task's state: `dead`, or one that will be tried again.")
    start = serializers.DateTimeField(allow_null=True)
    end = serializers.DateTimeField(allow_null=True)
    type = serializers.CharField()
    message = serializers.CharField()


class BackfillSerializer(serializers.ModelSerializer[Backfill]):
    """One backfill and how far it has come. Takes its status from the context ``status``."""

    instrument = serializers.CharField(source="text")
    state = serializers.SerializerMethodField()
    progress = serializers.SerializerMethodField(help_text="0 to 1.")
    chunks_total = serializers.SerializerMethodField(help_text="Null until the chunks are planned.")
    chunks_done = serializers.SerializerMethodField()
    rows = serializers.SerializerMethodField(help_text="Minutes stored by the chunks that are done.")
    quarantined = serializers.SerializerMethodField(help_text="Rows of the exchange that are in quarantine.")
    not_served = serializers.SerializerMethodField(
        help_text="Minutes that the exchange served no more when it was asked."
    )
    eta = serializers.SerializerMethodField(help_text="When it is done at this pace; null: unknown.")
    errors = serializers.SerializerMethodField()  # type: ignore[assignment]
    url = serializers.SerializerMethodField(help_text="Ask here again to see how it goes on.")

    class Meta:
        model = Backfill
        fields = [
            "id", "instrument", "start", "end", "requested_by", "created_at", "state", "progress",
            "chunks_total", "chunks_done", "rows", "quarantined", "not_served", "eta", "errors", "url",
        ]  # fmt: skip
        read_only_fields = fields

    @property
    def _status(self) -> BackfillStatus:
        status: BackfillStatus = self.context["status"]
        return status

    @extend_schema_field(serializers.ChoiceField(choices=BackfillState.choices))
    def get_state(self, backfill: Backfill) -> str:
        return self._status.state.value

    def get_progress(self, backfill: Backfill) -> float:
        return self._status.progress

    def get_chunks_total(self, backfill: Backfill) -> int | None:
        return self._status.chunks_total

    def get_chunks_done(self, backfill: Backfill) -> int:
        return self._status.chunks_done

    def get_rows(self, backfill: Backfill) -> int:
        return self._status.rows

    def get_quarantined(self, backfill: Backfill) -> int:
        return self._status.quarantined

    def get_not_served(self, backfill: Backfill) -> int:
        return self._status.not_served

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_eta(self, backfill: Backfill) -> str | None:
        eta = self._status.eta
        return utc(eta) if eta else None

    @extend_schema_field(BackfillErrorSerializer(many=True))
    def get_errors(self, backfill: Backfill) -> Any:
        return BackfillErrorSerializer(self._status.errors, many=True).data

    @extend_schema_field(serializers.URLField())
    def get_url(self, backfill: Backfill) -> str:
        url: str = self.context["url"]
        return url
