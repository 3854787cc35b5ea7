"""What operators do: change a rule, let an address in or out, forget what was charged to somebody.

*by* is the actor on whose behalf it is done; null: whoever acts in the context. All of it is audited.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction

from apps.audit import Action, Changes, record
from apps.ratelimits import audit_actions, runtime
from apps.ratelimits.engine import engine
from apps.ratelimits.faults import check_address_rule, check_policy_change
from apps.ratelimits.limiter import Charge, Policy
from apps.ratelimits.models import AddressRule, PolicyChange

_POLICY = ("group", "rule", "plan", "limit", "window", "mode", "unlimited", "note")
_ADDRESS = ("network", "verdict", "until", "note")


@transaction.atomic
def policy_change_save(
    *,
    group: str,
    rule: str,
    plan: str = "",
    limit: int | None = None,
    window: int | None = None,
    mode: str = "",
    unlimited: bool = False,
    note: str = "",
    by: str | None = None,
) -> PolicyChange:
    """Have a rule, or a plan of it, differ from the settings in this, and in nothing else.

    Every process follows, and what was charged before counts under the new limit. Raises `ValidationError`
    by field for a rule that is not in the settings, and for what cannot be.
    """
    known = PolicyChange.objects.select_for_update().filter(group=group, rule=rule, plan=plan).first()
    row = known or PolicyChange(group=group, rule=rule, plan=plan)
    before = _told(row, _POLICY) if known else {}
    row.limit, row.window, row.mode, row.unlimited, row.note = limit, window, mode, unlimited, note
    check_policy_change(row, engine().groups)
    _save(row, before, _POLICY, audit_actions.POLICY_CHANGED, by, {"rule": str(row)})
    return row


@transaction.atomic
def policy_change_delete(*, change: PolicyChange, by: str | None = None) -> None:
    """Have a rule, or a plan of it, be as the settings have it. Nothing happens where it is already."""
    row = PolicyChange.objects.select_for_update().filter(pk=change.pk).first()
    if row is not None:
        _delete(row, _POLICY, audit_actions.POLICY_CHANGED, by, {"rule": str(row)})


@transaction.atomic
def address_rule_save(
    *, network: str, verdict: str, until: datetime | None = None, note: str = "", by: str | None = None
) -> AddressRule:
    """Let a network through, or shut it out, until then; in the place of the rule that it has.

    Raises `ValidationError` by field for what is no network, for everybody, and for a time that is over.
    """
    row = AddressRule(network=network, verdict=verdict, until=until, note=note)
    row.clean()
    known = AddressRule.objects.select_for_update().filter(network=row.network).first()
    before = _told(known, _ADDRESS) if known else {}
    if known is not None:
        known.verdict, known.until, known.note = verdict, until, note
        row = known
    check_address_rule(row)
    _save(row, before, _ADDRESS, audit_actions.ADDRESSES_CHANGED, by, {"network": row.network})
    return row


@transaction.atomic
def address_rule_delete(*, rule: AddressRule, by: str | None = None) -> None:
    """Treat a network as the settings do. Nothing happens where its rule is gone already."""
    row = AddressRule.objects.select_for_update().filter(pk=rule.pk).first()
    if row is not None:
        _delete(row, _ADDRESS, audit_actions.ADDRESSES_CHANGED, by, {"network": row.network})


@transaction.atomic
def subject_reset(*, subject: str, policies: Sequence[str] | None = None, by: str | None = None) -> int:
    """Forget what *subject* was charged under *policies* (ids), or under all. Returns under how many it was.

    Processes that remember a denial of theirs forget it within seconds. Raises `Unavailable` where Redis
    gives no answer, and nothing is forgotten then; `LookupError` for a policy that is not there.
    """
    limits = engine()
    rules = limits.rules()
    if policies is None:
        policies = [rule.id for group in rules.groups for rule in group.rules]
    found = [rules.rule(one) for one in dict.fromkeys(policies)]
    asked = [Charge(Policy(one.id, one.rate.limit, one.rate.window), subject) for one in found]
    # First of all, so that nothing is forgotten that the audit does not know of.
    record(
        action=audit_actions.RESET.name,
        object_id=subject,
        before={one.policy.id: one.used for one in limits.limiter.stats(asked) if one.used},
        after={},
        detail={"policies": [one.id for one in found]},
        actor=by,
    )
    forgotten = limits.limiter.reset(subject, [one.id for one in found])
    limits.announce()
    return forgotten


def _save(
    row: models.Model,
    before: Mapping[str, Any],
    names: Sequence[str],
    action: Action,
    by: str | None,
    detail: Mapping[str, str],
) -> None:
    changes = Changes(before, _told(row, names))
    if not changes:
        return
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as exc:
        raise ValidationError("Somebody else has just done the same: look at what there is.") from exc
    _record(row, changes, action, by, detail)


def _delete(
    row: models.Model, names: Sequence[str], action: Action, by: str | None, detail: Mapping[str, str]
) -> None:
    _record(row, Changes(_told(row, names), {}), action, by, detail)
    row.delete()


def _record(
    row: models.Model, changes: Changes, action: Action, by: str | None, detail: Mapping[str, str]
) -> None:
    record(
        action=action.name,
        object_id=row.pk,
        before=changes.before,
        after=changes.after,
        detail=detail,
        actor=by,
    )
    runtime.announce()


def _told(row: models.Model, names: Sequence[str]) -> dict[str, Any]:
    found = {name: getattr(row, name) for name in names}
    return {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in found.items()
    }
