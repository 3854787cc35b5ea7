"""Settings by which mails would reach nobody, found by ``manage.py check`` and before migrations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

from apps.notifications import addresses, conf


def check_operators(*, app_configs: Any, **_: Any) -> Sequence[CheckMessage]:
    """Operators are told at addresses."""
    return [
        Error(
            f"OPERATOR_EMAILS has {one!r}, which is no e-mail address. Addresses are separated by commas;"
            " a name that stands before one has no comma in it.",
            id="notifications.E001",
        )
        for one in conf.operators()
        if not addresses.possible(one)
    ]


def check_sender(*, app_configs: Any, **_: Any) -> Sequence[CheckMessage]:
    """Mails come from an address, without which servers refuse every one of them."""
    given = settings.DEFAULT_FROM_EMAIL
    if given.isprintable() and addresses.possible(conf.sender()):
        return []
    return [
        Error(
            f"DEFAULT_FROM_EMAIL is {given!r}, which is neither an e-mail address nor a name and one, as"
            " in 'Desk <desk@example.com>'.",
            id="notifications.E002",
        )
    ]
