"""Which brokers there are, and which of them trades for an account.

A broker is one module of this package with a constant ``OFFER``: putting it there is all that it takes.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from django.core.exceptions import ImproperlyConfigured

from apps.orders.brokers.base import Broker, Refused

if TYPE_CHECKING:
    from apps.orders.models import Account

#: The broker of everything that is only simulated.
PAPER = "paper"


@dataclass(frozen=True, kw_only=True)
class Offer:
    """One broker: its name, the exchanges that it trades at for real, and how it is opened for an account."""

    name: str
    exchanges: frozenset[str]
    open: Callable[[Account], Broker]


@cache
def offers() -> Mapping[str, Offer]:
    """All brokers by name. Raises `ImproperlyConfigured` where two have one name or trade at one exchange."""
    found: dict[str, Offer] = {}
    package = __name__.rpartition(".")[0]
    for info in pkgutil.iter_modules(import_module(package).__path__):
        offer = getattr(import_module(f"{package}.{info.name}"), "OFFER", None)
        if offer is None:
            continue
        for other in found.values():
            if other.name == offer.name or other.exchanges & offer.exchanges:
                raise ImproperlyConfigured(f"{info.name}: there is a broker {other.name!r} for the same")
        found[offer.name] = offer
    return found


def broker_for(account: Account, *, simulation: bool) -> Broker:
    """The broker that trades for *account*: on paper where either of them is for simulation.

    Raises `Refused` where nobody trades at the account's exchange. What is wrong with its keys shows when the
    broker is used. Nothing is asked of anybody yet.
    """
    if simulation or account.simulation:
        return offers()[PAPER].open(account)
    for offer in offers().values():
        if account.exchange in offer.exchanges:
            return offer.open(account)
    raise Refused(f"there is no broker for {account.exchange}", code="NO_BROKER")
