"""What is held, against an exact fold by fractions."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from apps.orders.amounts import exact, floor, plain, text
from apps.orders.positions import Holding, Trade, traded
from apps.orders.states import Side


def trade(side: str, quantity: str, price: str, fee: str = "0", currency: str = "USDT") -> Trade:
    return Trade(
        side=Side(side), price=Decimal(price), quantity=Decimal(quantity), fee=Decimal(fee),
        fee_currency=currency, base="BTC", quote="USDT",
    )  # fmt: skip


def after(*trades: Trade) -> Holding:
    holding = Holding()
    for one in trades:
        holding = traded(holding, one)
    return holding


def test_average_cost_and_what_is_realised():
    for trades, quantity, average, realised in (
        ([trade("buy", "1", "100"), trade("buy", "3", "120")], 4, 115, 0),
        ([trade("buy", "2", "100"), trade("sell", "1", "130")], 1, 100, 30),
        ([trade("buy", "2", "100"), trade("sell", "2", "90")], 0, None, -20),
        ([trade("sell", "2", "100"), trade("buy", "1", "90")], -1, 100, 10),
        # Through zero, and back.
        ([trade("buy", "2", "100"), trade("sell", "5", "110")], -3, 110, 20),
        ([trade("sell", "2", "100"), trade("buy", "5", "110")], 3, 110, -20),
        # Fees in the quote currency are realised at once.
        ([trade("buy", "2", "100", "1"), trade("sell", "2", "100", "1")], 0, None, -2),
        # Of a fee in the base currency so much less is held, and its value is realised.
        ([trade("buy", "2", "100", "0.5", "BTC")], Decimal("1.5"), 100, -50),
        ([trade("sell", "2", "100", "0.5", "BTC")], Decimal("-2.5"), 100, -50),
        ([trade("sell", "2", "100"), trade("buy", "2", "90", "0.5", "BTC")], Decimal("-0.5"), 90, -25),
        # Others are added up, and a rebate is a gain.
        ([trade("buy", "1", "100", "0.01", "BNB")], 1, 100, 0),
        ([trade("buy", "1", "100", "-0.5")], 1, 100, Decimal("0.5")),
    ):
        holding = after(*trades)
        found = (holding.quantity, holding.average_price, holding.realised)
        assert found == (quantity, average, realised), trades
    assert after(*[trade("buy", "1", "1", "0.1", "BNB")] * 3).fees == {"BNB": Decimal("0.3")}


def test_the_longest_amounts_keep_every_digit():
    long = "12345678901234567890.123456789012345678"
    holding = after(trade("buy", long, "1"), trade("sell", "1e-18", "2", "-1e-18"))
    assert text(holding.quantity) == "12345678901234567890.123456789012345677"
    assert text(holding.cost) == "12345678901234567890.123456789012345677"
    assert text(holding.realised) == "0.000000000000000002"
    assert text(after(trade("sell", long, "1", "1e-18", "BTC")).quantity) == (
        "-12345678901234567890.123456789012345679"
    )


amounts = st.decimals("0.00000001", "1000000", places=8)
trades = st.builds(
    Trade,
    side=st.sampled_from(Side),
    price=amounts,
    quantity=amounts,
    fee=st.one_of(st.just(Decimal(0)), st.decimals("-0.01", "0.01", places=10)),
    fee_currency=st.sampled_from(["BTC", "USDT", "BNB"]),
    base=st.just("BTC"),
    quote=st.just("USDT"),
)


@settings(max_examples=60)
@given(st.lists(trades, max_size=12))
def test_nothing_is_lost_however_often_it_is_rounded(history: list[Trade]):
    held = cash = cost = Fraction(0)
    realised = Fraction(0)
    holding = Holding()
    for one in history:
        holding = traded(holding, one)
        steps = [Fraction(one.quantity if one.side == Side.BUY else -one.quantity)]
        price, fee = Fraction(one.price), Fraction(one.fee)
        if one.fee_currency == "BTC":
            steps.append(-fee)
            realised -= fee * price
            cash -= fee * price
        elif one.fee_currency == "USDT":
            realised -= fee
            cash -= fee
        for step in steps:
            cash -= step * price
            closing = min(abs(step), abs(held)) if held * step < 0 else Fraction(0)
            if closing:
                out = cost * closing / abs(held)
                realised += (closing if held > 0 else -closing) * price - out
                cost -= out
            opened = (abs(step) - closing) * (1 if step > 0 else -1)
            held, cost = held + step, cost + opened * price
    # Quantities are exact: the sum of signed trades less the fees in the base currency.
    assert Fraction(holding.quantity) == held
    # Values are rounded, each by half of the last place at the most, of which an old one is carried on.
    near = Fraction(len(history) * 40, 10**18)
    assert abs(Fraction(holding.realised) - realised) <= near
    assert abs(Fraction(holding.cost) - cost) <= near
    # What was realised less what is held cost is all that was paid and received, but for these roundings.
    assert abs(Fraction(holding.realised) - Fraction(holding.cost) - cash) <= near
    if not held:
        assert holding.cost == 0
        assert holding.average_price is None
    assert all(exact(value) for value in (holding.quantity, holding.cost, holding.realised))


def test_amounts_are_exact_and_shown_plainly():
    assert text(Decimal("1E+3")) == "1000"
    assert text(Decimal("-0.00")) == "0"
    assert text(Decimal("10.500")) == "10.5"
    assert str(plain(Decimal("100.000000000000000000"))) == "100"
    assert floor(Decimal("0.7999"), Decimal("0.1")) == Decimal("0.7")
    assert floor(Decimal("0.3"), Decimal("0.1")) == Decimal("0.3")
    assert floor(Decimal("12345678901234567890.123456789"), Decimal("0.001")) == Decimal(
        "12345678901234567890.123"
    )
    assert [exact(Decimal(one)) for one in ("1e-18", "1e-19", "99999999999999999999", "1e20", "NaN")] == [
        True, False, True, False, False,
    ]  # fmt: skip
