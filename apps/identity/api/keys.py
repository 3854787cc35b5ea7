"""Keys and logins over HTTP: each user's own."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.api import PAGES, PROBLEM, refused
from apps.core.clients import actor_of
from apps.core.paging import listed
from apps.core.problems import Conflict
from apps.core.views import ApiView
from apps.identity import selectors, services
from apps.identity.api.asked import (
    KeyChangeSerializer,
    KeyCreateSerializer,
    KeyQuerySerializer,
    KeyRotateSerializer,
)
from apps.identity.api.shown import IssuedKeySerializer, KeySerializer
from apps.identity.models import ApiKey

_ONCE = " The token is shown only now."


class KeyList(ApiView):
    """Where keys are made."""

    @extend_schema(
        operation_id="keys_create",
        request=KeyCreateSerializer,
        responses={201: IssuedKeySerializer, 400: PROBLEM},
        description="Make an API key of yours for programs: with these scopes, until it expires." + _ONCE,
    )
    def post(self, request: Request) -> Response:
        body = KeyCreateSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            issued = services.key_create(user=request.user, by=actor_of(request), **body.validated_data)
        except services.InvalidKey as exc:
            return refused(exc.field, str(exc))
        response = _issued(request, issued, status.HTTP_201_CREATED)
        response["Location"] = response.data["key"]["url"]
        return response

    @extend_schema(
        operation_id="keys_list",
        summary="Your API keys and logins, newest first",
        parameters=[KeyQuerySerializer],
        responses={200: KeySerializer(many=True), 400: PROBLEM},
        description=(
            "Your API keys and logins, newest first, those that are over for as long as they are kept."
            + PAGES
        ),
    )
    def get(self, request: Request) -> Response:
        query = KeyQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        asked, found = query.validated_data, selectors.keys(user=request.user)
        if "kind" in asked:
            found = found.filter(kind=asked["kind"])
        if "active" in asked:
            found = found.filter(selectors.active() if asked["active"] else ~selectors.active())
        return listed(request, found, query, KeySerializer)


class KeyDetail(ApiView):
    """One key or login."""

    passing = frozenset({"last_used_at", "last_used_address"})
    takes_parameters = False

    def locked(self, **kwargs: Any) -> QuerySet[Any]:
        return selectors.keys(user=self.request.user).filter(pk=kwargs["key_id"])

    @extend_schema(
        operation_id="keys_retrieve",
        responses={200: KeySerializer, 404: PROBLEM},
        description="One key or login of yours. Its token is never shown.",
    )
    def get(self, request: Request, key_id: uuid.UUID) -> Response:
        return Response(KeySerializer(_found(request, key_id), context={"request": request}).data)

    @extend_schema(
        operation_id="keys_update",
        request=KeyChangeSerializer,
        responses={200: KeySerializer, 400: PROBLEM, 404: PROBLEM, 409: PROBLEM},
        description="Give a key another name, or other networks that it is taken from.",
    )
    def patch(self, request: Request, key_id: uuid.UUID) -> Response:
        key = _found(request, key_id)
        body = KeyChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            key = services.key_update(key=key, by=actor_of(request), **body.validated_data)
        except services.InvalidKey as exc:
            return refused(exc.field, str(exc))
        except services.NotAKey as exc:
            raise Conflict(str(exc)) from None
        return Response(KeySerializer(key, context={"request": request}).data)

    @extend_schema(
        operation_id="keys_revoke",
        responses={204: None, 404: PROBLEM},
        description="End the key or login now, for good.",
    )
    def delete(self, request: Request, key_id: uuid.UUID) -> Response:
        services.key_revoke(key=_found(request, key_id), by=actor_of(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class KeyRotate(ApiView):
    """Another token for a key."""

    @extend_schema(
        operation_id="keys_rotate",
        request=KeyRotateSerializer,
        responses={200: IssuedKeySerializer, 400: PROBLEM, 404: PROBLEM, 409: PROBLEM},
        description=(
            "Give the key another token. The one before stays good for `overlap_seconds`, so that programs"
            " can be changed meanwhile." + _ONCE
        ),
    )
    def post(self, request: Request, key_id: uuid.UUID) -> Response:
        key = _found(request, key_id)
        body = KeyRotateSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        asked = body.validated_data
        try:
            issued = services.key_rotate(
                key=key,
                by=actor_of(request),
                overlap=timedelta(seconds=asked["overlap_seconds"]),
                expires_in_days=asked.get("expires_in_days"),
            )
        except services.InvalidKey as exc:
            return refused(exc.field, str(exc))
        except services.NotAKey as exc:
            raise Conflict(str(exc)) from None
        return _issued(request, issued, status.HTTP_200_OK)


def _found(request: Request, key_id: uuid.UUID) -> ApiKey:
    found = selectors.keys(user=request.user).filter(pk=key_id).first()
    if found is None:
        raise NotFound(f"There is no key {key_id} of yours.")
    return found


def _issued(request: Request, issued: services.Issued, code: int) -> Response:
    answer = IssuedKeySerializer(issued, context={"request": request}).data
    return Response(answer, code, headers={"Cache-Control": "no-store"})
