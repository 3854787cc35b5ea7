"""What operators do: change a rule, let an address in or out, forget what was charged to somebody."""

from __future__ import annotations

from apps.ratelimits.engine import engine


def subject_reset(*, subject: str, policies: list[str] | None = None) -> int:
    """Forget what *subject* was charged under *policies* (ids), or under all. Returns under how many it was.

    Processes that remember a denial of theirs forget it within seconds. Raises `Unavailable` where Redis
    gives no answer, `LookupError` for a policy that is not there.
    """
    limits = engine()
    rules = limits.rules()
    if policies is None:
        policies = [rule.id for group in rules.groups for rule in group.rules]
    else:
        for one in policies:
            rules.rule(one)
    forgotten = limits.limiter.reset(subject, policies)
    limits.announce()
    return forgotten
