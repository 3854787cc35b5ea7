"""What the views of backtests have in common: finding one, showing some, naming the fault."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.http import Http404
from rest_framework.exceptions import NotFound, ParseError, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from apps.backtests import selectors
from apps.backtests.api.shown import BacktestSummarySerializer
from apps.backtests.asking import InvalidBacktest
from apps.backtests.models import Backtest
from apps.core import api
from apps.core.problems import ContentTooLarge

# Bytes: many times what the longest strategy has.
_LARGEST = 1_000_000

#: What the admin asks for, too, before it cancels and deletes.
OPERATE = "backtests.change_backtest"


def own(request: Request, backtest_id: uuid.UUID) -> Backtest:
    """The backtest, with its light result, if the caller may see it. Raises `NotFound`."""
    visible = selectors.with_results(selectors.backtests(user=request.user))
    found = visible.filter(pk=backtest_id).first()
    if found is None:
        raise NotFound(f"There is no backtest {backtest_id} of yours.")
    return found


def operable(request: Request, backtest_id: uuid.UUID) -> Backtest:
    """The backtest, if the caller may end or delete it: its owner, and staff with the admin's permission.

    Raises `NotFound` where the caller may not even see it, and `PermissionDenied`.
    """
    found = own(request, backtest_id)
    api.check_operable(request, found.owner_id, OPERATE)
    return found


def owned(request: Request, backtest_id: uuid.UUID) -> Backtest:
    """The backtest, if it is the caller's own. Raises `NotFound` and `PermissionDenied`, as `operable`."""
    found = own(request, backtest_id)
    if found.owner_id != request.user.pk:
        raise PermissionDenied("Only the owner may do this.")
    return found


@contextmanager
def still_there() -> Iterator[None]:
    """What is deleted between being found and being read or changed becomes `Http404`."""
    try:
        yield
    except ObjectDoesNotExist:
        raise Http404("It has just been deleted.") from None


def shown(
    request: Request, backtests: Sequence[Backtest], serializer: type[BacktestSummarySerializer]
) -> list[dict[str, Any]]:
    """Backtests with how they stand, in one query for all of them."""
    statuses = selectors.statuses(backtests)
    answers = []
    for backtest in backtests:
        where = {"backtest_id": backtest.pk}
        urls = {
            name: reverse(f"backtest-{name}", kwargs=where, request=request)
            for name in ("detail", "trades", "equity", "report")
        }
        context = {"status": statuses[backtest.pk], "urls": urls}
        answers.append(dict(serializer(backtest, context=context).data))
    return answers


def body_of(request: Request) -> Any:
    """The parsed body, which can be shown again.

    Raises `ContentTooLarge`, and `ParseError` for one that is nested too deeply or holds half a character.
    """
    if int(request.META.get("CONTENT_LENGTH") or 0) > _LARGEST:
        raise ContentTooLarge(f"A body has at most {_LARGEST:,} bytes here.")
    try:
        data = request.data
        json.dumps(data, ensure_ascii=False).encode()
    except RecursionError:
        raise ParseError("The body is nested too deeply.") from None
    except UnicodeEncodeError:
        raise ParseError("The body holds half of a surrogate pair.") from None
    return data


def refused(exc: InvalidBacktest) -> Response:
    """The problem that says what is wrong, and where."""
    return api.refused(exc.field, str(exc), **exc.place)
