"""Strategies over HTTP."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from apps.backtests import strategies
from apps.backtests.api.asked import StrategyCheckSerializer
from apps.backtests.api.finding import body_of, refused
from apps.backtests.api.shown import StrategyCheckedSerializer, StrategySerializer
from apps.backtests.asking import InvalidBacktest
from apps.backtests.engine import DOCUMENT_SCHEMA, STRATEGIES, SpecError
from apps.core.api import PROBLEM
from apps.core.views import ApiView


class StrategyList(ApiView):
    """The strategies that there are by name."""

    takes_parameters = False

    @extend_schema(
        operation_id="strategies_list",
        responses=StrategySerializer(many=True),
        description="The built-in strategies, each with the schema of its parameters.",
    )
    def get(self, request: Request) -> Response:
        return Response([strategies.described(one) for one in STRATEGIES.values()])


class _SchemaRenderer(JSONRenderer):
    media_type = "application/schema+json"


class StrategyDocumentSchema(ApiView):
    """What a strategy document may be."""

    renderer_classes = (_SchemaRenderer, JSONRenderer)
    takes_parameters = False

    @extend_schema(
        operation_id="strategies_schema",
        summary="The JSON Schema of strategy documents",
        responses=OpenApiTypes.OBJECT,
        description=(
            "The JSON Schema (2020-12) of strategy documents, for editors and for checks before sending. What"
            " fits it may still be none: expressions are checked by `/api/v1/strategies/check`."
        ),
    )
    def get(self, request: Request) -> Response:
        return Response(DOCUMENT_SCHEMA)


class StrategyCheck(ApiView):
    """Whether something is a strategy."""

    @extend_schema(
        operation_id="strategies_check",
        request=StrategyCheckSerializer,
        responses={200: StrategyCheckedSerializer, 400: PROBLEM, 413: PROBLEM},
        description=(
            "Check a strategy, and parameters for it, without running anything: its canonical document, its"
            " text, the schema of its parameters and its cost; or 400 with what is wrong where."
        ),
    )
    def post(self, request: Request) -> Response:
        body = StrategyCheckSerializer(data=body_of(request))
        body.is_valid(raise_exception=True)
        given = body.validated_data
        try:
            return Response(strategies.checked(given["strategy"], given.get("params")))
        except SpecError as exc:
            return refused(InvalidBacktest.of(exc))
