"""The audit over HTTP: for staff, and for users what they did themselves."""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response

from apps.audit import selectors
from apps.audit.models import Entry
from apps.audit.serializers import (
    AuditEntrySerializer,
    AuditMineQuerySerializer,
    AuditQuerySerializer,
)
from apps.core.api import PAGES, PROBLEM
from apps.core.clients import actor_of
from apps.core.paging import PageQuerySerializer, followed
from apps.core.views import ApiView


class AuditList(ApiView):
    """All entries, newest first."""

    permission_classes = [IsAdminUser]

    @extend_schema(
        operation_id="audit_list",
        parameters=[AuditQuerySerializer],
        responses={200: AuditEntrySerializer(many=True), 400: PROBLEM, 403: PROBLEM},
        description=(
            "The entries of the audit that fulfil all conditions, newest first. Staff only. What was done a"
            " moment ago may still be on its way into the chain." + PAGES
        ),
    )
    def get(self, request: Request) -> Response:
        return _page(request, AuditQuerySerializer(data=request.query_params))


class AuditMine(ApiView):
    """What the caller did."""

    @extend_schema(
        operation_id="audit_mine",
        parameters=[AuditMineQuerySerializer],
        responses={200: AuditEntrySerializer(many=True), 400: PROBLEM},
        description=(
            "What you did yourself, newest first, and from where: sign-ins, writes, orders." + PAGES
        ),
    )
    def get(self, request: Request) -> Response:
        return _page(request, AuditMineQuerySerializer(data=request.query_params), actor=actor_of(request))


class AuditDetail(ApiView):
    """One entry."""

    permission_classes = [IsAdminUser]
    takes_parameters = False

    @extend_schema(
        operation_id="audit_retrieve",
        responses={200: AuditEntrySerializer, 403: PROBLEM, 404: PROBLEM},
        description="One entry of the audit, by its id. Staff only.",
    )
    def get(self, request: Request, entry_id: uuid.UUID) -> Response:
        entry = Entry.objects.filter(id=entry_id).first()
        if entry is None:
            raise NotFound(f"There is no audit entry {entry_id}.")
        return Response(AuditEntrySerializer(entry).data)


def _page(request: Request, query: PageQuerySerializer, **conditions: Any) -> Response:
    query.is_valid(raise_exception=True)
    asked = dict(query.validated_data)
    before, limit = asked.pop("after", None), asked.pop("limit")
    found = selectors.filtered(Entry.objects.all(), **asked, **conditions)
    page, following = selectors.page(found, before=before, limit=limit)
    response = Response(AuditEntrySerializer(page, many=True).data)
    return followed(request, response, None if following is None else (following,))
