"""What the schema says of bars and uploads."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    PolymorphicProxySerializer,
    inline_serializer,
)
from rest_framework import serializers

from apps.candles.api.forms import MEDIA_TYPES
from apps.candles.api.query import CandleQuerySerializer
from apps.candles.api.uploads import UPLOAD_TYPES, UploadQuerySerializer
from apps.candles.quality import Reason
from apps.core.api import PROBLEM

_FORMING: dict[str, Any] = {
    "help_text": "Whether the last bar may still change because its minutes are not all there yet."
}
_NEXT: dict[str, Any] = {
    "allow_null": True,
    "help_text": "Open time (ms) of the first bar that `limit` left out: the `start` of the next page.",
}


class CandleColumnsSerializer(serializers.Serializer[Any]):
    """Bars as columns of equal length."""

    ts = serializers.ListField(child=serializers.IntegerField(), help_text="Open times in milliseconds.")
    open = serializers.ListField(child=serializers.FloatField())
    high = serializers.ListField(child=serializers.FloatField())
    low = serializers.ListField(child=serializers.FloatField())
    close = serializers.ListField(child=serializers.FloatField())
    volume = serializers.ListField(child=serializers.FloatField(), help_text="In the base currency.")


class CandleBareRowsSerializer(serializers.Serializer[Any]):
    """Bars as rows."""

    rows = serializers.ListField(
        child=serializers.ListField(child=serializers.FloatField()),
        help_text="Of each bar its open time in milliseconds, open, high, low, close and volume.",
    )


class _Rows(CandleBareRowsSerializer):
    columns = serializers.ListField(child=serializers.CharField(), help_text="What a row holds.")


class _Range(serializers.Serializer[Any]):
    timeframe = serializers.CharField()
    start = serializers.DateTimeField(
        allow_null=True, help_text="As asked for; else where the first of these bars opens, null without any."
    )
    end = serializers.DateTimeField(help_text="As asked for; else the end of the bucket that now lies in.")
    count = serializers.IntegerField(help_text="Bars in this answer.")


class _One(serializers.Serializer[Any]):
    instrument = serializers.CharField()


class CandlesSerializer(CandleColumnsSerializer, _Range, _One):
    """Bars of one instrument as columns of equal length, in order of time."""

    forming = serializers.BooleanField(**_FORMING)
    next = serializers.IntegerField(**_NEXT)


class CandleRowsSerializer(_Rows, _Range, _One):
    """Bars of one instrument as rows, in order of time."""

    forming = serializers.BooleanField(**_FORMING)
    next = serializers.IntegerField(**_NEXT)


class _Series(_One):
    count = serializers.IntegerField()
    forming = serializers.BooleanField(**_FORMING)


class CandleSeriesColumnsSerializer(CandleColumnsSerializer, _Series):
    """One of several instruments, as columns."""


class CandleSeriesRowsSerializer(_Rows, _Series):
    """One of several instruments, as rows."""


class ManyCandlesSerializer(_Range):
    """Bars of several instruments, in the order in which they were named."""

    next = serializers.IntegerField(**_NEXT)
    series = CandleSeriesColumnsSerializer(many=True)


class ManyCandleRowsSerializer(_Range):
    """Bars of several instruments as rows."""

    next = serializers.IntegerField(**_NEXT)
    series = CandleSeriesRowsSerializer(many=True)


_ANSWER = PolymorphicProxySerializer(
    component_name="CandlesAnswer",
    serializers=[
        CandlesSerializer, CandleRowsSerializer, ManyCandlesSerializer, ManyCandleRowsSerializer,
    ],
    resource_type_field_name=None,
)  # fmt: skip

CANDLES: dict[str, Any] = {
    "operation_id": "candles_list",
    "parameters": [
        CandleQuerySerializer,
        OpenApiParameter(
            "If-None-Match", str, OpenApiParameter.HEADER, description="The `ETag` of what the client has."
        ),
        OpenApiParameter(
            "ETag", str, OpenApiParameter.HEADER, response=[200, 304],
            description=(
                "Weak. Changes with the stored minutes of the months that the range touches, and for a range"
                " up to now with the bucket that now lies in."
            ),
        ),
        OpenApiParameter(
            "Candles-Forming", str, OpenApiParameter.HEADER, response=[200],
            description="The instruments whose last bar is forming, percent-encoded, with commas between.",
        ),
        OpenApiParameter(
            "Candles-Next", int, OpenApiParameter.HEADER, response=[200],
            description="`next`, where there is more.",
        ),
    ],
    "responses": {
        (200, "application/json"): _ANSWER,
        **{(200, name): OpenApiTypes.BINARY for name in MEDIA_TYPES if name != "application/json"},
        304: OpenApiResponse(description="The client has it: nothing changed since that `ETag`."),
        400: PROBLEM,
        406: PROBLEM,
    },
    "description": (
        "The bars that open in [start, end), oldest first. Bars are whole whatever the range; the newest"
        " holds what is stored so far and is `forming` until its bucket has ended and its last minute is"
        " stored, or is still missing 2 minutes later (CANDLES_SETTLE_SECONDS). Buckets without trades have"
        " no bar. Moments are ISO 8601 with Z or an offset, or milliseconds.\n\n"
        "One answer holds up to 10,000 bars in JSON (CANDLES_MAX_BARS) and up to 600,000 in the other forms"
        " (CANDLES_MAX_FILE_BARS), over all its instruments. JSON and CSV are compressed for clients that"
        " accept gzip. With several instruments, each page ends for all at the same time: `next` leaves none"
        " out. CSV and Arrow have a column `instrument` before the others; in Arrow, `ts` is a timestamp."
    ),
}  # fmt: skip

_SENT = PolymorphicProxySerializer(
    component_name="CandlesSent",
    serializers=[CandleColumnsSerializer, CandleBareRowsSerializer],
    resource_type_field_name=None,
)

UPLOAD: dict[str, Any] = {
    "operation_id": "candles_upload",
    "parameters": [UploadQuerySerializer],
    "request": {name: _SENT if name == "application/json" else OpenApiTypes.BINARY for name in UPLOAD_TYPES},
    "responses": {
        200: inline_serializer(
            "CandleUpload",
            {
                "instrument": serializers.CharField(),
                "dry_run": serializers.BooleanField(),
                "rows": serializers.IntegerField(help_text="Rows in the body."),
                "inserted": serializers.IntegerField(),
                "updated": serializers.IntegerField(),
                "unchanged": serializers.IntegerField(),
                "rejected": serializers.IntegerField(),
                "rejects": inline_serializer(
                    "CandleReject",
                    {
                        "place": serializers.IntegerField(help_text="Of the row in the body, from 0."),
                        "ts": serializers.IntegerField(allow_null=True),
                        "reason": serializers.ChoiceField(choices=[(one.value, one.name) for one in Reason]),
                        "message": serializers.CharField(),
                    },
                    many=True,
                    help_text="The first 100 of them.",
                ),
            },
        ),
        400: PROBLEM,
        413: PROBLEM,
        415: PROBLEM,
    },
    "description": (
        "Store minutes of one instrument that is known here: whatever is there already is replaced. Each row"
        " is judged like an exchange's: the sound ones are stored, all at once, and the others are not, with"
        " the reason. Values with more decimals than the instrument has raise its scale.\n\n"
        "The body is JSON (the columns or rows that `GET` gives), CSV with a header, an Arrow stream, Parquet"
        " or npz; times are milliseconds in JSON and whatever is told from the values elsewhere. Up to 32 MB"
        " (CANDLES_MAX_UPLOAD_MB) and 200,000 rows (CANDLES_MAX_UPLOAD_ROWS): more comes in pieces."
    ),
}
