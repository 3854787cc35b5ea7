"""Orders on paper: which stored minute fills them, at which price, and what nobody may know yet."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from django.core.exceptions import ImproperlyConfigured

from apps.candles.services import delete_candles, write_candles
from apps.candles.timeframes import to_datetime, to_ms
from apps.orders.brokers import NotTaken, Refused, Report, broker_for
from apps.orders.brokers.paper import PaperBroker
from apps.orders.brokers.paper_models import PaperOrder
from apps.orders.states import Side, State
from tests.candles.helpers import MINUTE, MONDAY, Arrays, instrument
from tests.orders.brokers.desks import PaperDesk, account_of, order_of, paper_desk

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)
START = to_datetime(MONDAY)


def minutes(*bars: Sequence[int], first: int = 0, **scales: int) -> Arrays:
    """Bars of open, high, low, close in ticks, one minute after the other."""
    columns = np.array(bars, dtype=np.int64).T
    return Arrays(
        ts=MONDAY + MINUTE * np.arange(first, first + len(bars), dtype=np.int64),
        open=columns[0],
        high=columns[1],
        low=columns[2],
        close=columns[3],
        volume=np.full(len(bars), 1000, dtype=np.int64),
        **scales,
    )


#: Open, high, low and close of five minutes, in cents.
BARS = (
    (10000, 10100, 9900, 10050),
    (10050, 10300, 10040, 10200),
    (10200, 10210, 9700, 9800),
    (9600, 9750, 9500, 9700),
    (9700, 10500, 9700, 10400),
)


@pytest.fixture
def desk() -> PaperDesk:
    """In a market with these five minutes, a second after the first of them began."""
    made = paper_desk(minutes(*BARS))
    made.clock.now = START + SECOND
    return made


def filled_at(report: Report | None) -> tuple[Decimal, datetime]:
    assert report is not None
    assert report.state == State.FILLED
    (fill,) = report.fills
    return fill.price, fill.traded_at


def test_a_market_order_gets_the_first_price_that_nobody_knew_when_it_was_placed(desk: PaperDesk) -> None:
    cases = [
        (timedelta(0), "100.00", 0),
        (timedelta(microseconds=1), "100.50", 1),
        (timedelta(seconds=59, microseconds=999_999), "100.50", 1),
        (timedelta(minutes=1), "100.50", 1),
        (timedelta(minutes=3, seconds=1), "97.00", 4),
        (timedelta(minutes=-9), "100.00", 0),
    ]
    for after, price, minute in cases:
        for side in Side:
            desk.clock.now = START + after
            report = desk.broker.submit(order_of(side=side))
            expected = Decimal(price), START + timedelta(minutes=minute)
            assert filled_at(report) == expected, after


def test_nothing_fills_without_a_stored_minute_and_the_next_one_may_come_late(desk: PaperDesk) -> None:
    desk.clock.now = START + timedelta(minutes=4, seconds=1)
    order = order_of()
    placed = desk.broker.submit(order)
    assert (placed.state, placed.filled, placed.fills) == (State.SUBMITTED, 0, ())
    assert desk.broker.fills(order) == ()
    desk.clock.now += timedelta(minutes=9)
    assert desk.broker.find(order) == placed
    # After a minute in which nobody traded.
    write_candles(instrument=desk.instrument, minutes=minutes((12345, 12345, 12345, 12345), first=6))
    found = desk.broker.find(order)
    assert found is not None
    assert found.venue_order_id == placed.venue_order_id
    assert filled_at(found) == (Decimal("123.45"), START + timedelta(minutes=6))
    assert list(desk.broker.fills(order)) == list(found.fills)


def test_a_limit_is_filled_by_the_first_later_minute_that_reaches_it(desk: PaperDesk) -> None:
    cases = [
        # The side, the limit; the price and the minute.
        (Side.BUY, "100.40", "100.40", 1),  # touched by the low
        (Side.BUY, "100.39", "100.39", 2),
        (Side.BUY, "97.00", "97.00", 2),
        (Side.BUY, "96.99", "96.00", 3),  # opens below it
        (Side.BUY, "150.00", "100.50", 1),
        (Side.BUY, "94.99", None, None),
        (Side.SELL, "103.00", "103.00", 1),  # touched by the high
        (Side.SELL, "103.01", "103.01", 4),
        (Side.SELL, "90.00", "100.50", 1),
        (Side.SELL, "105.01", None, None),
    ]
    for side, limit, price, minute in cases:
        report = desk.broker.submit(order_of(side=side, price=Decimal(limit)))
        if price is None or minute is None:
            assert report.state == State.SUBMITTED, limit
        else:
            expected = Decimal(price), START + timedelta(minutes=minute)
            assert filled_at(report) == expected, (side, limit)


def test_the_minute_of_the_placement_does_not_fill_a_limit(desk: PaperDesk) -> None:
    """It reached 99.00, perhaps before."""
    report = desk.broker.submit(order_of(price=Decimal("99.00")))
    assert filled_at(report)[1] == START + timedelta(minutes=2)


def test_a_limit_stays_until_it_is_cancelled_and_not_a_minute_longer(desk: PaperDesk) -> None:
    order = order_of(price=Decimal("90.00"))
    desk.broker.submit(order)
    desk.clock.now += timedelta(days=400)
    report = desk.broker.cancel(order)
    assert report is not None
    assert (report.state, report.filled) == (State.CANCELLED, 0)
    write_candles(instrument=desk.instrument, minutes=minutes((8000, 8000, 8000, 8000), first=5))
    assert desk.broker.find(order) == report


def test_what_stored_minutes_filled_cannot_be_cancelled_even_if_nobody_looked(desk: PaperDesk) -> None:
    order = order_of(price=Decimal("90.00"))
    desk.broker.submit(order)
    write_candles(instrument=desk.instrument, minutes=minutes((8900, 8900, 8900, 8900), first=5))
    report = desk.broker.cancel(order)
    assert report is not None
    assert filled_at(report) == (Decimal("89.00"), START + timedelta(minutes=5))


def test_a_fill_stays_as_it_was_whatever_becomes_of_its_minute(desk: PaperDesk) -> None:
    order = order_of()
    placed = desk.broker.submit(order)
    write_candles(instrument=desk.instrument, minutes=minutes((5000, 5000, 5000, 5000), first=1))
    assert desk.broker.find(order) == placed
    delete_candles(instrument=desk.instrument, start=START, end=START + timedelta(days=1))
    assert desk.broker.find(order) == placed
    # The same order once more is the one that there is, though another would be refused now.
    assert desk.broker.submit(order) == placed
    with pytest.raises(Refused) as raised:
        desk.broker.submit(order_of())
    assert raised.value.code == "NO_CANDLES"


def test_slippage_makes_market_orders_worse_by_whole_ticks_and_leaves_limits_alone(
    desk: PaperDesk, settings: Any
) -> None:
    settings.ORDERS_PAPER_SLIPPAGE_BPS = "12.5"
    # 100.50 * 0.00125 = 0.125625
    assert filled_at(desk.broker.submit(order_of()))[0] == Decimal("100.63")
    assert filled_at(desk.broker.submit(order_of(side=Side.SELL)))[0] == Decimal("100.37")
    assert filled_at(desk.broker.submit(order_of(price=Decimal("150.00"))))[0] == Decimal("100.50")


def test_fees_are_a_part_of_the_value_in_the_quote_currency(desk: PaperDesk, settings: Any) -> None:
    quantity = Decimal("0.12345")
    (fill,) = desk.broker.submit(order_of(quantity=quantity)).fills
    assert (fill.fee, fill.fee_currency) == (Decimal("0.0124067250"), "USDT")
    settings.ORDERS_PAPER_FEE = "0.00075"
    (fill,) = desk.broker.submit(order_of(quantity=quantity)).fills
    assert fill.fee == Decimal("100.50") * quantity * Decimal("0.00075")
    settings.ORDERS_PAPER_FEE = 0
    (fill,) = desk.broker.submit(order_of(quantity=quantity)).fills
    assert (fill.fee, fill.fee_currency) == (0, "")
    for wrong in ("-0.1", "much", "NaN"):
        settings.ORDERS_PAPER_FEE = wrong
        with pytest.raises(ImproperlyConfigured, match="ORDERS_PAPER_FEE"):
            desk.broker.submit(order_of())


def test_every_digit_counts(settings: Any) -> None:
    settings.ORDERS_PAPER_FEE = "0"
    market = instrument("SHIB/BTC", price_scale=18, volume_scale=18)
    write_candles(
        instrument=market,
        minutes=minutes(
            (123456789012, 123456789013, 123456789011, 123456789012), price_scale=18, volume_scale=18
        ),
    )
    account = account_of(simulation=True)
    broker = PaperBroker(account, clock=lambda: START)
    quantity = Decimal("999999999999999.000000000000000001")
    limit = Decimal("0.000000123456789011")
    report = broker.submit(order_of(symbol="SHIB/BTC", quantity=quantity, price=limit))
    (fill,) = report.fills
    assert (fill.price, fill.quantity, report.filled) == (limit, quantity, quantity)
    assert broker.submit(order_of(symbol="SHIB/BTC", price=limit - Decimal("1E-18"))).fills == ()
    assert broker.lot("SHIB/BTC") == Decimal("1E-18")
    # A finer price than the market has would never be met.
    with pytest.raises(Refused):
        broker.submit(order_of(symbol="SHIB/BTC", price=limit / 10))


def test_an_order_is_taken_once_and_is_its_accounts_own(desk: PaperDesk) -> None:
    order = order_of()
    placed = desk.broker.submit(order)
    desk.clock.now += timedelta(minutes=2)
    assert desk.broker.submit(order) == placed
    other = broker_for(account_of(simulation=True), simulation=False)
    assert other.find(order) is None
    assert other.fills(order) == ()
    assert other.cancel(order) is None
    assert PaperOrder.objects.count() == 1


def test_a_market_of_which_no_minute_was_ever_stored_fills_nothing_ever(desk: PaperDesk) -> None:
    instrument("NEW/USDT")
    with pytest.raises(Refused) as raised:
        desk.broker.submit(order_of(symbol="NEW/USDT"))
    assert raised.value.code == "NO_CANDLES"
    assert not PaperOrder.objects.exists()


def test_a_market_order_that_no_minute_fills_in_time_ends(desk: PaperDesk, settings: Any) -> None:
    settings.ORDERS_PAPER_WAIT = 300.0
    desk.clock.now = START + timedelta(minutes=4, seconds=1)
    orders = [order_of(), order_of(), order_of(price=Decimal("90.00"))]
    for order in orders:
        assert desk.broker.submit(order).state == State.SUBMITTED
    # Stored in time, and opened in time: that it was looked at late makes no difference.
    desk.clock.now += timedelta(minutes=6)
    write_candles(instrument=desk.instrument, minutes=minutes((9500, 9500, 9500, 9500), first=9))
    assert filled_at(desk.broker.find(orders[0]))[1] == START + timedelta(minutes=9)
    delete_candles(
        instrument=desk.instrument, start=START + timedelta(minutes=5), end=START + timedelta(days=1)
    )
    write_candles(instrument=desk.instrument, minutes=minutes((9500, 9500, 9500, 9500), first=10))
    report = desk.broker.find(orders[1])
    assert (report.state, report.fills) == (State.EXPIRED, ())
    assert "in time" in report.reason
    assert desk.broker.cancel(orders[1]) == report
    # A limit waits for as long as it takes.
    assert desk.broker.find(orders[2]).state == State.SUBMITTED


def test_where_minutes_come_no_more_a_market_order_is_refused(desk: PaperDesk, settings: Any) -> None:
    settings.ORDERS_PAPER_WAIT = 300.0
    desk.clock.now = START + timedelta(minutes=10)
    assert desk.broker.submit(order_of()).state == State.SUBMITTED
    desk.clock.now = START + timedelta(minutes=12)
    with pytest.raises(Refused) as raised:
        desk.broker.submit(order_of())
    assert raised.value.code == "NO_CANDLES"
    assert f"of {START:%Y-%m-%d} 00:04" in str(raised.value)
    assert desk.broker.submit(order_of(price=Decimal("90.00"))).state == State.SUBMITTED


def test_what_is_worth_more_than_can_be_kept_is_not_traded(desk: PaperDesk) -> None:
    cases = [
        ({"quantity": Decimal(10) ** 15}, "LOT_SIZE"),
        ({"quantity": Decimal(10) ** 14, "price": Decimal(10)}, "NOTIONAL"),
    ]
    for fields, code in cases:
        with pytest.raises(Refused) as raised:
            desk.broker.submit(order_of(**fields))
        assert raised.value.code == code
    for side in Side:
        dear = order_of(quantity=Decimal(10) ** 13, side=side)
        report = desk.broker.submit(dear)
        assert (report.state, report.filled) == (State.REJECTED, 0)
        assert "its value is not below 1,000,000,000,000,000" in report.reason
        assert desk.broker.find(dear) == report
    # Sold at the open, which is better than the limit.
    report = desk.broker.submit(order_of(quantity=Decimal(10) ** 13, price=Decimal("0.01"), side=Side.SELL))
    assert report.state == State.REJECTED


def test_a_submission_that_began_long_ago_is_not_taken(desk: PaperDesk) -> None:
    order = order_of(begun=time.monotonic() - 60)
    with pytest.raises(NotTaken) as raised:
        desk.broker.submit(order)
    assert raised.value.code == "LATE"
    assert desk.broker.find(order) is None
    assert desk.broker.submit(order_of(begun=time.monotonic())).state == State.FILLED


def test_whoever_is_first_decides_between_a_fill_and_a_cancellation(
    desk: PaperDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = order_of(price=Decimal("90.00"))
    desk.broker.submit(order)
    write_candles(instrument=desk.instrument, minutes=minutes((8900, 8900, 8900, 8900), first=5))

    def cancelled_meanwhile(**asked: Any) -> Any:
        PaperOrder.objects.update(state=State.CANCELLED)
        return found(**asked)

    from apps.orders.brokers import paper

    found = paper.first_minute
    monkeypatch.setattr(paper, "first_minute", cancelled_meanwhile)
    report = desk.broker.find(order)
    assert report is not None
    assert (report.state, report.fills) == (State.CANCELLED, ())


def test_a_limit_is_met_to_the_tick_where_the_scale_has_grown(desk: PaperDesk) -> None:
    """Stored prices have more decimals then, and the limit is what it was."""
    order = order_of(price=Decimal("90.00"))
    desk.broker.submit(order)
    finer = minutes((9500100, 9600000, 9000001, 9500100), first=5, price_scale=5)
    write_candles(instrument=desk.instrument, minutes=finer)
    report = desk.broker.find(order)
    assert report is not None
    assert report.state == State.SUBMITTED
    write_candles(
        instrument=desk.instrument,
        minutes=minutes((9500100, 9600000, 9000000, 9500100), first=6, price_scale=5),
    )
    report = desk.broker.find(order)
    assert report is not None
    assert filled_at(report) == (Decimal("90"), to_datetime(to_ms(START) + 6 * MINUTE))
