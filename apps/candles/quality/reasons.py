"""Why a row is not stored."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Reason(StrEnum):
    """What is wrong with a row. The values are stored and shown: they do not change."""

    #: It has fewer than six columns.
    SHORT_ROW = "short_row"
    #: Its open time is missing or is not a whole number of milliseconds.
    NO_TIME = "no_time"
    #: It opens within a minute, not on one.
    NOT_ON_MINUTE = "not_on_minute"
    #: It opens after the present.
    FUTURE = "future"
    #: Its minute has not ended.
    FORMING = "forming"
    #: It opens outside of the range asked for, or before 1970.
    OUTSIDE_RANGE = "outside_range"
    #: A price or the volume is not a number.
    NOT_A_NUMBER = "not_a_number"
    #: A price or the volume is NaN or infinite.
    NOT_FINITE = "not_finite"
    #: A price or the volume is below zero.
    NEGATIVE = "negative"
    #: A price is zero.
    ZERO_PRICE = "zero_price"
    #: Its high is below its low.
    HIGH_BELOW_LOW = "high_below_low"
    #: Its high is below its open or its close.
    HIGH_BELOW_BODY = "high_below_body"
    #: Its low is above its open or its close.
    LOW_ABOVE_BODY = "low_above_body"
    #: A value has more decimals than are kept, or than the other rows of the batch, or those that are stored
    #: already, can be stored with.
    TOO_MANY_DECIMALS = "too_many_decimals"
    #: A value needs 2**53 or more at its scale, so that a float64 would not hold it exactly.
    OUT_OF_RANGE = "out_of_range"
    #: An earlier row has the same minute and the same values. The earlier one is kept.
    DUPLICATE = "duplicate"
    #: Another row has the same minute and other values. None of them is kept: nobody knows which is right.
    CONFLICT = "conflict"


class Unsound(Exception):
    """Why one row cannot be stored."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """A row that must not be stored."""

    #: Its position in the input, counted from 0.
    place: int
    #: Its open time in ms, None when it has none.
    ts: int | None
    #: The values as they came, all columns.
    row: tuple[Any, ...]
    reason: Reason
    #: The reason in words, with the column and the value that are at fault.
    message: str
