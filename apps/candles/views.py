"""Instruments, candles and backfills over HTTP."""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.permissions import AllowAny, IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from apps.candles import selectors, services
from apps.candles.models import Backfill
from apps.candles.serializers import (
    BackfillRequestSerializer,
    BackfillSerializer,
    CandleQuerySerializer,
    CandlesSerializer,
    InstrumentListSerializer,
    InstrumentQuerySerializer,
    InstrumentSerializer,
)
from apps.candles.sources.base import VALUES, SourceError
from apps.candles.sources.timescale import TimescaleSource
from apps.core.views import ApiView

_PROBLEM = OpenApiResponse(description="problem+json; `errors` names each field at fault.")


class InstrumentList(ApiView):
    """What there are candles of."""

    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="instruments_list",
        parameters=[InstrumentQuerySerializer],
        responses={200: InstrumentListSerializer, 400: _PROBLEM},
        description="All instruments, each with its first and last stored minute.",
    )
    def get(self, request: Request) -> Response:
        query = InstrumentQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        found = list(selectors.instruments(**query.validated_data))
        spans = selectors.coverage([instrument.pk for instrument in found])
        rows = InstrumentSerializer(found, many=True, context={"coverage": spans}).data
        return Response({"count": len(rows), "instruments": rows})


class CandleList(ApiView):
    """Bars of one instrument."""

    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="candles_list",
        parameters=[CandleQuerySerializer],
        responses={200: CandlesSerializer, 400: _PROBLEM},
        description=(
            "The bars that open in [start, end), oldest first, as columns. At most 10,000 bars may lie in"
            " the range. Bars are whole whatever the range; the newest holds what is stored so far. Minutes"
            " without trades have no bar. Moments are ISO 8601 with Z or an offset, or milliseconds."
        ),
    )
    def get(self, request: Request) -> Response:
        query = CandleQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        try:
            candles = TimescaleSource().load(**asked)
        except SourceError as exc:
            raise ValidationError({exc.field: [str(exc)]}) from None
        columns = {name: getattr(candles, name).tolist() for name in ("ts", *VALUES)}
        return Response({**asked, "count": len(candles), **columns})


class BackfillList(ApiView):
    """Where backfills are asked for."""

    permission_classes = [IsAdminUser]

    @extend_schema(
        operation_id="backfills_create",
        request=BackfillRequestSerializer,
        responses={202: BackfillSerializer, 400: _PROBLEM},
        description=(
            "Fetch an instrument's minutes that open in [start, end) from its exchange, in the background."
            " `Location` and `url` say where to see how it goes on. At most 400 days at once."
        ),
    )
    def post(self, request: Request) -> Response:
        body = BackfillRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            backfill = services.backfill_request(
                instrument_id_text=body.validated_data["instrument"],
                start=body.validated_data["start"],
                end=body.validated_data["end"],
                actor=f"user:{request.user.pk}",
            )
        except services.InvalidBackfill as exc:
            raise ValidationError({exc.field: [str(exc)]}) from None
        answer = _backfill(request, backfill)
        return Response(answer, status.HTTP_202_ACCEPTED, headers={"Location": answer["url"]})


class BackfillDetail(ApiView):
    """One backfill."""

    permission_classes = [IsAdminUser]

    @extend_schema(
        operation_id="backfills_retrieve",
        responses={200: BackfillSerializer, 404: _PROBLEM},
        description="How far a backfill has come, and what went wrong where.",
    )
    def get(self, request: Request, backfill_id: uuid.UUID) -> Response:
        backfill = Backfill.objects.filter(pk=backfill_id).first()
        if backfill is None:
            raise NotFound(f"There is no backfill {backfill_id}.")
        return Response(_backfill(request, backfill))


def _backfill(request: Request, backfill: Backfill) -> dict[str, Any]:
    url = reverse("backfill-detail", kwargs={"backfill_id": backfill.pk}, request=request)
    context = {"status": selectors.backfill_status(backfill), "url": url}
    return dict(BackfillSerializer(backfill, context=context).data)
