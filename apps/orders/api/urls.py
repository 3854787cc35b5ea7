from __future__ import annotations

from django.urls import path

from apps.orders.api.accounts import AccountDetail, AccountKeys, AccountList
from apps.orders.api.orders import (
    FillList,
    OrderCancel,
    OrderDetail,
    OrderList,
    OrderLook,
    OrderResolve,
    OrderTimeline,
    PositionList,
)

_ACCOUNT = "accounts/<uuid:account_id>"
_ORDER = "orders/<uuid:order_id>"

urlpatterns = [
    path("accounts", AccountList.as_view(), name="account-list"),
    path(_ACCOUNT, AccountDetail.as_view(), name="account-detail"),
    path(f"{_ACCOUNT}/keys", AccountKeys.as_view(), name="account-keys"),
    path("orders", OrderList.as_view(), name="order-list"),
    path(_ORDER, OrderDetail.as_view(), name="order-detail"),
    path(f"{_ORDER}/timeline", OrderTimeline.as_view(), name="order-timeline"),
    path(f"{_ORDER}/cancel", OrderCancel.as_view(), name="order-cancel"),
    path(f"{_ORDER}/look", OrderLook.as_view(), name="order-look"),
    path(f"{_ORDER}/resolve", OrderResolve.as_view(), name="order-resolve"),
    path("positions", PositionList.as_view(), name="position-list"),
    path("fills", FillList.as_view(), name="fill-list"),
]
