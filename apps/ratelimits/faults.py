"""What operators cannot ask for, said in a way that tells them what to do instead."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.exceptions import ValidationError
from django.utils import timezone

from apps.core.addresses import network_of
from apps.ratelimits.models import AddressRule, PolicyChange
from apps.ratelimits.rules import By, Group, Rule
from apps.ratelimits.rules.groups import NAME

_GONE = "The settings do not have it any more, so this row changes nothing. Delete it."


def rule_of(groups: Sequence[Group], row: PolicyChange) -> Rule | None:
    """The rule of the settings that *row* is about; null: there is none any more."""
    for group in groups:
        if group.name == row.group:
            return next((rule for rule in group.rules if rule.name == row.rule), None)
    return None


def check_policy_change(row: PolicyChange, groups: Sequence[Group]) -> None:
    """Raises `ValidationError`, by field, unless *row* may be saved beside the settings' *groups*."""
    row.full_clean()
    rule = rule_of(groups, row)
    if rule is None:
        raise ValidationError(_GONE if row.pk else _unknown(row, groups))
    if row.plan:
        _check_plan(row.plan, rule)
    if row.unlimited and (row.limit is not None or row.window is not None):
        raise ValidationError({"unlimited": "A plan without a limit has neither a limit nor a window."})
    if row.limit is None and row.window is None and not row.mode and not row.unlimited:
        also = " or that the plan has no limit" if row.plan else " or a mode"
        raise ValidationError(f"Nothing differs from the settings: give a limit, a window{also}.")


def _unknown(row: PolicyChange, groups: Sequence[Group]) -> dict[str, str]:
    found = next((group for group in groups if group.name == row.group), None)
    if found is None:
        return {"group": f"There is no group {row.group}."}
    if found.exempt:
        return {"group": f"The group {row.group} is exempt: it has no rules."}
    known = ", ".join(rule.name for rule in found.rules)
    return {"rule": f"The group {row.group} has no rule {row.rule}. It has {known}."}


def _check_plan(plan: str, rule: Rule) -> None:
    if not NAME.fullmatch(plan):
        raise ValidationError({"plan": "A plan is lower-case letters, digits, - and _, a letter first."})
    if rule.by not in (By.USER, By.KEY):
        told = f"Only who has been verified has a plan, and the rule {rule.id} is by {rule.by.value}."
        raise ValidationError({"plan": told})


def check_address_rule(row: AddressRule) -> None:
    """Raises `ValidationError`, by field, unless *row*, whose network is normal, may be saved."""
    row.full_clean()
    if network_of(row.network).prefixlen == 0:
        what = "limited" if row.verdict == AddressRule.Verdict.ALLOW else "served"
        raise ValidationError({"network": f"That is everybody: nobody would be {what} any more."})
    if row.until is not None and row.until <= timezone.now():
        raise ValidationError({"until": "That is over already. To end a rule now, delete it."})
