"""What of accounts and orders is audited."""

from __future__ import annotations

from apps.audit import Action, Level, register

for _action in (
    Action(name="account.created", label="Account created", object_type="orders.account"),
    Action(name="account.changed", label="Account changed", object_type="orders.account"),
    Action(
        name="account.disabled",
        label="Account switched off",
        object_type="orders.account",
        level=Level.NOTICE,
    ),
    Action(
        name="account.keys_set",
        label="Keys of an account set",
        object_type="orders.account",
        level=Level.NOTICE,
    ),
    Action(
        name="account.keys_cleared",
        label="Keys of an account removed",
        object_type="orders.account",
        level=Level.NOTICE,
    ),
    Action(
        name="daily_limit.reached",
        label="Daily limit reached",
        object_type="orders.account",
        level=Level.NOTICE,
    ),
    Action(name="order.placed", label="Order placed", object_type="orders.order"),
    Action(name="order.cancel_requested", label="Order to be cancelled", object_type="orders.order"),
    Action(name="order.rejected", label="Order rejected", object_type="orders.order", level=Level.NOTICE),
    Action(
        name="order.needs_review", label="Order needs review", object_type="orders.order", level=Level.WARNING
    ),
    Action(
        name="order.resolved",
        label="Order resolved by a person",
        object_type="orders.order",
        level=Level.NOTICE,
    ),
):
    register(_action)
