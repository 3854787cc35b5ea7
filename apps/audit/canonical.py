"""The bytes that a row's hash is made of, version 1.

They are the ASCII text of a JSON array without white space:

    ["chandlery-audit/1",sequence,id,occurred_at,recorded_at,actor,action,object_type,object_id,account,
     outcome,address,user_agent,request_id,correlation_id,before,after,detail,key_id,previous_hash]

- ``sequence`` is an integer, ``id`` the UUID in lower case with hyphens; times are integers: microseconds
  since 1970 in UTC. ``previous_hash`` is in hexadecimal; ``address`` is null or text in the usual form.
- Columns of JSON are ``[]`` for NULL, and otherwise an array of one value.
- Strings are escaped as Python's ``json`` does: everything that is not ASCII as ``\\uXXXX`` in lower case.
- Keys of objects are sorted by their code points.
- Numbers are written without an exponent, without zeros at the end of a fraction, and zero without a sign:
  1.50, 15e-1 and 1.5 are one number, and so are 2.0 and 2.

So the text survives a way through ``jsonb``, which orders keys and writes numbers as it likes. Another
encoding gets another version, which each row carries.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from json import JSONDecodeError, JSONDecoder
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any, NamedTuple

from apps.core.addresses import usual_form

VERSION = 1
#: Of a row that has no predecessor.
GENESIS = bytes(32)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: Integers of so few digits are read as such; longer ones by a way that takes any length.
_SHORT = 18
#: Numbers of ``jsonb`` have at most so many digits before the point, and so many behind it.
_DIGITS_BEFORE, _DIGITS_BEHIND = 131_072, 16_383


class Absent:
    """The value of a column of JSON that is NULL: JSON has a null of its own."""


ABSENT = Absent()


class Row(NamedTuple):
    """A row of the chain but for its hash, in the order of the encoding."""

    sequence: int
    id: str
    #: Microseconds since 1970.
    occurred_at: int | Decimal
    recorded_at: int | Decimal
    actor: str
    action: str
    object_type: str
    object_id: str
    account: str
    outcome: str
    #: None or an address.
    address: str | None
    user_agent: str
    request_id: str
    correlation_id: str
    #: JSON values, or `ABSENT`.
    before: Any
    after: Any
    detail: Any
    key_id: str
    previous_hash: bytes


def encode(row: Row) -> bytes:
    """The bytes that the hash is made of. Raises `TypeError` for a value that no row can hold."""
    address = row.address
    parts = [
        f'"chandlery-audit/{VERSION}"',
        _value(row.sequence),
        _quoted(row.id),
        _value(row.occurred_at),
        _value(row.recorded_at),
        *map(_quoted, row[4:10]),
        "null" if address is None else _quoted(usual_form(address) or address),
        *map(_quoted, row[11:14]),
        *map(_column, row[14:17]),
        _quoted(row.key_id),
        f'"{row.previous_hash.hex()}"',
    ]
    return f"[{','.join(parts)}]".encode("ascii")


def microseconds(moment: datetime) -> int:
    """An aware time as the encoding has it."""
    return (moment - _EPOCH) // _MICROSECOND


def _column(value: Any) -> str:
    return "[]" if value is ABSENT else f"[{_value(value)}]"


def _value(value: Any) -> str:
    kind = type(value)
    if kind is str:
        return _quoted(value)
    if kind is int:
        return str(value)
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if kind is dict:
        return f"{{{','.join(f'{_quoted(key)}:{_value(value[key])}' for key in sorted(value))}}}"
    if kind is list:
        return f"[{','.join(map(_value, value))}]"
    if kind is float or kind is Decimal:
        return _number(Decimal(repr(value)) if kind is float else value)
    raise TypeError(f"a row cannot hold a {kind.__name__}")


def _number(value: Decimal) -> str:
    # Not by arithmetic, which would round.
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _fraction(text: str) -> Decimal:
    # Written without an exponent, a few characters could come to gigabytes.
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError("a number is too large") from None
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    if number.adjusted() >= _DIGITS_BEFORE or exponent < -_DIGITS_BEHIND:
        raise ValueError("a number is too large, or has too many digits")
    return number


def _whole(digits: str) -> int | Decimal:
    return int(digits) if len(digits) <= _SHORT else Decimal(digits)


def _unambiguous(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


_decoder = JSONDecoder(
    parse_float=_fraction, parse_int=_whole, parse_constant=_constant, object_pairs_hook=_unambiguous
)


def decode(text: str) -> Any:
    """The value of a JSON text, with its numbers exactly as they stand there.

    Raises `ValueError` for what is no JSON, an object in which a key stands twice, or a number that no row
    can hold.
    """
    try:
        return _decoder.decode(text)
    except RecursionError:
        raise JSONDecodeError("nested too deeply", text[:100], 0) from None
