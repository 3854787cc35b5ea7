"""What every format of signals has in common."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from rest_framework.exceptions import ValidationError

from apps.core.serializers import MomentField
from apps.orders.signals import Signal

#: Quantities and prices have up to 20 digits before the point and 18 after it.
_WHOLE, _PLACES = 20, 18
#: Levels of objects and arrays.
_DEEPEST = 16
_HALF = re.compile("[\ud800-\udfff]")
_MOMENT = MomentField()


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is wrong with one field."""

    field: str
    detail: str


class Malformed(Exception):
    """A body that its format does not take; *code* is a key of `codes.CODES`."""

    def __init__(
        self, detail: str, *, faults: Sequence[Fault] = (), code: str = "malformed", fields: Any = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.faults = tuple(faults)
        self.code = code
        #: What could be read of the body, for the log.
        self.fields = fields

    @classmethod
    def of(cls, faults: Sequence[Fault], fields: Any) -> Malformed:
        """A body of the right form with these faults in it."""
        detail = "; ".join(f"{fault.field}: {fault.detail}" for fault in faults)
        return cls(detail, faults=faults, code="invalid", fields=fields)


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """A request as it came in, nothing of it believed yet."""

    body: bytes
    #: The parts of the request that formats read: lower-case header names and their values.
    headers: Mapping[str, str] = field(default_factory=dict)
    #: The query parameter ``simulation``; null where it is not there.
    simulation: str | None = None
    #: Bytes of the body; of one that is too large, as the sender said.
    size: int = 0
    too_large: bool = False
    #: Why the request could not be read; empty where it could.
    fault: str = ""


@dataclass(frozen=True, kw_only=True)
class SymbolName:
    """An instrument as the sender names it."""

    text: str
    #: The exchange that stands before it, in lower case; empty where none does.
    exchange: str = ""
    #: Whether it is said to be a perpetual contract; null where nothing is said.
    swap: bool | None = None
    #: As it was written.
    given: str = ""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a body asks for, in the terms of every format."""

    #: Null where there is nothing to act upon: then *idle* says why.
    signal: Signal | None
    symbol: SymbolName | None
    quantity: Decimal | None = None
    price: Decimal | None = None
    timestamp: datetime | None = None
    #: Whether it is to be traded on paper.
    simulation: bool = True
    secret: str = field(default="", repr=False)
    #: What makes a second request the first, of those on paper or of those for real: given by the sender, or
    #: else made of the body.
    key: str
    #: Tells whether a second request with the same key says the same: SHA-256 in hex.
    digest: str
    #: What of the body is logged.
    fields: Any
    #: Why there is nothing to act upon, in words.
    idle: str = ""

    @property
    def receipt(self) -> str:
        """Under what its answer is kept. Who needs no secret on paper can use up no keys of real signals."""
        return f"{'paper' if self.simulation else 'real'}:{self.key}"


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """What an endpoint's senders prove themselves by: what is valid now, the newest first."""

    #: SHA-256 in hex.
    secret_hashes: tuple[str, ...] = ()
    #: Unsealed only by the format that needs them.
    signing_secrets: tuple[str, ...] = field(default=(), repr=False)
    #: What those were sealed with.
    signing_context: str = ""
    require_secret: bool = True


class Format(ABC):
    """How senders of one kind write and prove what they want. A new kind is one file with one of these."""

    #: As in the address, in lower case.
    name: str
    #: The status of the answer to what was accepted or recorded.
    accepted_status: int
    #: Headers that it reads, in lower case.
    headers: tuple[str, ...] = ()
    #: Whether its senders keep the order of what they send, and stop at what is refused. Of these a valid
    #: signal that cannot be acted upon (it is too late, say, or the account may not) is recorded only.
    in_order: bool = False

    @abstractmethod
    def parse(self, arrival: Arrival) -> Asked:
        """What the request asks for. Raises `Malformed`."""

    @abstractmethod
    def refuses(
        self, arrival: Arrival, asked: Asked, credentials: Credentials, *, simulation: bool
    ) -> tuple[str, str] | None:
        """Why the sender is not believed, as a code and words; null where the sender is.

        Takes the same time whatever is wrong with a secret or a signature.
        """

    def proves(self, asked: Asked) -> bool:
        """Whether the sender, who is believed, has proved it; where no secret is needed, anybody is."""
        return True


def read_json(body: bytes) -> dict[str, Any]:
    """The object that *body* is, with exact decimals. Raises `Malformed`."""
    return load_json(decoded(body))


def decoded(body: bytes) -> str:
    """*body* as text without a byte order mark and blanks around it. Raises `Malformed`."""
    try:
        text = body.decode("utf-8-sig").strip()
    except UnicodeDecodeError as exc:
        raise Malformed(f"The body is not UTF-8: byte {exc.start} does not belong there.") from None
    if "\0" in text:
        raise Malformed("The body holds a NUL.")
    return text


def load_json(text: str) -> dict[str, Any]:
    """The object that *text* is; names that stand twice in an object are refused. Raises `Malformed`."""
    try:
        found = json.loads(text, object_pairs_hook=_once, parse_float=Decimal, parse_constant=_no_such_number)
    except RecursionError:
        raise Malformed("The body is nested too deeply.") from None
    except (ValueError, ArithmeticError) as exc:
        raise Malformed(f"The body is not JSON: {exc}.") from None
    if not isinstance(found, dict):
        raise Malformed("The body is JSON, but not an object.")
    _check(found)
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise Malformed(f"The body says {name!r} twice.")
        found[name] = value
    return found


def _no_such_number(text: str) -> Any:
    raise Malformed(f"The body is not JSON: {text} is no number.")


def _check(value: Any, depth: int = 0) -> None:
    """Raises `Malformed` for text that no database takes, and for deep nesting."""
    if isinstance(value, str):
        if (not value.isascii() and _HALF.search(value)) or "\0" in value:
            raise Malformed("The body holds what is no text: NUL, or half of a surrogate pair.")
    elif isinstance(value, dict | list):
        if depth == _DEEPEST:
            raise Malformed("The body is nested too deeply.")
        for inner in value:
            _check(inner, depth + 1)
        if isinstance(value, dict):
            for inner in value.values():
                _check(inner, depth + 1)


class Fields:
    """Reads the fields of a body one by one, and collects what is wrong with them."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values
        self.faults: list[Fault] = []

    def fault(self, name: str, detail: str) -> None:
        """Say what is wrong with a field."""
        self.faults.append(Fault(field=name, detail=detail))

    def text(self, name: str, *, required: bool = False, most: int = 128) -> str:
        """Text without blanks around it; empty where there is none."""
        value = self.values.get(name)
        if value is None or (isinstance(value, str) and not value.strip()):
            if required:
                self.fault(name, "This field is required.")
            return ""
        if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
            self.fault(name, "Expected text.")
            return ""
        text = str(value).strip()
        if len(text) > most:
            self.fault(name, f"Is longer than {most} characters.")
            return ""
        return "" if self._unreplaced(name, text) else text

    def amount(self, name: str, *, required: bool = False) -> Decimal | None:
        """A positive number: a JSON number, or a decimal as text."""
        value = self.values.get(name)
        if isinstance(value, str):
            value = value.strip()
        if value is None or value == "":
            if required:
                self.fault(name, "This field is required.")
            return None
        if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
            self.fault(name, "Expected a number.")
            return None
        if isinstance(value, str) and self._unreplaced(name, value):
            return None
        number = exact(value)
        if number is None:
            self.fault(
                name,
                f"Expected a positive decimal: up to {_WHOLE} digits, and {_PLACES} after the point.",
            )
        return number

    def moment(self, name: str, *, required: bool = False) -> datetime | None:
        """ISO 8601 with Z or an offset, or milliseconds since 1970."""
        value = self.values.get(name)
        if isinstance(value, str):
            value = value.strip()
        if value is None or value == "":
            if required:
                self.fault(name, "This field is required.")
            return None
        if isinstance(value, str) and self._unreplaced(name, value):
            return None
        try:
            return _MOMENT.to_internal_value(value).astimezone(UTC)
        except ValidationError:
            self.fault(name, "Expected ISO 8601 with Z or an offset, or whole milliseconds since 1970.")
            return None

    def flag(self, name: str) -> bool | None:
        """True or false, also as text; null where nothing is said."""
        value = self.values.get(name)
        if isinstance(value, str):
            value = value.strip()
            if self._unreplaced(name, value):
                return None
            value = {"true": True, "false": False, "1": True, "0": False, "": None}.get(value.lower(), value)
        if value is None or isinstance(value, bool):
            return value
        self.fault(name, "Expected true or false.")
        return None

    def _unreplaced(self, name: str, value: str) -> bool:
        if "{{" not in value:
            return False
        self.fault(
            name,
            f"{shortened(value)} was not replaced: the sender does not know this placeholder here.",
        )
        return True


def asked_simulation(arrival: Arrival, fields: Fields) -> bool:
    """Whether the query and the body together ask for paper; that is so where neither says anything."""
    query = Fields({"simulation": arrival.simulation})
    asked, said = query.flag("simulation"), fields.flag("simulation")
    fields.faults += query.faults
    if asked is not None and said is not None and asked != said:
        fields.fault("simulation", "The address says the opposite of the body.")
    return next((one for one in (asked, said) if one is not None), True)


def exact(value: str | int | Decimal) -> Decimal | None:
    """A positive decimal that the columns of amounts hold exactly; null for anything else."""
    if isinstance(value, str):
        text = value
        if len(text) > 64 or not text.isascii() or "_" in text:
            return None
        try:
            value = Decimal(text)
        except ArithmeticError:
            return None
    number = Decimal(value)
    if not number.is_finite() or number <= 0 or number.adjusted() >= _WHOLE:
        return None
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    # Zeros at the end say nothing. (`Decimal.normalize` would round.)
    while digits[-1] == 0:
        digits, exponent = digits[:-1], exponent + 1
    return Decimal((0, digits, exponent)) if exponent >= -_PLACES else None


def shortened(text: str, most: int = 60) -> str:
    """*text*, or its beginning."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
