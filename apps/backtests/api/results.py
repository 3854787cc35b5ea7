"""Trades and equity over HTTP, of own backtests and of shared ones."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request

from apps.backtests import selectors
from apps.backtests.api.asked import POINTS, TRADES, CurveQuerySerializer, TradeQuerySerializer
from apps.backtests.api.finding import own, still_there
from apps.backtests.api.forms import MEDIA_TYPES, Form, as_file, as_json, held, tag_of, tagged, wanted_form
from apps.backtests.api.shown import CurveAnswerSerializer, TradePageSerializer
from apps.backtests.engine import downsample
from apps.backtests.models import Backtest, BacktestResult
from apps.core.api import PROBLEM
from apps.core.problems import Conflict
from apps.core.views import ApiView

_TAGS = [
    OpenApiParameter(
        "If-None-Match", str, OpenApiParameter.HEADER, description="The `ETag` of what the client has."
    ),
    OpenApiParameter("ETag", str, OpenApiParameter.HEADER, response=[200, 304], description="Weak."),
]
_FILES = {(200, name): OpenApiTypes.BINARY for name in MEDIA_TYPES if name != "application/json"}
_HELD = OpenApiResponse(description="The client has it.")

TRADES_SCHEMA: dict[str, Any] = {
    "parameters": [TradeQuerySerializer, *_TAGS],
    "responses": {
        (200, "application/json"): TradePageSerializer, **_FILES, 304: _HELD, 400: PROBLEM, 404: PROBLEM,
        406: PROBLEM, 409: PROBLEM,
    },
    "description": (
        "The trades, in the order of their exits or by a column: a page in JSON, all of them in CSV and as an"
        " Arrow stream. 409 while there is no result."
    ),
}  # fmt: skip
CURVE_SCHEMA: dict[str, Any] = {
    "parameters": [CurveQuerySerializer, *_TAGS],
    "responses": {
        (200, "application/json"): CurveAnswerSerializer, **_FILES, 304: _HELD, 400: PROBLEM, 404: PROBLEM,
        406: PROBLEM, 409: PROBLEM,
    },
    "description": (
        "Equity at the close of each bar: of every bar, or down-sampled so that every peak and trough stays."
        " In CSV and Arrow, columns `ts` and `value`. 409 while there is no result."
    ),
}  # fmt: skip


class _OwnForms(BaseContentNegotiation):
    """What is rendered here is problems; trades and curves have their own forms."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return JSONRenderer(), JSONRenderer.media_type


class ResultView(ApiView):
    """A view of a part of a result."""

    content_negotiation_class = _OwnForms


class BacktestTrades(ResultView):
    """The trades of one backtest."""

    @extend_schema(operation_id="backtests_trades", **TRADES_SCHEMA)
    def get(self, request: Request, backtest_id: uuid.UUID) -> HttpResponse:
        return trades_answer(request, own(request, backtest_id))


class BacktestEquity(ResultView):
    """The equity curve of one backtest."""

    @extend_schema(operation_id="backtests_equity", **CURVE_SCHEMA)
    def get(self, request: Request, backtest_id: uuid.UUID) -> HttpResponse:
        return curve_answer(request, own(request, backtest_id))


def trades_answer(request: Request, backtest: Backtest) -> HttpResponse:
    """The trades that the query asks for."""
    query = TradeQuerySerializer(data=request.query_params)
    query.is_valid(raise_exception=True)
    asked = query.validated_data
    form = wanted_form(request._request, asked.get("format"))
    limit = asked.get("limit", TRADES if form is Form.JSON else None)
    offset, sort = asked["offset"], asked.get("sort")
    result = _result(backtest)
    tag = tag_of(result.fingerprint, "trades", form.value, offset, limit, sort, backtest.instruments)
    if (response := held(request._request, tag)) is not None:
        return response
    with still_there():
        table = selectors.trades_of(backtest)
    if sort is not None:
        table = _sorted(table, sort)
    page = table.slice(offset, limit)
    if form is not Form.JSON:
        return tagged(as_file(page, form, f"trades-{result.fingerprint[:12]}"), tag)
    end = offset + len(page)
    body = {
        "count": len(table),
        "offset": offset,
        "next": end if len(page) and end < len(table) else None,
        "trades": page.to_pylist(),
    }
    return tagged(as_json(body), tag)


def curve_answer(request: Request, backtest: Backtest) -> HttpResponse:
    """The points that the query asks for."""
    query = CurveQuerySerializer(data=request.query_params)
    query.is_valid(raise_exception=True)
    asked = query.validated_data
    form = wanted_form(request._request, asked.get("format"))
    points = asked.get("points", None if asked["full"] or form is not Form.JSON else POINTS)
    result = _result(backtest)
    tag = tag_of(result.fingerprint, "equity", form.value, points)
    if (response := held(request._request, tag)) is not None:
        return response
    with still_there():
        curve = selectors.curve_of(result)
    if points is not None:
        curve = curve.at(downsample(curve.value, points))
    if form is not Form.JSON:
        table = pa.table({"ts": curve.ts, "value": curve.value})
        return tagged(as_file(table, form, f"equity-{result.fingerprint[:12]}"), tag)
    body = {
        "count": len(curve),
        "bars": result.bars,
        "ts": curve.ts,
        "value": np.ascontiguousarray(curve.value),
    }
    return tagged(as_json(body), tag)


def _result(backtest: Backtest) -> BacktestResult:
    result: BacktestResult | None = backtest.result
    if result is None:
        raise Conflict("This backtest has no result yet.")
    return result


def _sorted(table: pa.Table, sort: str) -> pa.Table:
    column, down = sort.removeprefix("-"), sort.startswith("-")
    if column not in table.column_names:
        raise ValidationError(
            {"sort": [f"There is no column {column!r}; there are {', '.join(table.column_names)}."]}
        )
    keys = pa.table({"value": table[column], "place": np.arange(len(table))})
    order = pc.sort_indices(
        keys, sort_keys=[("value", "descending" if down else "ascending"), ("place", "ascending")]
    )
    return table.take(order)
