"""Backtests over HTTP."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from apps.backtests import identity, selectors, services
from apps.backtests.api.asked import (
    BacktestListQuerySerializer,
    BacktestRequestSerializer,
)
from apps.backtests.api.finding import (
    body_of,
    operable,
    own,
    owned,
    refused,
    shown,
    still_there,
)
from apps.backtests.api.shown import (
    BacktestSerializer,
    BacktestSummarySerializer,
    MissingCandlesSerializer,
    ShareSerializer,
)
from apps.backtests.models import Backtest
from apps.core.api import PAGES, PROBLEM, idempotency_key, key_schema, replayed
from apps.core.clients import actor_of
from apps.core.paging import followed
from apps.core.problems import CONTENT_TYPE, Conflict, IdempotencyKeyReused, problem
from apps.core.views import ApiView


class TooManyFetches(APIException):
    """The caller has enough being fetched (429)."""

    status_code = status.HTTP_429_TOO_MANY_REQUESTS
    default_code = "too-many-requests"


class BacktestList(ApiView):
    """Where backtests are asked for."""

    # A key is kept as long as its backtest.
    keeps_answers = False

    @extend_schema(
        operation_id="backtests_create",
        summary="Run a strategy over stored bars",
        parameters=[
            OpenApiParameter(
                "Idempotency-Key",
                key_schema(),
                OpenApiParameter.HEADER,
                description=(
                    "Up to 255 printable characters. The same key with the same body gives the same backtest"
                    " again, as long as it is there; with another body it is refused."
                ),
            )
        ],
        request=BacktestRequestSerializer,
        responses={
            200: BacktestSerializer,
            202: BacktestSerializer,
            400: PROBLEM,
            (409, CONTENT_TYPE): MissingCandlesSerializer,
            413: PROBLEM,
            429: PROBLEM,
        },
        description=(
            "Run a strategy over the bars that open in [start, end) and have ended, in the background (202)."
            " `Location` and `url` say where to see how it goes on; whoever asked is told by e-mail when it"
            " has finished. Where a result of the same specification, range and candles is stored, the"
            " backtest has it at once (200, `reused`). All is checked before anything is queued. 409 is the"
            " problem `missing-candles`, which lists gaps, or `idempotency-key-reused`."
            " 429 where as many backtests of yours as may be wait for candles that are being fetched."
        ),
    )
    def post(self, request: Request) -> Response:
        given = body_of(request)
        body = BacktestRequestSerializer(data=given)
        body.is_valid(raise_exception=True)
        assert request.user.is_authenticated
        try:
            backtest = services.backtest_request(
                owner_id=request.user.pk, key=key_of(request, given), **body.arguments()
            )
        except services.InvalidBacktest as exc:
            return refused(exc)
        except services.KeyReused as exc:
            raise IdempotencyKeyReused(str(exc)) from None
        except services.TooManyFetches as exc:
            raise TooManyFetches(str(exc)) from None
        except services.MissingCandles as exc:
            return missing_candles(exc)
        answer = shown(request, [backtest], BacktestSerializer)[0]
        code = status.HTTP_200_OK if backtest.reused else status.HTTP_202_ACCEPTED
        response = Response(answer, code, headers={"Location": answer["url"]})
        return replayed(response, repeated=backtest.was_there)

    @extend_schema(
        operation_id="backtests_list",
        summary="Your backtests that fulfil all conditions",
        parameters=[BacktestListQuerySerializer],
        responses={200: BacktestSummarySerializer(many=True), 400: PROBLEM},
        description=(
            "Your backtests that fulfil all conditions, newest first, without their results; for staff,"
            " everybody's." + PAGES
        ),
    )
    def get(self, request: Request) -> Response:
        query = BacktestListQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        asked = query.conditions()
        ordering, after = asked.pop("ordering"), query.validated_data.get("after")
        found = selectors.filtered(selectors.backtests(user=request.user), **asked)
        page = selectors.page(
            found,
            ordering=ordering,
            after=None if after is None else after[1:],
            limit=query.validated_data["limit"],
        )
        response = Response(shown(request, page.backtests, BacktestSummarySerializer))
        return followed(request, response, None if page.last is None else (ordering, *page.last))


class BacktestDetail(ApiView):
    """One backtest."""

    takes_parameters = False

    def locked(self, **kwargs: Any) -> QuerySet[Any]:
        return Backtest.objects.filter(pk=kwargs["backtest_id"])

    @extend_schema(
        operation_id="backtests_retrieve",
        summary="How a backtest stands, and its metrics and equity",
        responses={200: BacktestSerializer, 404: PROBLEM},
        description="How a backtest stands and, once it has succeeded, its metrics and equity.",
    )
    def get(self, request: Request, backtest_id: uuid.UUID) -> Response:
        return Response(shown(request, [own(request, backtest_id)], BacktestSerializer)[0])

    @extend_schema(
        operation_id="backtests_destroy",
        responses={204: None, 403: PROBLEM, 404: PROBLEM},
        description=(
            "Delete a backtest, with its result where no other has it. One that runs is cancelled. Of staff"
            " who are not its owner, this needs the permission to change backtests."
        ),
    )
    def delete(self, request: Request, backtest_id: uuid.UUID) -> Response:
        with still_there():
            services.backtest_delete(backtest=operable(request, backtest_id), actor=actor_of(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class BacktestCancel(ApiView):
    """Ending a backtest."""

    @extend_schema(
        operation_id="backtests_cancel",
        request=None,
        responses={200: BacktestSummarySerializer, 403: PROBLEM, 404: PROBLEM, 409: PROBLEM},
        description=(
            "Cancel a backtest: for good where it has not started, within moments where it runs. Candles that"
            " are being fetched for it are fetched all the same. 409 where it has ended. Of staff who are not"
            " its owner, this needs the permission to change backtests."
        ),
    )
    def post(self, request: Request, backtest_id: uuid.UUID) -> Response:
        backtest = operable(request, backtest_id)
        try:
            with still_there():
                services.backtest_cancel(backtest=backtest, actor=actor_of(request))
        except services.Ended as exc:
            raise Conflict(str(exc)) from None
        return Response(shown(request, [backtest], BacktestSummarySerializer)[0])


class BacktestShare(ApiView):
    """The read-only link to a backtest."""

    @extend_schema(
        operation_id="backtests_share",
        summary="Make a link by which anybody may read this backtest",
        request=None,
        responses={201: ShareSerializer, 403: PROBLEM, 404: PROBLEM},
        description=(
            "Make a link by which anybody may read settings, result, trades and equity of this backtest, and"
            " see its report. It is shown only now; the one before does not work any more. Only the owner"
            " may do this."
        ),
    )
    def post(self, request: Request, backtest_id: uuid.UUID) -> Response:
        with still_there():
            token = services.backtest_share(backtest=owned(request, backtest_id))
        url, page = (
            reverse(name, kwargs={"token": token}, request=request)
            for name in ("shared-backtest", "backtest-shared")
        )
        response = Response({"token": token, "url": url, "report_url": page}, status.HTTP_201_CREATED)
        response["Cache-Control"] = "no-store"
        return response

    @extend_schema(
        operation_id="backtests_unshare",
        responses={204: None, 403: PROBLEM, 404: PROBLEM},
        description="End the link, if there is one. Only the owner may do this.",
    )
    def delete(self, request: Request, backtest_id: uuid.UUID) -> Response:
        with still_there():
            services.backtest_unshare(backtest=owned(request, backtest_id))
        return Response(status=status.HTTP_204_NO_CONTENT)


def key_of(request: Request, body: Any) -> services.Key | None:
    """The idempotency key with the body's hash. Raises `ValidationError`."""
    text = idempotency_key(request, longest=255)
    if not text:
        return None
    return services.Key(text=text, body_hash=identity.digest(body))


def missing_candles(exc: services.MissingCandles) -> Response:
    """The problem that lists the gaps."""
    body = problem("missing-candles", status.HTTP_409_CONFLICT, str(exc))
    body |= {"gap_count": exc.count, "missing_minutes": exc.minutes, "gaps": exc.listed()}
    return Response(body, status.HTTP_409_CONFLICT, content_type=CONTENT_TYPE)
