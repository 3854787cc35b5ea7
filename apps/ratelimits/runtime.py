"""The rules in force, from the settings and the database."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import Min, Q
from django.utils import timezone

from apps.core.addresses import network_of
from apps.core.networks import Networks
from apps.ratelimits.models import AddressRule, PolicyChange
from apps.ratelimits.rules import Change, Group, Mode, Ruleset

logger = logging.getLogger("apps.ratelimits")


def load(groups: Sequence[Group], *, allowed: Iterable[str], denied: Iterable[str]) -> Ruleset:
    """The rules of *groups* with what operators changed, and networks with theirs."""
    changes = [
        Change(
            group=row.group,
            rule=row.rule,
            plan=row.plan,
            limit=row.limit,
            window=None if row.window is None else row.window * 1000,
            mode=Mode(row.mode) if row.mode else None,
            unlimited=row.unlimited,
        )
        for row in PolicyChange.objects.all()
    ]
    networks = address_rules(timezone.now())
    return Ruleset(
        groups,
        changes=changes,
        allowed=Networks([*allowed, *networks[AddressRule.Verdict.ALLOW]]),
        denied=Networks([*denied, *networks[AddressRule.Verdict.DENY]]),
    )


def address_rules(now: datetime) -> dict[str, list[str]]:
    """The networks that are let through and shut out at that time, by verdict."""
    found: dict[str, list[str]] = {verdict: [] for verdict in AddressRule.Verdict.values}
    rows = AddressRule.objects.filter(Q(until__isnull=True) | Q(until__gt=now))
    for verdict, network in rows.values_list("verdict", "network"):
        try:
            found[verdict].append(str(network_of(network)))
        except ValueError as exc:
            # Written past the services. All others have to go on.
            logger.error("an address rule is left out: %s", exc)
    return found


def seconds_to_next_end() -> float:
    """Until the next of the networks' rules ends; infinite where none does."""
    now = timezone.now()
    end: datetime | None = AddressRule.objects.filter(until__gt=now).aggregate(end=Min("until"))["end"]
    return math.inf if end is None else (end - now).total_seconds()


def announce() -> None:
    """Have every process read the rules anew, once the transaction is committed."""
    from apps.ratelimits.engine import engine

    transaction.on_commit(lambda: engine().announce())
