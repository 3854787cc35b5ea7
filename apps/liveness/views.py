"""Trading workers over HTTP: for workers in any language, and for those who watch them."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth import get_user_model
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.exceptions import APIException, NotFound, PermissionDenied, ValidationError
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.api import PAGES, PROBLEM
from apps.core.paging import followed, newest
from apps.core.problems import Conflict
from apps.core.views import ApiView
from apps.liveness import selectors, services
from apps.liveness.leases import Beat
from apps.liveness.models import WorkerSession
from apps.liveness.serializers import (
    DeclareDeadSerializer,
    HeartbeatAnswerSerializer,
    HeartbeatSerializer,
    StopSerializer,
    WorkerDetailSerializer,
    WorkerQuerySerializer,
    WorkerSerializer,
    heartbeat_answer,
)
from apps.liveness.states import SessionState

_FENCED = OpenApiResponse(
    description="problem+json `worker-fenced`: the session is over, the worker must stop."
)


class WorkerFenced(APIException):
    """The worker's session is over (409)."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "worker-fenced"


class Heartbeat(ApiView):
    """How a worker in any language says that it is alive."""

    guards_itself = True

    @extend_schema(
        operation_id="workers_heartbeat",
        summary="Begin a worker's session, or keep it alive",
        request=HeartbeatSerializer,
        responses={
            200: HeartbeatAnswerSerializer,
            201: HeartbeatAnswerSerializer,
            400: PROBLEM,
            409: _FENCED,
        },
        description=(
            "Without a token, a worker begins to work for its user (201): it gets a token, and an earlier"
            " worker of the user is fenced. With it, the worker says that it is alive (200), or learns that"
            " it was declared dead or followed by another (409) and must stop. Send the token with every"
            " write as the header `Worker-Token`: a fenced worker's write is refused, even in the middle."
        ),
    )
    def post(self, request: Request) -> Response:
        body = HeartbeatSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        asked = body.validated_data
        user_id = _user(request, asked)
        if "token" not in asked:
            session = services.session_start(user_id=user_id, worker=asked.get("worker", ""))
            return Response(heartbeat_answer(session.token, session=str(session.pk)), status.HTTP_201_CREATED)
        if "worker" in asked:
            raise ValidationError({"worker": ["Is said at the start only."]})
        if services.session_beat(user_id=user_id, token=asked["token"]) is not Beat.BEATING:
            raise WorkerFenced(_why_fenced(user_id, asked["token"]))
        return Response(heartbeat_answer(asked["token"]))


class WorkerStop(ApiView):
    """Where a worker ends its session."""

    guards_itself = True

    @extend_schema(
        operation_id="workers_stop",
        request=StopSerializer,
        responses={204: None, 400: PROBLEM, 409: _FENCED},
        description="End the session in order, so that nobody has to find out.",
    )
    def post(self, request: Request) -> Response:
        body = StopSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        asked = body.validated_data
        user_id = _user(request, asked)
        if not services.session_stop(user_id=user_id, token=asked["token"], reason=asked["reason"]):
            raise WorkerFenced(_why_fenced(user_id, asked["token"]))
        return Response(status=status.HTTP_204_NO_CONTENT)


class WorkerList(ApiView):
    """Sessions of workers."""

    @extend_schema(
        operation_id="workers_list",
        parameters=[WorkerQuerySerializer],
        responses={200: WorkerSerializer(many=True), 400: PROBLEM},
        description="Your workers' sessions, newest first; for staff, everybody's." + PAGES,
    )
    def get(self, request: Request) -> Response:
        query = WorkerQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        found = selectors.sessions(user=request.user)
        if "state" in asked:
            found = found.filter(state=asked["state"])
        if "user" in asked:
            found = found.filter(user_id=asked["user"])
        some, following = newest(found, before=asked.get("after"), limit=asked["limit"])
        context = {"standings": selectors.standings(some)}
        response = Response(WorkerSerializer(some, many=True, context=context).data)
        return followed(request, response, None if following is None else (following,))


class WorkerDetail(ApiView):
    """One session."""

    takes_parameters = False

    @extend_schema(
        operation_id="workers_retrieve",
        responses={200: WorkerDetailSerializer, 404: PROBLEM},
        description="How a session stands, and everything that happened to it.",
    )
    def get(self, request: Request, session_id: uuid.UUID) -> Response:
        return Response(_shown(_found(request, session_id)))


class WorkerDeclareDead(ApiView):
    """Where operators declare a worker dead."""

    permission_classes = [IsAdminUser]

    @extend_schema(
        operation_id="workers_declare_dead",
        request=DeclareDeadSerializer,
        responses={200: WorkerDetailSerializer, 400: PROBLEM, 404: PROBLEM, 409: PROBLEM},
        description="End a session although its worker may be alive: it is fenced from now on.",
    )
    def post(self, request: Request, session_id: uuid.UUID) -> Response:
        body = DeclareDeadSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        session = _found(request, session_id)
        if not services.session_declare_dead(session_id=session.pk, reason=body.validated_data["reason"]):
            raise Conflict("This session is over.")
        return Response(_shown(_found(request, session_id)))


def _user(request: Request, asked: dict[str, Any]) -> int:
    assert request.user.pk is not None
    user_id = int(asked.get("user", request.user.pk))
    if user_id != request.user.pk:
        if not request.user.is_staff:
            raise PermissionDenied("Only staff may speak for the worker of another user.")
        if not get_user_model()._default_manager.filter(pk=user_id).exists():
            raise ValidationError({"user": [f"There is no user {user_id}."]})
    return user_id


def _why_fenced(user_id: int, token: int) -> str:
    session = WorkerSession.objects.filter(user_id=user_id, token=token).first()
    if session is None:
        return f"No session of this user has token {token}."
    if session.state == SessionState.ACTIVE:
        return "The worker was not heard of in time, and is being declared dead."
    return f"The session is over: {session.state}, {session.reason}."


def _found(request: Request, session_id: uuid.UUID) -> WorkerSession:
    session = selectors.sessions(user=request.user).filter(pk=session_id).first()
    if session is None:
        raise NotFound(f"There is no worker's session {session_id} of yours.")
    return session


def _shown(session: WorkerSession) -> dict[str, Any]:
    context = {"standings": selectors.standings([session])}
    return dict(WorkerDetailSerializer(session, context=context).data)
