"""Settings with which keys or logins would not be what they are meant to be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 (Django's)

from apps.identity.guesses import GROUPS
from apps.ratelimits.rules import InvalidRules, read_groups


def check_settings(*, app_configs: Any, **_: Any) -> Sequence[CheckMessage]:
    """Lives are lives, and guesses at passwords are counted."""
    return [*_lives(), *_groups()]


def _lives() -> Iterator[CheckMessage]:
    for holds, message in (
        (settings.LOGIN_TOKEN_HOURS > 0, "LOGIN_TOKEN_HOURS must be more than 0."),
        (settings.API_KEYS_LONGEST_DAYS >= 1, "API_KEYS_LONGEST_DAYS must be at least 1."),
        (settings.API_KEYS_KEPT_DAYS >= 0, "API_KEYS_KEPT_DAYS must not be less than 0."),
    ):
        if not holds:
            yield Error(message, id="identity.E001")


def _groups() -> Iterator[CheckMessage]:
    try:
        names = {group.name for group in read_groups(settings.RATELIMITS_GROUPS)}
    except InvalidRules:
        # That is said where it belongs.
        return
    for group in GROUPS:
        if group not in names:
            yield Warning(
                f"RATELIMITS_GROUPS has no group {group}: guesses at one user's password are not counted so.",
                hint=f'Meant so: {{"name": "{group}", "exempt": true}}.',
                id="identity.W001",
            )
