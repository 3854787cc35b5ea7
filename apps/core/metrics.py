"""``GET /metrics``: what Prometheus reads.

Apps register collectors that read the database, so the answer is right whatever process gives it, and
counters do not begin anew when a process does.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from prometheus_client.exposition import choose_encoder
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from apps.core.api import bears
from apps.core.collectors import registry
from apps.core.views import ApiView


class MayScrape(BasePermission):
    """Staff, and whoever sends ``Authorization: Bearer <METRICS_TOKEN>`` where that is set."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        known = bears(request, settings.METRICS_TOKEN)
        return bool(request.user and request.user.is_staff) if known is None else known


class AnyContent(BaseContentNegotiation):
    """The formats of Prometheus are chosen by its own library."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type


class MetricsView(ApiView):
    """The figures of all collectors, in Prometheus's text format or OpenMetrics."""

    permission_classes = [MayScrape]
    content_negotiation_class = AnyContent

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        encoder, content_type = choose_encoder(request.headers.get("Accept", ""))
        return HttpResponse(
            encoder(registry), headers={"Content-Type": content_type, "Cache-Control": "no-store"}
        )
