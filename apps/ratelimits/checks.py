"""Rules that cannot be, found by ``manage.py check``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

from apps.core.networks import Networks
from apps.ratelimits import conf
from apps.ratelimits.rules import InvalidRules, read_groups


def check_rules(*, app_configs: Any, **_: Any) -> Sequence[CheckMessage]:
    """The settings of this app are such that something can be done with them."""
    found = []
    try:
        read_groups(settings.RATELIMITS_GROUPS)
    except InvalidRules as exc:
        found.append(Error(f"RATELIMITS_GROUPS: {exc}.", id="ratelimits.E001"))
    for name in ("RATELIMITS_ALLOW", "RATELIMITS_DENY"):
        try:
            Networks(getattr(settings, name))
        except ValueError as exc:
            found.append(Error(f"{name}: {exc}.", id="ratelimits.E002"))
    rules = (
        (settings.RATELIMITS_TIMEOUT > 0, "RATELIMITS_TIMEOUT must be more than 0."),
        (settings.RATELIMITS_PROCESSES >= 1, "RATELIMITS_PROCESSES must be at least 1."),
        (settings.RATELIMITS_TRUST_FOR >= 0, "RATELIMITS_TRUST_FOR must not be less than 0."),
        (32 <= settings.RATELIMITS_IPV6_PREFIX <= 128, "RATELIMITS_IPV6_PREFIX must be from 32 to 128."),
    )
    found += [Error(message, id="ratelimits.E003") for holds, message in rules if not holds]
    try:
        conf.plan_function(settings.RATELIMITS_PLAN_OF)
    except ImportError as exc:
        found.append(Error(f"RATELIMITS_PLAN_OF: {exc}.", id="ratelimits.E004"))
    return found
