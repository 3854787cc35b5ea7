"""Orders, positions and fills over HTTP."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.api import PAGES, PROBLEM, idempotency_key, key_schema, refused, replayed
from apps.core.clients import actor_of
from apps.core.paging import followed
from apps.core.problems import Conflict, IdempotencyKeyReused
from apps.core.views import ApiView
from apps.orders import selectors, services
from apps.orders.api.asked import (
    FillListQuerySerializer,
    OrderListQuerySerializer,
    OrderRequestSerializer,
    OrderResolveSerializer,
    PositionListQuerySerializer,
    TimelineQuerySerializer,
)
from apps.orders.api.finding import listed, one, order_changeable, order_shown
from apps.orders.api.shown import FillSerializer, OrderEventSerializer, OrderSerializer, PositionSerializer
from apps.orders.models import Account, Order
from apps.orders.states import State


class TooManyOrders(APIException):
    """The account has asked for as many orders today as it may (429)."""

    status_code = status.HTTP_429_TOO_MANY_REQUESTS
    default_code = "daily-limit"


class OrderList(ApiView):
    """Where orders are placed."""

    # A key is its order's for ever.
    keeps_answers = False

    @extend_schema(
        operation_id="orders_create",
        summary="Place an order of an account of yours",
        parameters=[
            OpenApiParameter(
                "Idempotency-Key",
                key_schema(128),
                OpenApiParameter.HEADER,
                description=(
                    "Up to 128 printable characters. The same key with the same body gives the same order"
                    " again, for ever; with another body it is refused."
                ),
            )
        ],
        request=OrderRequestSerializer,
        responses={200: OrderSerializer, 202: OrderSerializer, 400: PROBLEM, 409: PROBLEM, 429: PROBLEM},
        description=(
            "Place an order of an account of yours, on paper unless `simulation` is false. It is submitted in"
            " the background (202); `Location` and `url` say where to see what becomes of it. 200 where that"
            " is no more to come: the key's order has moved on, or it was rejected at once (`reason_code`)."
            " 409 is the problem `idempotency-key-reused`, 429 `daily-limit`."
        ),
    )
    def post(self, request: Request) -> Response:
        body = OrderRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        asked = dict(body.validated_data)
        account = _own_account(request, asked.pop("account"))
        try:
            order = services.order_request(
                account=account, key=idempotency_key(request, longest=128), **asked
            )
        except services.InvalidOrder as exc:
            return refused(exc.field, str(exc))
        except services.OrderExists as exc:
            raise IdempotencyKeyReused(str(exc)) from None
        except services.DailyLimitReached as exc:
            raise TooManyOrders(str(exc)) from None
        answer = one(request, order, OrderSerializer)
        fresh = order.state == State.ACCEPTED and order.submissions == 0
        code = status.HTTP_202_ACCEPTED if fresh else status.HTTP_200_OK
        response = Response(answer, code, headers={"Location": answer["url"]})
        return replayed(response, repeated=order.was_there)

    @extend_schema(
        operation_id="orders_list",
        parameters=[OrderListQuerySerializer],
        responses={200: OrderSerializer(many=True), 400: PROBLEM},
        description="Your orders that fulfil all conditions, newest first; for staff, everybody's." + PAGES,
    )
    def get(self, request: Request) -> Response:
        found = selectors.orders(user=request.user)
        return listed(request, found, OrderListQuerySerializer, OrderSerializer)


class OrderDetail(ApiView):
    """One order."""

    takes_parameters = False

    @extend_schema(
        operation_id="orders_retrieve",
        responses={200: OrderSerializer, 404: PROBLEM},
        description="How an order stands.",
    )
    def get(self, request: Request, order_id: uuid.UUID) -> Response:
        return Response(one(request, order_shown(request, order_id), OrderSerializer))


class OrderTimeline(ApiView):
    """What happened to an order."""

    @extend_schema(
        operation_id="orders_timeline",
        parameters=[TimelineQuerySerializer],
        responses={200: OrderEventSerializer(many=True), 400: PROBLEM, 404: PROBLEM},
        description=(
            "Every event of an order, the oldest first: what happened, when, and who did it." + PAGES
        ),
    )
    def get(self, request: Request, order_id: uuid.UUID) -> Response:
        order = order_shown(request, order_id)
        query = TimelineQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        after, limit = query.validated_data.get("after", 0), query.validated_data["limit"]
        entries = selectors.timeline(order, after=after, limit=limit + 1)
        response = Response(OrderEventSerializer(entries[:limit], many=True).data)
        return followed(request, response, (entries[limit - 1].version,) if len(entries) > limit else None)


class OrderCancel(ApiView):
    """Ending an order."""

    @extend_schema(
        operation_id="orders_cancel",
        request=None,
        responses={200: OrderSerializer, 403: PROBLEM, 404: PROBLEM, 409: PROBLEM},
        description=(
            "Cancel an order: at once while no broker can have it; else the broker is asked in the"
            " background, and what was traded before stays traded. 409 where it has ended. Of staff who are"
            " not its user, this needs the permission to change orders."
        ),
    )
    def post(self, request: Request, order_id: uuid.UUID) -> Response:
        order = order_changeable(request, order_id)
        return _changed(request, services.order_cancel, order=order)


class OrderLook(ApiView):
    """Looking again."""

    permission_classes = [IsAdminUser]

    @extend_schema(
        operation_id="orders_look",
        summary="Have the broker asked what became of an order",
        request=None,
        responses={200: OrderSerializer, 403: PROBLEM, 404: PROBLEM, 409: PROBLEM},
        description=(
            "For staff with the permission to change orders: have the broker asked at once what became of an"
            " order, in the background. 409 where there is nothing to be found out."
        ),
    )
    def post(self, request: Request, order_id: uuid.UUID) -> Response:
        order = order_changeable(request, order_id)
        return _changed(request, services.order_look_again, order=order)


class OrderResolve(ApiView):
    """Deciding what became of an order."""

    permission_classes = [IsAdminUser]

    @extend_schema(
        operation_id="orders_resolve",
        summary="Say how an order ended that needs a review",
        request=OrderResolveSerializer,
        responses={200: OrderSerializer, 400: PROBLEM, 403: PROBLEM, 404: PROBLEM, 409: PROBLEM},
        description=(
            "For staff with the permission to change orders: say how an order ended that needs a review."
            " 409 where it needs none."
        ),
    )
    def post(self, request: Request, order_id: uuid.UUID) -> Response:
        order = order_changeable(request, order_id)
        body = OrderResolveSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            return _changed(request, services.order_resolve, order=order, **body.validated_data)
        except services.InvalidOrder as exc:
            return refused(exc.field, str(exc))


class PositionList(ApiView):
    """What is held."""

    @extend_schema(
        operation_id="positions_list",
        summary="What your accounts hold by their fills",
        parameters=[PositionListQuerySerializer],
        responses={200: PositionSerializer(many=True), 400: PROBLEM},
        description=(
            "What your accounts hold by their fills, with what came of what was closed; for staff,"
            " everybody's. On paper and for real are two positions." + PAGES
        ),
    )
    def get(self, request: Request) -> Response:
        found = selectors.positions(user=request.user)
        return listed(request, found, PositionListQuerySerializer, PositionSerializer)


class FillList(ApiView):
    """What was traded."""

    @extend_schema(
        operation_id="fills_list",
        parameters=[FillListQuerySerializer],
        responses={200: FillSerializer(many=True), 400: PROBLEM},
        description="The trades of your orders, the last recorded first; for staff, everybody's." + PAGES,
    )
    def get(self, request: Request) -> Response:
        found = selectors.fills(user=request.user)
        return listed(request, found, FillListQuerySerializer, FillSerializer)


def _own_account(request: Request, account_id: uuid.UUID) -> Account:
    """The account, if it is the caller's own: staff places no orders of others here."""
    found = Account.objects.select_related("user").filter(pk=account_id, user=request.user.pk).first()
    if found is None:
        raise ValidationError({"account": ["Is not an account of yours."]})
    return found


def _changed(request: Request, service: Callable[..., Order], **arguments: Any) -> Response:
    """The order after something was done to it. Raises `Conflict` where that cannot be done."""
    try:
        order = service(by=actor_of(request), **arguments)
    except services.WrongState as exc:
        raise Conflict(str(exc)) from None
    return Response(one(request, order, OrderSerializer))
