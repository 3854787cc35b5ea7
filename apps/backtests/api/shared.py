"""Backtests for whoever has the link."""

from __future__ import annotations

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from apps.backtests import sharing
from apps.backtests.api.results import CURVE_SCHEMA, TRADES_SCHEMA, ResultView, curve_answer, trades_answer
from apps.backtests.api.shown import SharedBacktestSerializer
from apps.backtests.models import Backtest
from apps.core.api import PROBLEM
from apps.core.views import ApiView


class SharedBacktest(ApiView):
    """A shared backtest."""

    takes_parameters = False
    authentication_classes = []
    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="shared_backtests_retrieve",
        responses={200: SharedBacktestSerializer, 404: PROBLEM},
        description="What was asked for and what came of it, for whoever has the link; nothing of the owner.",
    )
    def get(self, request: Request, token: str) -> Response:
        backtest = _shared(token)
        urls = {
            name: reverse(f"shared-backtest-{name}", kwargs={"token": token}, request=request)
            for name in ("trades", "equity")
        }
        response = Response(SharedBacktestSerializer(backtest, context={"urls": urls}).data)
        response["Cache-Control"] = "no-store"
        return response


class SharedTrades(ResultView):
    """The trades of a shared backtest."""

    authentication_classes = []
    permission_classes = [AllowAny]

    @extend_schema(operation_id="shared_backtests_trades", **TRADES_SCHEMA)
    def get(self, request: Request, token: str) -> HttpResponse:
        return trades_answer(request, _shared(token))


class SharedEquity(ResultView):
    """The equity curve of a shared backtest."""

    authentication_classes = []
    permission_classes = [AllowAny]

    @extend_schema(operation_id="shared_backtests_equity", **CURVE_SCHEMA)
    def get(self, request: Request, token: str) -> HttpResponse:
        return curve_answer(request, _shared(token))


def _shared(token: str) -> Backtest:
    backtest = sharing.shared(token)
    if backtest is None:
        raise NotFound("This link does not work, or does not any more.")
    return backtest
