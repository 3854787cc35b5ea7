"""Mails, preferences, bounces and suppressed addresses over HTTP."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.permissions import BasePermission, IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core.api import PAGES, PROBLEM, bears
from apps.core.paging import listed
from apps.core.parsers import StrictJSONParser
from apps.core.views import ApiView
from apps.notifications import addresses, bounces, conf, preferences, selectors
from apps.notifications.api.parsers import RAW, MessageParser
from apps.notifications.api.serializers import (
    BounceReportSerializer,
    BounceSerializer,
    EmailQuerySerializer,
    EmailSerializer,
    PreferenceSerializer,
    PreferencesSerializer,
    SuppressionQuerySerializer,
    SuppressionSerializer,
)
from apps.notifications.bouncing import Bounce, UnknownMail, bounce_record
from apps.notifications.models import Preference


class EmailList(ApiView):
    """The caller's mails."""

    @extend_schema(
        operation_id="notifications_emails_list",
        parameters=[EmailQuerySerializer],
        responses={200: EmailSerializer(many=True), 400: PROBLEM},
        description=(
            "The e-mails that were for you, newest first, with what became of each: those that you have"
            " turned off are `suppressed`." + PAGES
        ),
    )
    def get(self, request: Request) -> Response:
        query = EmailQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        found = selectors.emails_of(user_id=_user_id(request), **query.conditions())
        return listed(request, found, query, EmailSerializer)


class PreferenceList(ApiView):
    """Which mails the caller wants."""

    takes_parameters = False

    def locked(self, **kwargs: Any) -> QuerySet[Any]:
        return preferences.holder(_user_id(self.request))

    @extend_schema(
        operation_id="notifications_preferences_retrieve",
        responses=PreferenceSerializer(many=True),
        description="The kinds of e-mails that there are for you, and which of them you get.",
    )
    def get(self, request: Request) -> Response:
        return _choices(request)

    @extend_schema(
        operation_id="notifications_preferences_update",
        summary="Turn kinds of e-mails on and off",
        request=PreferencesSerializer,
        responses={200: PreferenceSerializer(many=True), 400: PROBLEM},
        description=(
            'Turn kinds of e-mails on and off: `{"backtest_finished": false}`. What is left out stays as it'
            " is. A kind that is not `changeable` cannot be turned off (400); nothing is changed then."
        ),
    )
    def patch(self, request: Request) -> Response:
        body = PreferencesSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        asked: dict[str, bool] = body.validated_data
        errors = {}
        for name, enabled in asked.items():
            try:
                preferences.check(name, enabled=enabled)
            except preferences.CannotTurnOff as exc:
                errors[name] = [str(exc)]
        if errors:
            raise ValidationError(errors)
        preferences.preferences_set(user_id=_user_id(request), enabled=asked, source=Preference.Source.API)
        return _choices(request)


class MayReportBounces(BasePermission):
    """Staff, and whoever sends ``Authorization: Bearer <BOUNCES_TOKEN>`` where that is set."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        known = bears(request, conf.bounces_token())
        return bool(request.user and request.user.is_staff) if known is None else known


class BounceList(ApiView):
    """Where mails that came back are reported."""

    permission_classes = [MayReportBounces]
    parser_classes = [StrictJSONParser, MessageParser]

    @extend_schema(
        operation_id="notifications_bounces_report",
        request={
            "application/json": BounceReportSerializer,
            "message/rfc822": OpenApiTypes.BINARY,
        },
        responses={
            200: BounceSerializer(many=True), 400: PROBLEM, 404: PROBLEM, 413: PROBLEM, 415: PROBLEM,
        },
        description=(
            "Report that mail came back: a delivery status notification as it was received (RFC 3464,"
            " `message/rfc822`), or JSON. The mail is found by its Message-ID (404: there is none) and is"
            " `bounced` then; where the failure is permanent for the address, nothing is sent to it until an"
            " operator lifts that. Reports of delays and deliveries change nothing: the list is empty then."
            " For staff, and for the bearer of BOUNCES_TOKEN."
        ),
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        data = request.data
        raw = data.get(RAW) if isinstance(data, Mapping) else None
        try:
            recorded = _from_report(raw) if isinstance(raw, bytes) else [_from_json(data)]
        except UnknownMail as exc:
            raise NotFound(str(exc)) from None
        return Response(BounceSerializer(recorded, many=True).data)


class SuppressionList(ApiView):
    """Addresses to which nothing is sent."""

    permission_classes = [IsAdminUser]

    @extend_schema(
        operation_id="notifications_suppressions_list",
        parameters=[SuppressionQuerySerializer],
        responses={200: SuppressionSerializer(many=True), 400: PROBLEM},
        description=(
            "The addresses to which nothing is sent, since mail to them came back; newest first, for staff."
            + PAGES
        ),
    )
    def get(self, request: Request) -> Response:
        query = SuppressionQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        return listed(request, selectors.suppressions(**query.conditions()), query, SuppressionSerializer)


class SuppressionDetail(ApiView):
    """One address to which nothing is sent."""

    permission_classes = [IsAdminUser]

    @extend_schema(
        operation_id="notifications_suppressions_destroy",
        responses={204: None, 404: PROBLEM},
        description="Send to the address again. For staff.",
    )
    def delete(self, request: Request, suppression_id: uuid.UUID) -> Response:
        found = selectors.suppressions().filter(pk=suppression_id).first()
        if found is None or not addresses.suppression_lift(
            suppression=found, actor=f"user:{request.user.pk}"
        ):
            raise NotFound(f"There is no suppressed address {suppression_id}.")
        return Response(status=status.HTTP_204_NO_CONTENT)


def _from_report(raw: bytes) -> list[Bounce]:
    try:
        failures = bounces.failures(raw)
    except bounces.NotAReport as exc:
        raise ValidationError(str(exc)) from None
    # By the Message-ID alone: anybody can write a report, and name any address in it.
    return [
        bounce_record(reason=one.reason, permanent=one.permanent, message_id=one.message_id)
        for one in failures
    ]


def _from_json(data: Any) -> Bounce:
    body = BounceReportSerializer(data=data)
    body.is_valid(raise_exception=True)
    return bounce_record(**body.validated_data)


def _user_id(request: Request) -> int:
    assert request.user.is_authenticated
    return int(request.user.pk)


def _choices(request: Request) -> Response:
    return Response(PreferenceSerializer(preferences.choices_of(_user_id(request)), many=True).data)
