"""The settings of this app. Read again when one of Django's settings is overridden, as tests do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

PlanFunction = Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class Config:
    """What an engine is made from. Another of these, and another engine is made."""

    redis_url: str
    cluster: bool
    prefix: str
    timeout: float
    processes: int
    trust_for: float
    ipv6_prefix: int
    plan_of: str
    allowed: tuple[str, ...]
    denied: tuple[str, ...]
    #: Lists are told apart by what they are, and not by what is in them.
    groups: int


#: What the settings said when they were last read: every request asks for it.
_read: Config | None = None


def config() -> Config:
    """What the settings say now."""
    global _read
    found = _read
    if found is None:
        found = _read = _config()
    return found


def _forget(**_: Any) -> None:
    global _read
    _read = None


setting_changed.connect(_forget, dispatch_uid="apps.ratelimits.conf")


def _config() -> Config:
    return Config(
        redis_url=settings.REDIS_URL,
        cluster=settings.REDIS_CLUSTER,
        prefix=settings.REDIS_KEY_PREFIX,
        timeout=settings.RATELIMITS_TIMEOUT,
        processes=settings.RATELIMITS_PROCESSES,
        trust_for=settings.RATELIMITS_TRUST_FOR,
        ipv6_prefix=settings.RATELIMITS_IPV6_PREFIX,
        plan_of=settings.RATELIMITS_PLAN_OF,
        allowed=tuple(settings.RATELIMITS_ALLOW),
        denied=tuple(settings.RATELIMITS_DENY),
        groups=id(settings.RATELIMITS_GROUPS),
    )


def enabled() -> bool:
    """``RATELIMITS_ENABLED``: whether requests are counted at all."""
    return bool(settings.RATELIMITS_ENABLED)


def plan_function(path: str) -> PlanFunction | None:
    """What ``RATELIMITS_PLAN_OF`` names: it is given a user, and returns the name of a plan, or nothing."""
    return import_string(path) if path else None
