"""Accounts over HTTP."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.api import PAGES, PROBLEM, refused
from apps.core.clients import actor_of
from apps.core.views import ApiView
from apps.orders import selectors, services
from apps.orders.api.asked import (
    AccountChangeSerializer,
    AccountCreateSerializer,
    AccountKeysSerializer,
    AccountListQuerySerializer,
)
from apps.orders.api.finding import CHANGE_ACCOUNT, account_changeable, account_shown, listed, one
from apps.orders.api.shown import AccountSerializer
from apps.orders.models import Account


class AccountList(ApiView):
    """Where accounts are made."""

    @extend_schema(
        operation_id="accounts_create",
        request=AccountCreateSerializer,
        responses={201: AccountSerializer, 400: PROBLEM},
        description=(
            "Make an account of yours at an exchange. It is of the plan `basic` until staff gives it another,"
            " and trades on paper until `simulation` is switched off and there are keys."
        ),
    )
    def post(self, request: Request) -> Response:
        body = AccountCreateSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        assert request.user.is_authenticated
        try:
            account = services.account_create(user=request.user, by=actor_of(request), **body.validated_data)
        except services.InvalidAccount as exc:
            return refused(exc.field, str(exc))
        answer = one(request, account, AccountSerializer)
        return Response(answer, status.HTTP_201_CREATED, headers={"Location": answer["url"]})

    @extend_schema(
        operation_id="accounts_list",
        parameters=[AccountListQuerySerializer],
        responses={200: AccountSerializer(many=True), 400: PROBLEM},
        description="Your accounts, newest first; for staff, everybody's." + PAGES,
    )
    def get(self, request: Request) -> Response:
        found = selectors.accounts(user=request.user)
        return listed(request, found, AccountListQuerySerializer, AccountSerializer)


class AccountDetail(ApiView):
    """One account."""

    takes_parameters = False

    def locked(self, **kwargs: Any) -> QuerySet[Any]:
        return Account.objects.filter(pk=kwargs["account_id"])

    @extend_schema(
        operation_id="accounts_retrieve",
        responses={200: AccountSerializer, 404: PROBLEM},
        description="One account. Its keys are never shown.",
    )
    def get(self, request: Request, account_id: uuid.UUID) -> Response:
        return Response(one(request, account_shown(request, account_id), AccountSerializer))

    @extend_schema(
        operation_id="accounts_update",
        request=AccountChangeSerializer,
        responses={200: AccountSerializer, 400: PROBLEM, 403: PROBLEM, 404: PROBLEM},
        description=(
            "Change an account. The plan, and a limit above the plan's, are for staff with the permission to"
            " change accounts, which they also need for accounts of others."
        ),
    )
    def patch(self, request: Request, account_id: uuid.UUID) -> Response:
        account = account_changeable(request, account_id)
        body = AccountChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            account = services.account_update(
                account=account,
                by=actor_of(request),
                staff=request.user.has_perm(CHANGE_ACCOUNT),
                **body.validated_data,
            )
        except services.InvalidAccount as exc:
            return refused(exc.field, str(exc))
        except services.NotAllowed as exc:
            raise PermissionDenied(str(exc)) from None
        return Response(one(request, account, AccountSerializer))


class AccountKeys(ApiView):
    """The keys of an account."""

    @extend_schema(
        operation_id="accounts_set_keys",
        summary="Store the keys of the exchange, encrypted",
        request=AccountKeysSerializer,
        responses={200: AccountSerializer, 400: PROBLEM, 403: PROBLEM, 404: PROBLEM},
        description=(
            "Store the keys of the exchange, encrypted, in the place of those that are there. They are never"
            " shown again, but for the last four characters of the key. Give them no right to withdraw."
        ),
    )
    def put(self, request: Request, account_id: uuid.UUID) -> Response:
        account = account_changeable(request, account_id)
        body = AccountKeysSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            account = services.account_set_keys(account=account, by=actor_of(request), **body.validated_data)
        except services.InvalidAccount as exc:
            return refused(exc.field, str(exc))
        return Response(one(request, account, AccountSerializer))

    @extend_schema(
        operation_id="accounts_clear_keys",
        summary="Forget the keys of the exchange",
        responses={204: None, 403: PROBLEM, 404: PROBLEM},
        description="Forget the keys. Nothing is traded for real until there are others.",
    )
    def delete(self, request: Request, account_id: uuid.UUID) -> Response:
        services.account_clear_keys(account=account_changeable(request, account_id), by=actor_of(request))
        return Response(status=status.HTTP_204_NO_CONTENT)
