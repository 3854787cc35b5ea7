"""Backtests over HTTP."""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from apps.backtests import selectors, services
from apps.backtests.models import Backtest
from apps.backtests.serializers import (
    BacktestListQuerySerializer,
    BacktestRequestSerializer,
    BacktestSerializer,
    BacktestSummarySerializer,
    TradePageSerializer,
    TradeQuerySerializer,
)
from apps.core.problems import Conflict
from apps.core.views import ApiView
from apps.tasks.models import TaskRun

_PROBLEM = OpenApiResponse(description="problem+json; `errors` names each field at fault.")
_RANGE = ("instrument", "timeframe", "start", "end")


class BacktestList(ApiView):
    """Where backtests are asked for."""

    @extend_schema(
        operation_id="backtests_create",
        request=BacktestRequestSerializer,
        responses={202: BacktestSerializer, 400: _PROBLEM},
        description=(
            "Run a strategy over the bars that open in [start, end), in the background. `Location` and `url`"
            " say where to see how it goes on. Whoever asked is told by e-mail when it has finished."
        ),
    )
    def post(self, request: Request) -> Response:
        body = BacktestRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        asked = dict(body.validated_data)
        where = {name: asked.pop(name) for name in _RANGE}
        assert request.user.is_authenticated
        try:
            backtest = services.backtest_request(owner_id=request.user.pk, spec=asked, **where)
        except services.InvalidBacktest as exc:
            raise ValidationError({exc.field: [str(exc)]}) from None
        answer = _shown(request, [backtest], BacktestSerializer)[0]
        return Response(answer, status.HTTP_202_ACCEPTED, headers={"Location": answer["url"]})

    @extend_schema(
        operation_id="backtests_list",
        parameters=[BacktestListQuerySerializer],
        responses={200: BacktestSummarySerializer(many=True), 400: _PROBLEM},
        description="Your newest backtests, without their results; for staff, everybody's.",
    )
    def get(self, request: Request) -> Response:
        query = BacktestListQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        found = selectors.backtests(user=request.user)[: query.validated_data["limit"]]
        return Response(_shown(request, list(found), BacktestSummarySerializer))


class BacktestDetail(ApiView):
    """One backtest."""

    @extend_schema(
        operation_id="backtests_retrieve",
        responses={200: BacktestSerializer, 404: _PROBLEM},
        description="How a backtest stands and, once it has succeeded, its metrics, trades and equity.",
    )
    def get(self, request: Request, backtest_id: uuid.UUID) -> Response:
        return Response(_shown(request, [_found(request, backtest_id)], BacktestSerializer)[0])


class BacktestTrades(ApiView):
    """The trades of one backtest."""

    @extend_schema(
        operation_id="backtests_trades",
        parameters=[TradeQuerySerializer],
        responses={200: TradePageSerializer, 400: _PROBLEM, 404: _PROBLEM, 409: _PROBLEM},
        description="A page of the trades, in the order of their exits; 409 while there is no result.",
    )
    def get(self, request: Request, backtest_id: uuid.UUID) -> Response:
        query = TradeQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        offset, limit = query.validated_data["offset"], query.validated_data["limit"]
        result = getattr(_found(request, backtest_id), "result", None)
        if result is None:
            raise Conflict("This backtest has no result yet.")
        page = result.trades[offset : offset + limit]
        return Response({"count": len(result.trades), "offset": offset, "trades": page})


def _found(request: Request, backtest_id: uuid.UUID) -> Backtest:
    backtest = selectors.backtests(user=request.user).select_related("result").filter(pk=backtest_id).first()
    if backtest is None:
        raise NotFound(f"There is no backtest {backtest_id} of yours.")
    return backtest


def _shown(
    request: Request, backtests: list[Backtest], serializer: type[BacktestSummarySerializer]
) -> list[dict[str, Any]]:
    """Backtests with how their runs stand, in one query for all of them."""
    runs = TaskRun.objects.only("state", "progress", "error").in_bulk([b.task_run for b in backtests])
    shown = []
    for backtest in backtests:
        where = {"backtest_id": backtest.pk}
        context = {
            "run": runs.get(backtest.task_run),
            "url": reverse("backtest-detail", kwargs=where, request=request),
            "trades_url": reverse("backtest-trades", kwargs=where, request=request),
        }
        shown.append(dict(serializer(backtest, context=context).data))
    return shown
