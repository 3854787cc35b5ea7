"""Endpoints and deliveries over HTTP."""

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

from apps.candles.models import Instrument
from apps.core.api import PAGES, PROBLEM, check_operable, refused
from apps.core.clients import actor_of, client_address
from apps.core.paging import PageQuerySerializer, listed
from apps.core.views import ApiView
from apps.orders.models import Account
from apps.webhooks import conf, selectors, services
from apps.webhooks.api.asked import (
    DeliveryQuerySerializer,
    EndpointChangeSerializer,
    EndpointCreateSerializer,
    RotateSerializer,
    TrySerializer,
)
from apps.webhooks.api.shown import (
    DeliverySerializer,
    EndpointSerializer,
    IssuedSerializer,
    TrialSerializer,
)
from apps.webhooks.facts import Sender
from apps.webhooks.formats import FORMATS
from apps.webhooks.formats.base import Arrival
from apps.webhooks.layers import Refusal
from apps.webhooks.models import Endpoint
from apps.webhooks.trying import Trial, endpoint_try

#: What the admin asks for, too, before anything is done to what is somebody else's.
OPERATE = "webhooks.change_endpoint"
_ONCE = " It is shown only now."


class EndpointList(ApiView):
    """Where endpoints are made."""

    @extend_schema(
        operation_id="webhooks_create",
        summary="Make an address that signals of an account are sent to",
        request=EndpointCreateSerializer,
        responses={201: IssuedSerializer, 400: PROBLEM},
        description=(
            "Make an address that signals of an account of yours are sent to, with its token and secret."
            " They are shown only now, and a message for TradingView with them."
        ),
    )
    def post(self, request: Request) -> Response:
        body = EndpointCreateSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        asked = dict(body.validated_data)
        assert request.user.is_authenticated
        account = Account.objects.filter(pk=asked.pop("account"), user=request.user).first()
        if account is None:
            return refused("account", "Is not one of yours.")
        try:
            issued = services.endpoint_create(account=account, by=actor_of(request), **asked)
        except services.InvalidEndpoint as exc:
            return refused(exc.field, str(exc))
        answer = _issued(request, issued, status.HTTP_201_CREATED)
        answer["Location"] = answer.data["endpoint"]["url"]
        return answer

    @extend_schema(
        operation_id="webhooks_list",
        parameters=[PageQuerySerializer],
        responses={200: EndpointSerializer(many=True), 400: PROBLEM},
        description="Your endpoints, newest first; for staff, everybody's." + PAGES,
    )
    def get(self, request: Request) -> Response:
        query = PageQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        return listed(request, selectors.endpoints(user=request.user), query, EndpointSerializer)


class EndpointDetail(ApiView):
    """One endpoint."""

    takes_parameters = False

    def locked(self, **kwargs: Any) -> QuerySet[Any]:
        return Endpoint.objects.filter(pk=kwargs["endpoint_id"])

    @extend_schema(
        operation_id="webhooks_retrieve",
        responses={200: EndpointSerializer, 404: PROBLEM},
        description="One endpoint. Its token and secrets are never shown again.",
    )
    def get(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        return Response(EndpointSerializer(_shown(request, endpoint_id), context={"request": request}).data)

    @extend_schema(
        operation_id="webhooks_update",
        request=EndpointChangeSerializer,
        responses={200: EndpointSerializer, 400: PROBLEM, 403: PROBLEM, 404: PROBLEM},
        description=(
            f"Change an endpoint. Of staff who are not its user, this needs the permission {OPERATE}."
        ),
    )
    def patch(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        endpoint = _changeable(request, endpoint_id)
        body = EndpointChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            endpoint = services.endpoint_update(
                endpoint=endpoint, by=actor_of(request), **body.validated_data
            )
        except services.InvalidEndpoint as exc:
            return refused(exc.field, str(exc))
        return Response(EndpointSerializer(endpoint, context={"request": request}).data)

    @extend_schema(
        operation_id="webhooks_disable",
        responses={204: None, 403: PROBLEM, 404: PROBLEM},
        description="Switch the endpoint off: it refuses every signal. What it has received stays.",
    )
    def delete(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        services.endpoint_disable(endpoint=_changeable(request, endpoint_id), by=actor_of(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class EndpointRotate(ApiView):
    """Other credentials for an endpoint."""

    @extend_schema(
        operation_id="webhooks_rotate",
        request=RotateSerializer,
        responses={200: IssuedSerializer, 400: PROBLEM, 403: PROBLEM, 404: PROBLEM},
        description=(
            "Give the endpoint another token, secret or signing secret. The one before stays valid for"
            " `overlap_seconds`, so that senders can be changed meanwhile." + _ONCE
        ),
    )
    def post(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        endpoint = _changeable(request, endpoint_id)
        body = RotateSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        asked = body.validated_data
        issued = services.endpoint_rotate(
            endpoint=endpoint,
            what=asked["what"],
            by=actor_of(request),
            overlap=timedelta(seconds=asked["overlap_seconds"]),
        )
        return _issued(request, issued, status.HTTP_200_OK)


class EndpointTry(ApiView):
    """Trying out a body."""

    @extend_schema(
        operation_id="webhooks_test",
        summary="What each layer would say to a body",
        request=TrySerializer,
        responses={200: TrialSerializer, 400: PROBLEM, 403: PROBLEM, 404: PROBLEM},
        description="What each layer would say to this body. Nothing follows from it, and nothing is logged.",
    )
    def post(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        endpoint = _changeable(request, endpoint_id)
        body = TrySerializer(data=request.data)
        body.is_valid(raise_exception=True)
        asked = body.validated_data
        raw = asked["body"].encode(errors="surrogatepass")
        arrival = Arrival(
            body=raw,
            headers={name.lower(): value for name, value in asked.get("headers", {}).items()},
            simulation=asked.get("simulation"),
            size=len(raw),
            too_large=len(raw) > conf.max_body(),
        )
        sender = Sender(address=asked.get("address") or client_address(request._request))
        trial = endpoint_try(
            endpoint=endpoint, format=FORMATS[asked["format"]], arrival=arrival, sender=sender
        )
        return Response(_trial(trial))


class EndpointDeliveries(ApiView):
    """What was sent to an endpoint."""

    @extend_schema(
        operation_id="webhooks_deliveries_list",
        summary="What was sent to the endpoint, newest first",
        parameters=[DeliveryQuerySerializer],
        responses={200: DeliverySerializer(many=True), 400: PROBLEM, 404: PROBLEM},
        description="What was sent to the endpoint, newest first, within moments of its arrival." + PAGES,
    )
    def get(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        endpoint = _shown(request, endpoint_id)
        query = DeliveryQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        found = selectors.deliveries(user=request.user).filter(endpoint=endpoint)
        return listed(request, selectors.filtered(found, **query.conditions()), query, DeliverySerializer)


class DeliveryDetail(ApiView):
    """One delivery."""

    takes_parameters = False

    @extend_schema(
        operation_id="webhooks_deliveries_retrieve",
        responses={200: DeliverySerializer, 404: PROBLEM},
        description="One request that came to an endpoint of yours, and what became of it.",
    )
    def get(self, request: Request, delivery_id: uuid.UUID) -> Response:
        found = selectors.deliveries(user=request.user).filter(pk=delivery_id).first()
        if found is None:
            raise NotFound(f"There is no delivery {delivery_id} to an endpoint of yours.")
        return Response(DeliverySerializer(found, context={"request": request}).data)


def _shown(request: Request, endpoint_id: uuid.UUID) -> Endpoint:
    """The endpoint, if the caller may see it. Raises `NotFound`."""
    found = selectors.endpoints(user=request.user).filter(pk=endpoint_id).first()
    if found is None:
        raise NotFound(f"There is no endpoint {endpoint_id} of yours.")
    return found


def _changeable(request: Request, endpoint_id: uuid.UUID) -> Endpoint:
    """The endpoint, if the caller may change it: its user, and staff with the permission."""
    found = _shown(request, endpoint_id)
    check_operable(request, found.user_id, OPERATE)
    return found


def _issued(request: Request, issued: services.Issued, code: int) -> Response:
    response = Response(IssuedSerializer(issued, context={"request": request}).data, code)
    response["Cache-Control"] = "no-store"
    return response


def _trial(trial: Trial) -> dict[str, Any]:
    asked, instrument = trial.facts.parsed, None
    if trial.facts.instrument is not None:
        instrument = Instrument.objects.get(pk=trial.facts.instrument).text
    return {
        "outcome": trial.outcome.value,
        "status": trial.status,
        "decided_by": trial.decisive.layer.value if trial.decisive else None,
        "layers": [
            {
                "layer": said.layer.value,
                "result": said.result,
                "code": said.verdict.code if isinstance(said.verdict, Refusal) else "",
                "detail": said.verdict.detail if isinstance(said.verdict, Refusal) else "",
            }
            for said in trial.layers
        ],
        "signal": asked.signal.value if asked and asked.signal else None,
        "symbol": asked.symbol.given if asked and asked.symbol else None,
        "instrument": instrument,
        "quantity": f"{asked.quantity:f}" if asked and asked.quantity is not None else None,
        "price": f"{asked.price:f}" if asked and asked.price is not None else None,
        "simulation": trial.facts.simulation if asked else None,
        "key": asked.key if asked else None,
    }
