"""Settings with which no signal could be taken, found before a worker starts and by ``manage.py check``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

from apps.core.addresses import network_of
from apps.ratelimits.rules import InvalidRules, read_groups
from apps.webhooks.facts import RATE_GROUP


def check_settings(*, app_configs: Any, **_: Any) -> Sequence[CheckMessage]:
    """There is a group to count signals in, and TradingView's addresses are such."""
    return [*_group(), *_addresses()]


def _group() -> Iterator[CheckMessage]:
    try:
        names = {group.name for group in read_groups(settings.RATELIMITS_GROUPS)}
    except InvalidRules:
        # That is said where it belongs.
        return
    if RATE_GROUP not in names:
        yield Error(
            f"RATELIMITS_GROUPS has no group {RATE_GROUP}, which signals are counted in.",
            hint=f'Without a limit: {{"name": "{RATE_GROUP}", "exempt": true}}.',
            id="webhooks.E001",
        )


def _addresses() -> Iterator[CheckMessage]:
    for entry in settings.TRADINGVIEW_ADDRESSES:
        try:
            network_of(entry)
        except ValueError as exc:
            yield Error(f"TRADINGVIEW_ADDRESSES: {exc}.", id="webhooks.E002")
