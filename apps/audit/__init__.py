"""Who did what, when and from where: an append-only chain.

    register(Action(name="order.placed", label="Placed an order", object_type="orders.order"))

    changes = Changes({"enabled": True}, {"enabled": False})
    record(action="account.changed", object_id=account.pk, before=changes.before, after=changes.after)

An entry is part of the caller's transaction, and a worker appends it to the chain afterwards.
"""

from __future__ import annotations

from apps.audit.actions import Action, Level, all_actions, register
from apps.audit.changes import Changes
from apps.audit.recording import record, record_many

__all__ = ["Action", "Changes", "Level", "all_actions", "record", "record_many", "register"]
