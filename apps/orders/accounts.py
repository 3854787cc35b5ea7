"""Accounts: made, changed and switched off by their users and by operators, and their keys, kept sealed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from apps import audit
from apps.core import context
from apps.core.crypto import SealedColumn, seal
from apps.core.database import clock
from apps.orders import conf, limits
from apps.orders.models import Account

#: What may be changed, and of that what only staff may change.
CHANGEABLE = ("name", "simulation", "enabled", "plan", "daily_limit")
STAFF_ONLY = ("plan",)


class InvalidAccount(ValueError):
    """The account cannot be so. ``field`` names the part at fault."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class NotAllowed(Exception):
    """Only staff may do this."""


def seal_context(account: Account, column: str) -> str:
    """What a sealed key is bound to. *column* is ``api_key`` or ``api_secret``."""
    return f"orders.account:{account.pk}:{column}"


#: For ``manage.py encryption_rotate``.
SEALED_COLUMNS = tuple(
    SealedColumn(model=Account, column=column, context=partial(seal_context, column=column))
    for column in ("api_key", "api_secret")
)


@transaction.atomic
def account_create(
    *,
    user: User,
    name: str,
    exchange: str,
    by: str,
    simulation: bool = True,
    plan: str = "basic",
    daily_limit: int | None = None,
    staff: bool = False,
) -> Account:
    """Make an account of *user* at an exchange, on behalf of the actor *by*.

    Raises `InvalidAccount` naming the field, and `NotAllowed` for what only *staff* may choose.
    """
    account = Account(user=user, exchange=exchange)
    given = {"name": name, "simulation": simulation, "plan": plan, "daily_limit": daily_limit}
    if exchange not in conf.exchanges():
        raise InvalidAccount("exchange", f"Must be one of {', '.join(conf.exchanges())}.")
    if plan != account.plan and not staff:
        raise NotAllowed("Only staff may choose a plan.")
    account_set(account, given, staff=staff)
    _save(account, force_insert=True)
    _record(account, "account.created", by, after=_shown(account))
    return account


@transaction.atomic
def account_update(*, account: Account, by: str, staff: bool = False, **changes: Any) -> Account:
    """Change some of `CHANGEABLE`. Raises as `account_create`.

    A limit that was within the plan and is above the new one goes with the plan: it was not staff's to allow.
    """
    unknown = changes.keys() - set(CHANGEABLE)
    if unknown:
        raise TypeError(f"of an account nobody can change {', '.join(sorted(unknown))}")
    now = (
        Account.objects.select_for_update(of=("self",), no_key=True).select_related("user").get(pk=account.pk)
    )
    before = _shown(now)
    for name in STAFF_ONLY:
        if name in changes and changes[name] != getattr(now, name) and not staff:
            raise NotAllowed(f"Only staff may change the {name}.")
    if _outgrown(now, changes):
        changes["daily_limit"] = None
    account_set(now, changes, staff=staff)
    _save(now)
    after = _shown(now)
    changed = [name for name in CHANGEABLE if before[name] != after[name]]
    if changed:
        disabled = "enabled" in changed and not now.enabled
        _record(
            now,
            "account.disabled" if disabled else "account.changed",
            by,
            before={name: before[name] for name in changed},
            after={name: after[name] for name in changed},
        )
    return now


def account_disable(*, account: Account, by: str) -> Account:
    """Switch the account off: it takes no new orders, and what waits is not submitted.

    Orders that are at the broker stay there, and are looked at until they have ended.
    """
    return account_update(account=account, by=by, enabled=False)


@transaction.atomic
def account_set_keys(*, account: Account, api_key: str, api_secret: str, by: str) -> Account:
    """Store the keys of the account's exchange, sealed, in the place of those that are there.

    They are never shown again, but for the last four characters of the key. Raises `InvalidAccount`, and
    `NoKey` where ``ENCRYPTION_KEYS`` has none.
    """
    for field, value in (("api_key", api_key), ("api_secret", api_secret)):
        if not value.isascii() or not value.isprintable() or " " in value or not 8 <= len(value) <= 512:
            raise InvalidAccount(field, "From 8 to 512 printable ASCII characters, no spaces.")
    now = (
        Account.objects.select_for_update(of=("self",), no_key=True).select_related("user").get(pk=account.pk)
    )
    now.api_key = seal(api_key, context=seal_context(now, "api_key"))
    now.api_secret = seal(api_secret, context=seal_context(now, "api_secret"))
    now.key_hint, now.keys_set_at = api_key[-4:], _moment()
    now.save(update_fields=["api_key", "api_secret", "key_hint", "keys_set_at"])
    _record(now, "account.keys_set", by, detail={"key_hint": now.key_hint})
    return now


@transaction.atomic
def account_clear_keys(*, account: Account, by: str) -> Account:
    """Forget the keys: nothing is traded for real until there are others."""
    now = (
        Account.objects.select_for_update(of=("self",), no_key=True).select_related("user").get(pk=account.pk)
    )
    if now.api_key or now.api_secret:
        hint = now.key_hint
        # When they changed last is known to clients that were made with them.
        now.api_key, now.api_secret, now.key_hint, now.keys_set_at = "", "", "", _moment()
        now.save(update_fields=["api_key", "api_secret", "key_hint", "keys_set_at"])
        _record(now, "account.keys_cleared", by, detail={"key_hint": hint})
    return now


def _moment() -> datetime:
    """Now, by the clock that submissions are recorded with, which tells what came first."""
    return datetime.fromtimestamp(clock(), tz=UTC)


def account_set(account: Account, values: Mapping[str, Any], *, staff: bool) -> None:
    """Set these fields of an account that is not saved then, each checked. Raises `InvalidAccount`."""
    for name, value in values.items():
        setattr(account, name, value)
    account.name = account.name.strip()
    if not 1 <= len(account.name) <= 64 or not account.name.isprintable():
        raise InvalidAccount("name", "From 1 to 64 printable characters.")
    try:
        plan = limits.plan(account.plan)
    except limits.UnknownPlan as exc:
        if "plan" in values:
            raise InvalidAccount("plan", f"{exc}.") from None
        plan = limits.plan_named(account.plan)
    if plan.simulation_only and not account.simulation and values.get("simulation") is False:
        raise InvalidAccount("simulation", f"The plan {plan.name} allows trading on paper only.")
    limit = values.get("daily_limit")
    if limit is not None and not 0 <= limit <= 2**31 - 1:
        raise InvalidAccount("daily_limit", "Must not be negative, nor above 2147483647.")
    if limit is not None and limit > plan.daily_orders and not staff:
        raise InvalidAccount("daily_limit", f"The plan {plan.name} allows {plan.daily_orders} orders a day.")


def _outgrown(account: Account, changes: Mapping[str, Any]) -> bool:
    """Whether the account's limit, which stays, may have been set by its user and is above the new plan's."""
    limit, plans = account.daily_limit, conf.plans()
    before, after = plans.get(account.plan), plans.get(changes.get("plan", account.plan))
    if limit is None or after is None or after is before or changes.get("daily_limit", limit) != limit:
        return False
    users = before is None or limit <= int(before["daily_orders"])
    return users and limit > int(after["daily_orders"])


def _save(account: Account, **options: Any) -> None:
    try:
        with transaction.atomic():
            account.save(**options)
    except IntegrityError as exc:
        if "orders_account_name" not in str(exc):
            raise
        raise InvalidAccount("name", f"There is an account {account.name!r} already.") from None


def _shown(account: Account) -> dict[str, Any]:
    return {name: getattr(account, name) for name in CHANGEABLE}


def _record(account: Account, action: str, by: str, **more: Any) -> None:
    with context.bind(actor=by):
        audit.record(
            action=action,
            object_type="orders.account",
            object_id=str(account.pk),
            account=str(account.pk),
            **more,
        )
