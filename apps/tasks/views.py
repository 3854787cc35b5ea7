"""Runs over HTTP, for operators."""

from __future__ import annotations

import uuid

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.views import ApiView
from apps.tasks import batches, selectors
from apps.tasks.models import Batch, TaskRun
from apps.tasks.serializers import (
    BatchCancelledSerializer,
    BatchSerializer,
    TaskRunDetailSerializer,
    TaskRunFilterSerializer,
    TaskRunSerializer,
)


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


class BatchDetail(ApiView):
    """One batch with its progress."""

    permission_classes = [IsAdminUser]

    @extend_schema(
        operation_id="batches_retrieve",
        responses=BatchSerializer,
        description="How far the runs that were asked for together are, and which of them failed.",
    )
    def get(self, request: Request, batch_id: uuid.UUID) -> Response:
        batch = _batch(batch_id)
        progress = batches.batch_progress(batch.pk)
        return Response(BatchSerializer(batch, context={"progress": progress}).data)


class BatchCancel(ApiView):
    """Ends what is left of a batch."""

    permission_classes = [IsAdminUser]

    @extend_schema(
        operation_id="batches_cancel",
        request=None,
        responses=BatchCancelledSerializer,
        description="Cancel the runs that have not ended; those that run end on their next progress report.",
    )
    def post(self, request: Request, batch_id: uuid.UUID) -> Response:
        cancelled = batches.batch_cancel(batch_id=_batch(batch_id).pk, actor=f"user:{request.user.pk}")
        return Response(BatchCancelledSerializer({"cancelled": cancelled}).data)


def _batch(batch_id: uuid.UUID) -> Batch:
    batch = Batch.objects.filter(pk=batch_id).first()
    if batch is None:
        raise NotFound(f"There is no batch {batch_id}.")
    return batch
