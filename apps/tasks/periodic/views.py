"""Entries over HTTP, for operators."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.views import ApiView
from apps.tasks.periodic import selectors
from apps.tasks.periodic.serializers import PeriodicTaskSerializer


class PeriodicTaskList(ApiView):
    """Entries by name."""

    permission_classes = [IsAdminUser]
    takes_parameters = False

    @extend_schema(
        operation_id="periodic_list",
        summary="All periodic tasks, with their last and next ticks",
        responses=PeriodicTaskSerializer(many=True),
        description="All periodic tasks, of the settings and of the admin, with their last and next ticks.",
    )
    def get(self, request: Request) -> Response:
        return Response(PeriodicTaskSerializer(selectors.entries(), many=True).data)
