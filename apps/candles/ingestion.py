"""From an exchange to minutes that may be stored. Talks to the network, writes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.utils import timezone

from apps.candles import conf
from apps.candles.clients import client_for
from apps.candles.exchanges import respected
from apps.candles.models import Instrument
from apps.candles.quality import CheckedMinutes, Rejected, Sifted, sift_minutes
from apps.candles.timeframes import M1, minute_of, to_ms
from apps.candles.venues.fetch import Page, fetch_minutes, server_time
from apps.candles.venues.rows import RawMinutes

#: So long at least minutes are still kept when they are fetched, so that they are when they are stored.
_MARGIN = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What an exchange has in a range."""

    #: As it came.
    raw: RawMinutes
    #: What is sound. They may be finer than the instrument's scales; writing them raises those.
    minutes: CheckedMinutes
    #: What must not be stored.
    rejected: list[Rejected]
    #: The range that was really asked for (ms): less than wanted where the exchange serves no older minutes,
    #: where they are not kept here, and where the newest have not ended.
    start: int
    end: int
    #: Minutes at the beginning of what was to be fetched that the exchange does not serve any more.
    not_served: int = 0

    def no_finer(self, *, price_scale: int, volume_scale: int) -> Fetched:
        """The same at these scales exactly: rows that are finer are among those that must not be stored."""
        sifted = _sift(self.raw, price_scale, volume_scale, finer=False)
        return replace(self, minutes=sifted.minutes, rejected=sifted.rejected)


def kept_from() -> datetime | None:
    """From when on minutes are worth to be fetched; None where all are kept."""
    kept = conf.retention()
    return None if kept is None else minute_of(timezone.now() - kept + _MARGIN)


def exchange_time(exchange: str) -> int:
    """The exchange's clock in milliseconds. Raises `VenueError`."""
    with respected(exchange):
        return server_time(client_for(exchange))


def fetch_sifted(
    *,
    instrument: Instrument,
    start: datetime,
    end: datetime,
    now_ms: int | None = None,
    on_page: Callable[[Page], None] | None = None,
) -> Fetched:
    """The instrument's minutes that open in [start, end) and have ended, through the quality gate.

    Those before `kept_from` are not asked for. *now_ms* is the exchange's time, which is asked for where it
    is not given. Raises `VenueError`.
    """
    kept = kept_from()
    start = start if kept is None else max(start, kept)
    with respected(instrument.exchange):
        client = client_for(instrument.exchange, instrument.symbol)
        raw = fetch_minutes(
            client, instrument.symbol, to_ms(start), to_ms(end), now_ms=now_ms, on_page=on_page
        )
    sifted = _sift(raw, instrument.price_scale, instrument.volume_scale)
    return Fetched(
        raw=raw,
        minutes=sifted.minutes,
        rejected=sifted.rejected,
        start=raw.start_ms,
        end=raw.end_ms,
        not_served=M1.count(to_ms(start), min(raw.start_ms, to_ms(end))),
    )


def _sift(raw: RawMinutes, price_scale: int, volume_scale: int, *, finer: bool = True) -> Sifted:
    return sift_minutes(
        raw.rows,
        start_ms=raw.start_ms,
        end_ms=raw.end_ms,
        now_ms=raw.now_ms,
        price_scale=price_scale,
        volume_scale=volume_scale,
        finer=finer,
    )
