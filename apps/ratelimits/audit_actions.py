"""What of rate limits is audited."""

from __future__ import annotations

from apps.audit import Action, Level, register

RESET = register(
    Action(
        name="ratelimit.reset",
        label="Forgot what was charged to a subject",
        object_type="ratelimits.subject",
        level=Level.NOTICE,
    )
)
POLICY_CHANGED = register(
    Action(
        name="ratelimit.policy_changed",
        label="Rate limit changed",
        object_type="ratelimits.policychange",
        level=Level.NOTICE,
    )
)
ADDRESSES_CHANGED = register(
    Action(
        name="ratelimit.addresses_changed",
        label="Rule for addresses changed",
        object_type="ratelimits.addressrule",
        level=Level.NOTICE,
    )
)
