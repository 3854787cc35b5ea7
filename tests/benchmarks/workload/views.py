"""What a project without the product would have: the same rows, as Django and DRF answer them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tests.benchmarks.workload.models import Signal

_NAMES = ("ts", "open", "high", "low", "close", "volume")
_QUERY = """
    SELECT (extract(epoch FROM ts) * 1000)::bigint, open / 10::float8 ^ price_scale,
           high / 10::float8 ^ price_scale, low / 10::float8 ^ price_scale,
           close / 10::float8 ^ price_scale, volume / 10::float8 ^ volume_scale
    FROM {table}
    JOIN candles_instrument ON candles_instrument.id = instrument_id
    WHERE exchange = %s AND symbol = %s AND ts >= %s AND ts < %s
    ORDER BY ts
"""


def _rows(table: str, parameters: Any) -> list[tuple[Any, ...]]:
    exchange, _, symbol = parameters["instrument"].partition(":")
    times = [datetime.fromtimestamp(int(parameters[name]) / 1000, UTC) for name in ("start", "end")]
    with connection.cursor() as cursor:
        cursor.execute(_QUERY.format(table=table), [exchange, symbol, *times])
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


class MinuteList(APIView):
    """Minutes as a list of objects."""

    authentication_classes: list[Any] = []
    permission_classes = [AllowAny]

    def get(self, request: Request) -> Response:
        rows = _rows("candle_1m", request.query_params)
        return Response([dict(zip(_NAMES, row, strict=True)) for row in rows])


def hours(request: HttpRequest) -> JsonResponse:
    """Hours as columns."""
    columns = zip(*_rows("candle_1h", request.GET), strict=True)
    return JsonResponse(dict(zip(_NAMES, columns, strict=True)))


@csrf_exempt
def signals(request: HttpRequest) -> JsonResponse:
    """Take a signal: one INSERT."""
    taken = Signal.objects.create(body=json.loads(request.body))
    return JsonResponse({"id": taken.pk}, status=202)
