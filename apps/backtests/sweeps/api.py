"""Sweeps over HTTP."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from apps.backtests.api.finding import body_of, refused, still_there
from apps.backtests.api.forms import Form, as_file, as_json, wanted_form
from apps.backtests.api.results import ResultView
from apps.backtests.api.shown import MissingCandlesSerializer
from apps.backtests.api.views import key_of, missing_candles
from apps.backtests.asking import InvalidBacktest
from apps.backtests.engine.sweep import LOW_IS_GOOD, SWEPT
from apps.backtests.lacking import MissingCandles
from apps.backtests.requesting import KeyReused
from apps.backtests.sweeps import selectors
from apps.backtests.sweeps.ending import Ended, sweep_cancel, sweep_delete
from apps.backtests.sweeps.forms import (
    ROWS,
    CombinationsQuerySerializer,
    HeatmapQuerySerializer,
    SweepListQuerySerializer,
    SweepRequestSerializer,
)
from apps.backtests.sweeps.mapping import map_of
from apps.backtests.sweeps.models import Sweep
from apps.backtests.sweeps.reading import Found, found_of
from apps.backtests.sweeps.requesting import sweep_request
from apps.backtests.sweeps.shown import (
    CombinationPageSerializer,
    HeatmapSerializer,
    SweepSerializer,
    SweepSummarySerializer,
)
from apps.core.api import PAGES, PROBLEM, check_operable, key_schema, replayed
from apps.core.clients import actor_of
from apps.core.paging import followed, newest
from apps.core.problems import CONTENT_TYPE, Conflict, IdempotencyKeyReused
from apps.core.views import ApiView

#: What the admin asks for, too, before it cancels and deletes.
OPERATE = "backtests.change_sweep"

_COMPARE = {
    "=": pc.equal, "!=": pc.not_equal, "<": pc.less, "<=": pc.less_equal, ">": pc.greater,
    ">=": pc.greater_equal,
}  # fmt: skip


class SweepList(ApiView):
    """Where sweeps are asked for."""

    # A key is kept as long as its sweep.
    keeps_answers = False

    @extend_schema(
        operation_id="sweeps_create",
        parameters=[
            OpenApiParameter(
                "Idempotency-Key",
                key_schema(),
                OpenApiParameter.HEADER,
                description=(
                    "Up to 255 printable characters. The same key with the same body gives the same sweep"
                    " again, as long as it is there; with another body it is refused."
                ),
            )
        ],
        request=SweepRequestSerializer,
        responses={
            202: SweepSerializer,
            400: PROBLEM,
            (409, CONTENT_TYPE): MissingCandlesSerializer,
            413: PROBLEM,
        },
        description=(
            "Try a strategy with many parameters, in the background: every combination of `space`, or"
            " `samples` that are drawn. All is checked before anything is queued. The best are run in full"
            " at the end, as backtests. 409 is the problem `missing-candles`, which lists gaps, or"
            " `idempotency-key-reused`."
        ),
    )
    def post(self, request: Request) -> Response:
        given = body_of(request)
        body = SweepRequestSerializer(data=given)
        body.is_valid(raise_exception=True)
        assert request.user.is_authenticated
        try:
            sweep = sweep_request(owner_id=request.user.pk, key=key_of(request, given), **body.arguments())
        except InvalidBacktest as exc:
            return refused(exc)
        except KeyReused as exc:
            raise IdempotencyKeyReused(str(exc)) from None
        except MissingCandles as exc:
            return missing_candles(exc)
        answer = _one(request, sweep)
        response = Response(answer, status.HTTP_202_ACCEPTED, headers={"Location": answer["url"]})
        return replayed(response, repeated=sweep.was_there)

    @extend_schema(
        operation_id="sweeps_list",
        parameters=[SweepListQuerySerializer],
        responses={200: SweepSummarySerializer(many=True), 400: PROBLEM},
        description=("Your sweeps, newest first; for staff, everybody's." + PAGES),
    )
    def get(self, request: Request) -> Response:
        query = SweepListQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        found = selectors.sweeps(user=request.user).defer("summary")
        some, following = newest(found, before=asked.get("after"), limit=asked["limit"])
        response = Response(_shown(request, some, SweepSummarySerializer))
        return followed(request, response, None if following is None else (following,))


class SweepDetail(ApiView):
    """One sweep."""

    takes_parameters = False

    def locked(self, **kwargs: Any) -> QuerySet[Any]:
        return Sweep.objects.filter(pk=kwargs["sweep_id"])

    @extend_schema(
        operation_id="sweeps_retrieve",
        summary="How a sweep stands, and the best so far",
        responses={200: SweepSerializer, 404: PROBLEM},
        description="How a sweep stands, the best so far and, at the end, how much of it may be luck.",
    )
    def get(self, request: Request, sweep_id: uuid.UUID) -> Response:
        return Response(_one(request, _own(request, sweep_id)))

    @extend_schema(
        operation_id="sweeps_destroy",
        responses={204: None, 403: PROBLEM, 404: PROBLEM},
        description=(
            "Delete a sweep with what it found. One that runs is cancelled. Its backtests stay. Of staff who"
            " are not its owner, this needs the permission to change sweeps."
        ),
    )
    def delete(self, request: Request, sweep_id: uuid.UUID) -> Response:
        sweep_delete(sweep=_operable(request, sweep_id), actor=actor_of(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class SweepCancel(ApiView):
    """Ending a sweep early."""

    @extend_schema(
        operation_id="sweeps_cancel",
        request=None,
        responses={200: SweepSerializer, 403: PROBLEM, 404: PROBLEM, 409: PROBLEM},
        description=(
            "Cancel what has not been computed. What was found stays. 409 where it has ended. Of staff who"
            " are not its owner, this needs the permission to change sweeps."
        ),
    )
    def post(self, request: Request, sweep_id: uuid.UUID) -> Response:
        sweep = _operable(request, sweep_id)
        try:
            with still_there():
                sweep_cancel(sweep=sweep, actor=actor_of(request))
        except Ended as exc:
            raise Conflict(str(exc)) from None
        return Response(_one(request, sweep))


class SweepCombinations(ResultView):
    """What a sweep has found."""

    @extend_schema(
        operation_id="sweeps_combinations",
        parameters=[CombinationsQuerySerializer],
        responses={
            (200, "application/json"): CombinationPageSerializer,
            (200, "text/csv"): OpenApiTypes.BINARY,
            (200, "application/vnd.apache.arrow.stream"): OpenApiTypes.BINARY,
            400: PROBLEM,
            404: PROBLEM,
            406: PROBLEM,
        },
        description=(
            "The combinations that are computed so far, by number or by a column: a page in JSON, all of them"
            " in CSV and as an Arrow stream, with the parameters in columns as `params.fast`. While the sweep"
            " runs, more come in between: pages move then."
        ),
    )
    def get(self, request: Request, sweep_id: uuid.UUID) -> HttpResponse:
        query = CombinationsQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        form = wanted_form(request._request, asked.get("format"))
        sweep = _own(request, sweep_id)
        found = found_of(sweep)
        table = _sorted(_filtered(found.table, asked.get("where", [])), asked.get("sort"))
        limit = asked.get("limit", ROWS if form is Form.JSON else None)
        page = table.slice(asked["offset"], limit) if len(table) else table
        if form is not Form.JSON:
            return as_file(page, form, f"sweep-{sweep.pk}")
        end = asked["offset"] + len(page)
        some = Found(table=page, params=found.params)
        return as_json(
            {
                "count": len(table),
                "computed": len(found),
                "offset": asked["offset"],
                "next": end if len(page) and end < len(table) else None,
                "combinations": some.rows(range(len(page))),
            }
        )


class SweepHeatmap(ApiView):
    """A metric by one or two parameters."""

    @extend_schema(
        operation_id="sweeps_heatmap",
        parameters=[HeatmapQuerySerializer],
        responses={200: HeatmapSerializer, 400: PROBLEM, 404: PROBLEM},
        description=(
            "A metric by one or two swept parameters, of what is computed so far; the others are reduced."
            " Where there are too many values, or too few at each place, they are put together in ranges."
        ),
    )
    def get(self, request: Request, sweep_id: uuid.UUID) -> HttpResponse:
        query = HeatmapQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        sweep, asked = _own(request, sweep_id), query.validated_data
        metric = asked.get("metric", sweep.metric)
        x, y = asked["x"], asked.get("y")
        for name in ("x", "y"):
            if asked.get(name) is not None and asked[name] not in sweep.space:
                raise ValidationError({name: [f"Not swept; these are: {', '.join(sweep.space)}."]})
        if x == y:
            raise ValidationError({"y": ["Must be another parameter than x."]})
        if metric not in SWEPT:
            raise ValidationError({"metric": [f"{metric!r} is not one of {', '.join(SWEPT)}."]})
        found = found_of(sweep)
        drawn = map_of(found, x, y, metric, reduce=asked["reduce"])
        return as_json(
            {
                "x": drawn.x.values,
                "x_ends": drawn.x.ends,
                "y": drawn.y.values if drawn.y else [],
                "y_ends": drawn.y.ends if drawn.y else None,
                "values": np.ascontiguousarray(drawn.values),
                "metric": metric,
                "reduce": asked["reduce"],
                "low_is_good": metric in LOW_IS_GOOD,
                "computed": len(found),
            }
        )


def _own(request: Request, sweep_id: uuid.UUID) -> Sweep:
    found = selectors.sweeps(user=request.user).filter(pk=sweep_id).first()
    if found is None:
        raise NotFound(f"There is no sweep {sweep_id} of yours.")
    return found


def _operable(request: Request, sweep_id: uuid.UUID) -> Sweep:
    """The sweep, if the caller may end or delete it: its owner, and staff with the admin's permission.

    Raises `NotFound` where the caller may not even see it, and `PermissionDenied`.
    """
    found = _own(request, sweep_id)
    check_operable(request, found.owner_id, OPERATE)
    return found


def _shown(
    request: Request, sweeps: Sequence[Sweep], serializer: type[SweepSummarySerializer], **context: Any
) -> list[dict[str, Any]]:
    """Sweeps with how they stand, in three queries for all of them."""
    stands = selectors.statuses(sweeps)
    answers = []
    for sweep in sweeps:
        where = {"sweep_id": sweep.pk}
        urls = {
            name: reverse(f"sweep-{name}", kwargs=where, request=request)
            for name in ("detail", "combinations", "heatmap", "report")
        }
        made = serializer(sweep, context={"status": stands[sweep.pk], "urls": urls, **context})
        answers.append(dict(made.data))
    return answers


def _one(request: Request, sweep: Sweep) -> dict[str, Any]:
    """One sweep with the best so far."""
    best = []
    for row in selectors.best_so_far(sweep):
        where = {"backtest_id": row["backtest"]}
        url = reverse("backtest-detail", kwargs=where, request=request) if row["backtest"] else None
        best.append({**row, "backtest_url": url})
    return _shown(request, [sweep], SweepSerializer, best_so_far=best)[0]


def _filtered(table: pa.Table, where: Sequence[tuple[str, str, str]]) -> pa.Table:
    """The rows that fulfil all conditions; what is undefined fulfils none."""
    for name, operator, text in where:
        if not len(table):
            return table
        if name not in table.column_names:
            raise ValidationError({"where": [_no_column(name, table)]})
        column = table[name]
        try:
            value = pa.scalar(text) if pa.types.is_string(column.type) else pa.scalar(float(text))
            table = table.filter(_COMPARE[operator](column, value))
        except ValueError:
            raise ValidationError({"where": [f"{text!r} is not a number."]}) from None
    return table


def _sorted(table: pa.Table, sort: str | None) -> pa.Table:
    """The rows in the order of a column, the undefined last and equals by number."""
    if sort is None or not len(table):
        return table
    name, down = sort.removeprefix("-"), sort.startswith("-")
    if name not in table.column_names:
        raise ValidationError({"sort": [_no_column(name, table)]})
    keys = pa.table({"value": table[name], "number": table["number"]})
    order = [("value", "descending" if down else "ascending"), ("number", "ascending")]
    return table.take(pc.sort_indices(keys, sort_keys=order))


def _no_column(name: str, table: pa.Table) -> str:
    return f"There is no column {name!r}; there are {', '.join(table.column_names)}."
