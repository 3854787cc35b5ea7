"""What the views of this app have in common: finding what is the caller's, and showing pages."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core import paging
from apps.core.api import check_operable
from apps.core.paging import PageQuerySerializer
from apps.orders import selectors
from apps.orders.models import Account, Order

#: What the admin asks for, too, before anything is done to what is somebody else's.
CHANGE_ACCOUNT, CHANGE_ORDER = "orders.change_account", "orders.change_order"


def account_shown(request: Request, account_id: uuid.UUID) -> Account:
    """The account, if the caller may see it. Raises `NotFound`."""
    found = selectors.accounts(user=request.user).filter(pk=account_id).first()
    if found is None:
        raise NotFound(f"There is no account {account_id} of yours.")
    return found


def account_changeable(request: Request, account_id: uuid.UUID) -> Account:
    """The account, if the caller may change it: its user, and staff with the permission."""
    found = account_shown(request, account_id)
    check_operable(request, found.user_id, CHANGE_ACCOUNT)
    return found


def order_shown(request: Request, order_id: uuid.UUID) -> Order:
    """The order, if the caller may see it. Raises `NotFound`."""
    found = selectors.orders(user=request.user).filter(pk=order_id).first()
    if found is None:
        raise NotFound(f"There is no order {order_id} of yours.")
    return found


def order_changeable(request: Request, order_id: uuid.UUID) -> Order:
    """The order, if the caller may do something to it: its user, and staff with the permission."""
    found = order_shown(request, order_id)
    check_operable(request, found.account.user_id, CHANGE_ORDER)
    return found


def listed(
    request: Request,
    found: QuerySet[Any],
    query: type[PageQuerySerializer],
    shown: type[serializers.BaseSerializer[Any]],
) -> Response:
    """A page of those of *found* that the query asks for."""
    asked = query(data=request.query_params)
    asked.is_valid(raise_exception=True)
    return paging.listed(request, selectors.filtered(found, **asked.conditions()), asked, shown)


def one(request: Request, row: Any, shown: type[serializers.BaseSerializer[Any]]) -> Any:
    """A row as it is answered."""
    return shown(row, context={"request": request}).data
