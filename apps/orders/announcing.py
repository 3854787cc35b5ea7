"""Telling users by e-mail, and the audit, of what happened to orders. In the caller's transaction."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.urls import reverse
from django.utils import timezone

from apps import audit
from apps.audit.entries import Outcome
from apps.notifications import services as notifications
from apps.notifications.links import links_to
from apps.orders.amounts import text
from apps.orders.models import Account, Order

#: Rejections that nobody is written to for.
_SILENT = frozenset({"flat"})


def order_audit(order: Order, action: str, *, outcome: Outcome = "succeeded", **detail: Any) -> None:
    """An entry of the audit about an order."""
    audit.record(
        action=action,
        object_type="orders.order",
        object_id=str(order.pk),
        account=str(order.account_id),
        outcome=outcome,
        detail={
            "instrument": order.instrument.text,
            "side": order.side,
            "kind": order.kind,
            "intent": order.intent,
            "quantity": text(order.quantity),
            "simulation": order.simulation,
            **detail,
        },
    )


def order_placed(order: Order) -> None:
    """It was accepted."""
    price = None if order.price is None else text(order.price)
    order_audit(order, "order.placed", price=price, source=order.source, signal=order.signal)


def order_rejected(order: Order, *, mail: bool = True) -> None:
    """It was rejected, or ended before it had any effect; with *mail*, its user was not there to see it."""
    order_audit(order, "order.rejected", outcome="refused", code=order.reason_code, reason=order.reason)
    if mail and order.reason_code not in _SILENT:
        _mail(
            order,
            "order_rejected",
            reason_code=order.reason_code,
            reason=order.reason,
            at=timezone.now().isoformat(timespec="seconds"),
        )


def order_needs_review(order: Order) -> None:
    """Nobody could find out what became of it. Told anew for every time that it comes to this."""
    order_audit(order, "order.needs_review", outcome="failed", code=order.reason_code, reason=order.reason)
    _mail(
        order,
        "order_needs_review",
        about=f"order:{order.pk}:{order.version}",
        filled=text(order.filled),
        looks=order.looks,
        reason=order.reason,
    )


def order_unanswered(order: Order) -> None:
    """A submission had no answer."""
    since = order.submission_started_at or timezone.now()
    _mail(
        order,
        "verification_needed",
        about=f"order:{order.pk}:{order.submissions}",
        since=since.isoformat(timespec="seconds"),
    )


def daily_limit_reached(account: Account, *, day: date, simulation: bool, limit: int) -> None:
    """The first order of a day was refused for the account's limit."""
    audit.record(
        action="daily_limit.reached",
        object_type="orders.account",
        object_id=str(account.pk),
        account=str(account.pk),
        outcome="refused",
        detail={"day": day.isoformat(), "limit": limit, "plan": account.plan, "simulation": simulation},
    )
    notifications.email_request(
        kind="daily_limit",
        user=account.user,
        about=f"account:{account.pk}:{day.isoformat()}:{'paper' if simulation else 'real'}",
        context={
            "account": account.name,
            "limit": limit,
            "day": day.isoformat(),
            "plan": account.plan,
            "simulation": simulation,
            **links_to(
                account,
                user=account.user,
                api=reverse("account-detail", kwargs={"account_id": account.pk}),
            ),
        },
    )


def _mail(order: Order, kind: str, *, about: str = "", **context: Any) -> None:
    notifications.email_request(
        kind=kind,
        user=order.account.user,
        about=about or f"order:{order.pk}",
        context={
            "order_id": str(order.pk),
            "account": order.account.name,
            "instrument": order.instrument.text,
            "side": order.side,
            "quantity": text(order.quantity),
            "simulation": order.simulation,
            **links_to(
                order,
                user=order.account.user,
                api=reverse("order-detail", kwargs={"order_id": order.pk}),
            ),
            **context,
        },
    )
