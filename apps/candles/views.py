"""Backfills over HTTP."""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from apps.candles import selectors, services
from apps.candles.models import Backfill
from apps.candles.serializers import (
    BackfillRequestSerializer,
    BackfillSerializer,
)
from apps.core.api import PROBLEM
from apps.core.views import ApiView


class BackfillList(ApiView):
    """Where backfills are asked for."""

    permission_classes = [IsAdminUser]

    @extend_schema(
        operation_id="backfills_create",
        summary="Fetch minutes of an instrument from its exchange",
        request=BackfillRequestSerializer,
        responses={202: BackfillSerializer, 400: PROBLEM},
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

    takes_parameters = False
    permission_classes = [IsAdminUser]

    @extend_schema(
        operation_id="backfills_retrieve",
        responses={200: BackfillSerializer, 404: PROBLEM},
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
