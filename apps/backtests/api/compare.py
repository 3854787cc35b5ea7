"""Backtests side by side, over HTTP."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from apps.backtests import selectors
from apps.backtests.api.asked import CompareQuerySerializer
from apps.backtests.api.finding import shown, still_there
from apps.backtests.api.shown import BacktestSummarySerializer, ComparisonSerializer
from apps.backtests.comparing import compared
from apps.core.api import PROBLEM
from apps.core.problems import Conflict
from apps.core.views import ApiView


class BacktestCompare(ApiView):
    """Two backtests or more."""

    @extend_schema(
        operation_id="backtests_compare",
        summary="Metrics and equity of backtests side by side",
        parameters=[CompareQuerySerializer],
        responses={200: ComparisonSerializer, 400: PROBLEM, 404: PROBLEM, 409: PROBLEM},
        description=(
            "Metrics side by side, settings that differ, equity as growth of 1 over the time that all of them"
            " cover, and correlation. 409 while one has no result."
        ),
    )
    def get(self, request: Request) -> Response:
        query = CompareQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        ids = query.validated_data["ids"]
        visible = selectors.with_results(selectors.backtests(user=request.user))
        found = {one.pk: one for one in visible.filter(pk__in=ids)}
        for pk in ids:
            if pk not in found:
                raise NotFound(f"There is no backtest {pk} of yours.")
        backtests = [found[pk] for pk in ids]
        for one in backtests:
            if one.result is None:
                raise Conflict(f"Backtest {one.pk} has no result yet.")
        with still_there():
            found_out = compared(backtests, points=query.validated_data["points"])
        return Response({"backtests": shown(request, backtests, BacktestSummarySerializer), **found_out})
