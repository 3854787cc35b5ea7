"""Runs over HTTP: for operators, and for users those that they asked for."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework import status
from rest_framework.exceptions import NotFound
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from apps.core.api import PAGES, PROBLEM
from apps.core.clients import actor_of
from apps.core.paging import followed
from apps.core.problems import Conflict
from apps.core.views import ApiView
from apps.tasks import batches, bulk, conf, selectors, services, stats
from apps.tasks.filters import RunFilter
from apps.tasks.models import Batch, BulkOperation, TaskRun
from apps.tasks.serializers import (
    BatchCancelledSerializer,
    BatchSerializer,
    BulkOperationSerializer,
    BulkPreviewSerializer,
    BulkRequestSerializer,
    RescheduleSerializer,
    RunFilterSerializer,
    TaskRunDetailSerializer,
    TaskRunQuerySerializer,
    TaskRunSerializer,
)
from apps.tasks.states import Operation
from apps.tasks.stats_serializers import FiguresSerializer, StatsQuerySerializer


class OperatorView(ApiView):
    """A view for staff."""

    permission_classes = [IsAdminUser]


class TaskRunList(ApiView):
    """Runs, newest first: for staff all of them, for users those that they asked for."""

    @extend_schema(
        operation_id="tasks_list",
        parameters=[TaskRunQuerySerializer],
        responses={200: TaskRunSerializer(many=True), 400: PROBLEM},
        description=(
            "The runs that fulfil all conditions, newest first: those that you asked for; for staff,"
            " everybody's." + PAGES
        ),
    )
    def get(self, request: Request) -> Response:
        query = TaskRunQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        page, following = selectors.runs(
            selection=RunFilterSerializer.selection(query.conditions()).narrowed(actor=_whose(request)),
            before=asked.get("after"),
            limit=asked["limit"],
        )
        response = Response(TaskRunSerializer(page, many=True).data)
        return followed(request, response, None if following is None else (following,))


class TaskRunDetail(ApiView):
    """One run with its history."""

    takes_parameters = False

    @extend_schema(
        operation_id="tasks_retrieve",
        responses={200: TaskRunDetailSerializer, 404: PROBLEM},
        description="One run with every event of it: one that you asked for; for staff, any.",
    )
    def get(self, request: Request, run_id: uuid.UUID) -> Response:
        return Response(TaskRunDetailSerializer(_found(run_id, actor=_whose(request))).data)


class TaskRunRedrive(OperatorView):
    """Sending an ended run on its way again."""

    @extend_schema(
        operation_id="tasks_redrive",
        request=None,
        responses={200: TaskRunSerializer, 404: PROBLEM, 409: PROBLEM},
        description="Send a dead or cancelled run on its way again, with fresh attempts.",
    )
    def post(self, request: Request, run_id: uuid.UUID) -> Response:
        return _operated(services.redrive, run_id)


class TaskRunRetry(OperatorView):
    """Not waiting for a run's time."""

    @extend_schema(
        operation_id="tasks_retry",
        request=None,
        responses={200: TaskRunSerializer, 404: PROBLEM, 409: PROBLEM},
        description="Let a scheduled run that waits for a later time be due now.",
    )
    def post(self, request: Request, run_id: uuid.UUID) -> Response:
        return _operated(services.retry_now, run_id)


class TaskRunCancel(OperatorView):
    """Ending a run."""

    @extend_schema(
        operation_id="tasks_cancel",
        request=None,
        responses={200: TaskRunSerializer, 404: PROBLEM, 409: PROBLEM},
        description=(
            "Cancel a run: for good where it has not started; where it is running, `cancel_requested` is set"
            " and the run ends on its next progress report."
        ),
    )
    def post(self, request: Request, run_id: uuid.UUID) -> Response:
        return _operated(services.cancel, run_id)


class TaskRunReschedule(OperatorView):
    """Giving a run another time."""

    @extend_schema(
        operation_id="tasks_reschedule",
        request=RescheduleSerializer,
        responses={200: TaskRunSerializer, 400: PROBLEM, 404: PROBLEM, 409: PROBLEM},
        description="Let a run that has not started be due at another time.",
    )
    def post(self, request: Request, run_id: uuid.UUID) -> Response:
        body = RescheduleSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        return _operated(services.reschedule, run_id, run_at=body.validated_data["run_at"])


class BulkOperationList(OperatorView):
    """Where operations on many runs are ordered."""

    @extend_schema(
        operation_id="tasks_bulk_create",
        request=BulkRequestSerializer,
        responses={
            200: PolymorphicProxySerializer(
                component_name="BulkAnswer",
                serializers=[BulkOperationSerializer, BulkPreviewSerializer],
                resource_type_field_name=None,
            ),
            202: BulkOperationSerializer,
            400: PROBLEM,
        },
        description=(
            "Do an operation to all runs that a filter selects. First with `dry_run`, which counts them; then"
            " with that count as `expected`. Few runs are dealt with at once (200); more by a task in the"
            " background (202), and `Location` says where to see how far it is."
        ),
    )
    def post(self, request: Request) -> Response:
        body = BulkRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        asked = body.validated_data
        operation = Operation(asked["operation"])
        selection = RunFilterSerializer.selection(asked["filter"])
        if asked["dry_run"]:
            return Response(
                BulkPreviewSerializer(bulk.preview(operation=operation, selection=selection)).data
            )
        done = bulk.submit(
            operation=operation, selection=selection, bound=asked["expected"], run_at=asked.get("run_at")
        )
        answer = BulkOperationSerializer(done).data
        if done.finished_at is not None:
            return Response(answer)
        where = reverse("task-bulk-detail", kwargs={"bulk_id": done.pk}, request=request)
        return Response(answer, status.HTTP_202_ACCEPTED, headers={"Location": where})


class BulkOperationDetail(OperatorView):
    """One operation on many runs."""

    takes_parameters = False

    @extend_schema(
        operation_id="tasks_bulk_retrieve",
        responses={200: BulkOperationSerializer, 404: PROBLEM},
        description="How far an operation on many runs is.",
    )
    def get(self, request: Request, bulk_id: uuid.UUID) -> Response:
        found = BulkOperation.objects.filter(pk=bulk_id).first()
        if found is None:
            raise NotFound(f"There is no bulk operation {bulk_id}.")
        return Response(BulkOperationSerializer(found).data)


class TaskStats(OperatorView):
    """Figures about queues and tasks."""

    @extend_schema(
        operation_id="tasks_stats",
        summary="What waits on each queue, and what happened of late",
        parameters=[StatsQuerySerializer],
        responses={200: FiguresSerializer, 400: PROBLEM},
        description=(
            "What waits on each queue and since when, and what happened in a window before now: rates, waits,"
            " durations and failures by task. Ages and durations are in seconds, rates per second."
        ),
    )
    def get(self, request: Request) -> Response:
        query = StatsQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        return Response(FiguresSerializer(stats.figures(query.validated_data["window"], conf.queues())).data)


class BatchDetail(OperatorView):
    """One batch with its progress."""

    takes_parameters = False

    @extend_schema(
        operation_id="batches_retrieve",
        summary="How far the runs of a batch are",
        responses=BatchSerializer,
        description="How far the runs that were asked for together are, and which of them failed.",
    )
    def get(self, request: Request, batch_id: uuid.UUID) -> Response:
        batch = _batch(batch_id)
        progress = batches.batch_progress(batch.pk)
        return Response(BatchSerializer(batch, context={"progress": progress}).data)


class BatchCancel(OperatorView):
    """Ends what is left of a batch."""

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


def _whose(request: Request) -> str:
    """Who must have asked for the runs that the caller sees; empty for staff."""
    return "" if request.user.is_staff else actor_of(request)


def _found(run_id: uuid.UUID, *, actor: str = "") -> TaskRun:
    run = RunFilter(ids=(run_id,), actor=actor).runs().first()
    if run is None:
        raise NotFound(f"There is no run {run_id}.")
    return run


def _operated(service: Callable[..., Any], run_id: uuid.UUID, **arguments: Any) -> Response:
    try:
        service(run_id=run_id, **arguments)
    except TaskRun.DoesNotExist:
        raise NotFound(f"There is no run {run_id}.") from None
    except services.WrongState as exc:
        raise Conflict(f"The {exc}.") from None
    return Response(TaskRunSerializer(_found(run_id)).data)
