"""The list of what exchanges trade."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone

from apps.candles.instruments import instrument_text, parse_instrument
from apps.candles.models import Exchange, Instrument
from apps.candles.storage import locks
from apps.candles.storage.exact import ScaleOverflow
from apps.candles.storage.scales import raise_scale
from apps.candles.venues.instruments import Listing, UnreadableMarket, VenueInstrument

_LONGEST_VENUE_ID = 64
_DESCRIBED = ("venue_id", "base", "quote", "settle", "kind", "contract_size", "listed_at")


@dataclass(frozen=True, kw_only=True)
class CatalogueResult:
    """What a new list of markets has changed."""

    listed: int
    added: int
    changed: int
    #: Instruments that are not in the list any more.
    delisted: int
    #: Markets whose entries cannot be used, as a whole or in a part.
    unreadable: int


@transaction.atomic
def instrument_upsert(*, exchange: str, found: VenueInstrument) -> Instrument:
    """The instrument as its exchange describes it now, made if need be.

    Scales only grow, where what is stored allows it. Whether it is followed is left as it is; a new one is
    not.
    """
    instrument, created = Instrument.objects.get_or_create(
        exchange=exchange, symbol=found.symbol, defaults=_fields(found)
    )
    if not created:
        with suppress(ScaleOverflow):
            _grow(instrument, found)
        _describe(instrument, found)
    return instrument


@transaction.atomic
def catalogue_update(*, exchange: str, listing: Listing) -> CatalogueResult:
    """Bring the instruments of an exchange in line with its list of markets.

    Those that are not in the list any more stay, with what is stored of them, and are no longer active.
    Markets that cannot be read, or not named here, are told in `Exchange.unreadable` and left as they are. So
    are those told whose stored values do not fit their new steps: they keep their scales.
    """
    named: list[VenueInstrument] = []
    unreadable = list(listing.unreadable)
    for found in listing.instruments:
        if _can_be_named(exchange, found):
            named.append(found)
        else:
            unreadable.append(_unreadable(found, "its name has a shape that is not known here"))
    known = {one.symbol: one for one in Instrument.objects.filter(exchange=exchange)}
    new = [found for found in named if found.symbol not in known]
    Instrument.objects.bulk_create(
        [Instrument(exchange=exchange, symbol=found.symbol, **_fields(found)) for found in new],
        ignore_conflicts=True,
    )
    # In ascending order of id, as everybody takes the locks of several instruments, and before any row: who
    # holds a lock may wait for a row.
    before = sorted(
        ((known[found.symbol], found) for found in named if found.symbol in known),
        key=lambda pair: pair[0].pk,
    )
    locks.lock_instruments(instrument.pk for instrument, found in before if _finer(instrument, found))
    changed = 0
    for instrument, found in before:
        grown = False
        try:
            grown = _grow(instrument, found)
        except ScaleOverflow as exc:
            unreadable.append(_unreadable(found, str(exc)))
        described = _describe(instrument, found)
        changed += described or grown
    listed = {found.symbol for found in named} | {one.symbol for one in unreadable}
    gone = [one.pk for one in known.values() if one.active and one.symbol not in listed]
    delisted = Instrument.objects.filter(pk__in=gone).update(active=False) if gone else 0
    Exchange.objects.update_or_create(
        name=exchange,
        defaults={
            "catalogue_at": timezone.now(),
            "unreadable": [asdict(one) for one in unreadable],
        },
    )
    return CatalogueResult(
        listed=len(named),
        added=len(new),
        changed=changed,
        delisted=delisted,
        unreadable=len(unreadable),
    )


def _can_be_named(exchange: str, found: VenueInstrument) -> bool:
    try:
        parse_instrument(instrument_text(exchange, found.symbol))
    except ValueError:
        return False
    return len(found.venue_id) <= _LONGEST_VENUE_ID


def _unreadable(found: VenueInstrument, reason: str) -> UnreadableMarket:
    return UnreadableMarket(venue_id=found.venue_id, symbol=found.symbol, kind=found.kind, reason=reason)


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
    for name in changed:
        setattr(instrument, name, fields[name])
    if changed:
        instrument.save(update_fields=changed)
    return bool(changed)


def _grow(instrument: Instrument, found: VenueInstrument) -> bool:
    """Whether a scale was lower than the exchange's steps need, and was raised. Raises `ScaleOverflow`."""
    # Takes the instrument's lock where a scale grows, which every writer takes before it touches the row.
    return _finer(instrument, found) and raise_scale(
        instrument=instrument, price_scale=found.price_scale, volume_scale=found.volume_scale
    )


def _finer(instrument: Instrument, found: VenueInstrument) -> bool:
    """Whether the exchange's steps are finer than the instrument's scales."""
    return found.price_scale > instrument.price_scale or found.volume_scale > instrument.volume_scale
