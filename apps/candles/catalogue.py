"""The list of what exchanges trade."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone

from apps.candles.models import Exchange, Instrument
from apps.candles.storage.scales import raise_scale
from apps.candles.venues.instruments import Listing, VenueInstrument

_DESCRIBED = ("venue_id", "base", "quote", "settle", "kind", "contract_size", "listed_at")


@dataclass(frozen=True, kw_only=True)
class CatalogueResult:
    """What a new list of markets has changed."""

    listed: int
    added: int
    changed: int
    #: Instruments that are not in the list any more.
    delisted: int
    #: Markets whose entries cannot be used.
    unreadable: int


@transaction.atomic
def instrument_upsert(*, exchange: str, found: VenueInstrument) -> Instrument:
    """The instrument as its exchange describes it now, made if need be.

    Scales only grow. Whether it is followed is left as it is; a new one is not.
    """
    instrument, created = Instrument.objects.get_or_create(
        exchange=exchange, symbol=found.symbol, defaults=_fields(found)
    )
    if not created:
        _describe(instrument, found)
    return instrument


@transaction.atomic
def catalogue_update(*, exchange: str, listing: Listing) -> CatalogueResult:
    """Bring the instruments of an exchange in line with its list of markets.

    Those that are not in the list any more stay, with what is stored of them, and are no longer active.
    """
    known = {one.symbol: one for one in Instrument.objects.filter(exchange=exchange)}
    new = [found for found in listing.instruments if found.symbol not in known]
    Instrument.objects.bulk_create(
        [Instrument(exchange=exchange, symbol=found.symbol, **_fields(found)) for found in new],
        ignore_conflicts=True,
    )
    # In ascending order of id, as everybody takes the locks of several instruments.
    before = sorted(
        ((known[found.symbol], found) for found in listing.instruments if found.symbol in known),
        key=lambda pair: pair[0].pk,
    )
    changed = sum(_describe(instrument, found) for instrument, found in before)
    symbols = [found.symbol for found in listing.instruments]
    delisted = (
        Instrument.objects.filter(exchange=exchange, active=True)
        .exclude(symbol__in=[*symbols, *(one.symbol for one in listing.unreadable)])
        .update(active=False)
    )
    Exchange.objects.update_or_create(
        name=exchange,
        defaults={
            "catalogue_at": timezone.now(),
            "unreadable": [asdict(one) for one in listing.unreadable],
        },
    )
    return CatalogueResult(
        listed=len(symbols),
        added=len(new),
        changed=changed,
        delisted=delisted,
        unreadable=len(listing.unreadable),
    )


def _fields(found: VenueInstrument) -> dict[str, Any]:
    return {
        "venue_id": found.venue_id,
        "base": found.base,
        "quote": found.quote,
        "settle": found.settle or "",
        "kind": found.kind,
        "contract_size": None if found.contract_size is None else Decimal(found.contract_size),
        "listed_at": found.listed_at,
        "price_scale": found.price_scale,
        "volume_scale": found.volume_scale,
        "active": found.active,
    }


def _describe(instrument: Instrument, found: VenueInstrument) -> bool:
    """Whether the description differs from what is stored, which is brought in line."""
    fields = _fields(found)
    changed = [name for name in (*_DESCRIBED, "active") if getattr(instrument, name) != fields[name]]
    # Takes the instrument's lock where a scale grows, which every writer takes before it touches the row.
    grown = (found.price_scale > instrument.price_scale or found.volume_scale > instrument.volume_scale) and (
        raise_scale(instrument=instrument, price_scale=found.price_scale, volume_scale=found.volume_scale)
    )
    for name in changed:
        setattr(instrument, name, fields[name])
    if changed:
        instrument.save(update_fields=changed)
    return bool(changed) or grown
