"""Runs over HTTP, for operators."""

from __future__ import annotations

import uuid

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.views import ApiView
from apps.tasks import selectors
from apps.tasks.models import TaskRun
from apps.tasks.serializers import TaskRunDetailSerializer, TaskRunFilterSerializer, TaskRunSerializer


class TaskRunList(ApiView):
    """Runs, newest first."""

    permission_classes = [IsAdminUser]

    @extend_schema(
        operation_id="tasks_list",
        parameters=[TaskRunFilterSerializer],
        responses=TaskRunSerializer(many=True),
        description="The newest runs, of a state, task or queue if given.",
    )
    def get(self, request: Request) -> Response:
        query = TaskRunFilterSerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        limit = query.validated_data.pop("limit")
        return Response(TaskRunSerializer(selectors.runs(**query.validated_data)[:limit], many=True).data)


class TaskRunDetail(ApiView):
    """One run with its history."""

    permission_classes = [IsAdminUser]

    @extend_schema(
        operation_id="tasks_retrieve",
        responses=TaskRunDetailSerializer,
        description="One run with every event of it.",
    )
    def get(self, request: Request, run_id: uuid.UUID) -> Response:
        run = TaskRun.objects.filter(pk=run_id).first()
        if run is None:
            raise NotFound(f"There is no run {run_id}.")
        return Response(TaskRunDetailSerializer(run).data)
