"""How the pages of orders show what they have in common."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.candles.models import Instrument
from apps.core.admin.described import Tone, badge, moment
from apps.core.admin.filters import among
from apps.orders import conf
from apps.orders.amounts import text
from apps.orders.models import Account
from apps.orders.states import State

#: Accounts and instruments that a search takes for meant.
_FOUND = 1000

_TONES = {
    State.RECEIVED: Tone.WAIT,
    State.ACCEPTED: Tone.WAIT,
    State.SUBMITTED: Tone.WAIT,
    State.PARTIALLY_FILLED: Tone.WAIT,
    State.UNKNOWN: Tone.LATE,
    State.FILLED: Tone.GOOD,
    State.CANCELLED: Tone.OVER,
    State.REJECTED: Tone.LATE,
    State.EXPIRED: Tone.OVER,
    State.NEEDS_REVIEW: Tone.BAD,
}


def state_badge(state: str) -> SafeString:
    """A state of orders in its colour."""
    return badge(state, _TONES[State(state)], State(state).label)


def amount(value: Decimal | None) -> str:
    """An amount without trailing zeros; empty for none."""
    return "" if value is None else text(value)


def at(when: datetime | None) -> SafeString | str:
    """To the second, in UTC; empty for none."""
    return moment(when)


def mode(simulation: bool) -> str:
    """On paper or not."""
    return "on paper" if simulation else "for real"


def link(page: str, pk: Any, label: Any) -> SafeString:
    """A link to the page of a row of this app."""
    return format_html('<a href="{}">{}</a>', reverse(f"admin:orders_{page}_change", args=[pk]), label)


#: By the exchange of the account.
EXCHANGE: type[admin.SimpleListFilter] = among(
    "exchange", lambda: [(name, name) for name in conf.exchanges()], field="account__exchange"
)


def traded_by(term: str) -> Q:
    """Rows of accounts, of their users, or of instruments that *term* is a part of the name of.

    These are looked for first: conditions on other tables would have the whole table read.
    """
    accounts = Account.objects.filter(Q(name__icontains=term) | Q(user__username__icontains=term))
    instruments = Instrument.objects.filter(symbol__icontains=term)
    return Q(account_id__in=list(accounts.values_list("pk", flat=True)[:_FOUND])) | Q(
        instrument_id__in=list(instruments.values_list("pk", flat=True)[:_FOUND])
    )


class ModeFilter(admin.SimpleListFilter):
    """On paper, or for real."""

    title, parameter_name = "mode", "simulation"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "on paper"), ("no", "for real")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        if self.value() not in ("yes", "no"):
            return None
        return queryset.filter(simulation=self.value() == "yes")
