"""Decimals of 18 places, as they are stored and as they stand in events.

Python's operators, ``abs()`` and the sign included, round to 28 digits. So what is computed with amounts is
computed by these functions, ``copy_abs()`` and ``copy_negate()``.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Context, Decimal

#: Of every stored amount.
PLACES = 18
#: The largest stored amount is below this.
LIMIT = Decimal(10) ** 20

_STEP = Decimal(1).scaleb(-PLACES)
#: Wide enough that nothing is rounded before it is meant to be: products of two amounts have 76 digits.
_WIDE = Context(prec=160, rounding=ROUND_HALF_EVEN)


def rounded(value: Decimal) -> Decimal:
    """*value* with 18 places; halves go to the even neighbour."""
    return value.quantize(_STEP, context=_WIDE)


def product(one: Decimal, other: Decimal) -> Decimal:
    """One times the other, rounded once."""
    return rounded(_WIDE.multiply(one, other))


def share(whole: Decimal, part: Decimal, of: Decimal) -> Decimal:
    """*whole* times *part* divided by *of*, rounded once."""
    return rounded(_WIDE.divide(_WIDE.multiply(whole, part), of))


def ratio(one: Decimal, other: Decimal) -> Decimal:
    """One divided by the other, rounded once."""
    return rounded(_WIDE.divide(one, other))


def total(*values: Decimal) -> Decimal:
    """The exact sum."""
    result = Decimal(0)
    for value in values:
        result = _WIDE.add(result, value)
    return result


def floor(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of *step* that is not above *value*, neither negative."""
    steps = _WIDE.divide(value, step).quantize(Decimal(1), rounding=ROUND_DOWN, context=_WIDE)
    return _WIDE.multiply(steps, step)


def exact(value: Decimal) -> bool:
    """Whether *value* can be stored as it is."""
    return value.is_finite() and value.copy_abs() < LIMIT and rounded(value) == value


def plain(value: Decimal) -> Decimal:
    """*value* without trailing zeros and without an exponent."""
    return Decimal(text(value))


def text(value: Decimal) -> str:
    """*value* as events and people are shown it: no exponent, no trailing zeros."""
    shown = f"{value:f}"
    shown = shown.rstrip("0").rstrip(".") if "." in shown else shown
    return "0" if shown in ("-0", "") else shown
