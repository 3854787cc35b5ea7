"""Which column of a file is which, told by its name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from apps.candles.files.batches import Options
from apps.candles.files.errors import AmbiguousFile, UnreadableFile

#: What a file must have: the keys of ``columns=``, in the order of a row.
FIELDS = ("ts", "open", "high", "low", "close", "volume")

#: Names of the time's column; of several the first of these is taken, as they say the same.
_TIMES = (
    *("open_time", "opentime", "open_timestamp", "ts", "timestamp", "unix", "unix_timestamp", "unix_time"),
    *("unixtime", "time", "datetime", "date_time", "date", "date_utc", "time_utc", "t"),
)
_PRICES = {
    "open": ("open", "o", "open_price", "price_open"),
    "high": ("high", "h", "high_price", "price_high", "max"),
    "low": ("low", "l", "low_price", "price_low", "min"),
    "close": ("close", "c", "close_price", "price_close"),
}
_VOLUMES = (
    *("volume", "v", "vol", "base_volume", "volume_base", "base_asset_volume"),
    *("volume_from", "volumefrom"),
)
_LABELS = ("instrument", "symbol", "ticker", "pair", "market")
# What crypto is quoted in: a volume in one of these is not in units of the base.
_QUOTES = (
    *("usdt", "usd", "usdc", "busd", "tusd", "fdusd", "dai", "eur", "gbp", "try", "brl", "jpy", "krw"),
    *("aud", "quote", "currency"),
)


class Layout(NamedTuple):
    """Where in a line the six values are, and where the name of the instrument is, if it is there."""

    places: tuple[int, ...]
    label: int | None

    @property
    def width(self) -> int:
        """How many columns a line needs."""
        return max(self.places) + 1


def is_header(names: Sequence[str]) -> bool:
    """Whether these are names of columns of candles."""
    return len({_clean(name) for name in names} & {one for known in _PRICES.values() for one in known}) >= 3


def by_place(file: str, columns: Mapping[str, str | int]) -> Layout:
    """The layout of lines without a header. A column that is not given is where it usually is."""
    numbers: list[int] = []
    for place, field in enumerate(FIELDS):
        at = columns.get(field, place)
        if isinstance(at, str):
            raise UnreadableFile(
                file, f"no header says which column is {at!r}: columns= can give places only"
            )
        numbers.append(at)
    return _distinct(file, Layout(tuple(numbers), None))


def by_name(file: str, names: Sequence[str], options: Options) -> Layout:
    """The layout told by a header, with the columns that were asked for.

    Raises `AmbiguousFile` when a column is not found or may be one of several.
    """
    cleaned = [_clean(name) for name in names]
    asked = options.columns or {}
    places = tuple(
        _asked(file, names, asked[field]) if field in asked else _found(file, names, cleaned, field, options)
        for field in FIELDS
    )
    label = next((cleaned.index(name) for name in _LABELS if name in cleaned), None)
    return _distinct(file, Layout(places, label))


def check_columns(columns: Mapping[str, str | int]) -> None:
    """Raises ValueError unless *columns* maps fields to names or places, each to another."""
    unknown = set(columns) - set(FIELDS)
    if unknown:
        raise ValueError(f"columns= knows {', '.join(FIELDS)}, not {', '.join(sorted(unknown))}")
    if len(set(columns.values())) != len(columns):
        raise ValueError("columns= gives one column to two fields")
    if any(isinstance(place, int) and place < 0 for place in columns.values()):
        raise ValueError("columns= counts places from 0")


def _distinct(file: str, layout: Layout) -> Layout:
    """Raises unless each field has a column of its own."""
    for place in layout.places:
        fields = [field for field, at in zip(FIELDS, layout.places, strict=True) if at == place]
        if len(fields) > 1:
            raise AmbiguousFile(file, f"column {place} would be {' and '.join(fields)}", option="columns")
    return layout


def _clean(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name[:40]) for name in names[:20])


def _asked(file: str, names: Sequence[str], wanted: str | int) -> int:
    if isinstance(wanted, int):
        if wanted >= len(names):
            raise UnreadableFile(file, f"there is no column {wanted}: it has {len(names)}")
        return wanted
    for spelled in (list(names), [name.strip().lower() for name in names]):
        for text in (wanted, wanted.lower()):
            if spelled.count(text) == 1:
                return spelled.index(text)
    raise UnreadableFile(file, f"not one column is called {wanted!r}: it has {_listed(names)}")


def _found(file: str, names: Sequence[str], cleaned: Sequence[str], field: str, options: Options) -> int:
    if field == "ts":
        first = next((name for name in _TIMES if name in cleaned), None)
        places = [place for place, name in enumerate(cleaned) if name == first]
    elif field == "volume":
        places = _volumes(cleaned, options.base)
    else:
        places = [place for place, name in enumerate(cleaned) if name in _PRICES[field]]
    if len(places) == 1:
        return places[0]
    what = "the time" if field == "ts" else field
    if places:
        several = _listed([names[place] for place in places])
        option = "base" if field == "volume" and options.base is None else "columns"
        raise AmbiguousFile(file, f"{what} may be in {several}", option=option)
    raise AmbiguousFile(file, f"no column is known to be {what}: it has {_listed(names)}", option="columns")


def _volumes(cleaned: Sequence[str], base: str | None) -> list[int]:
    """The columns that may be the volume in units of the base."""
    plain = [place for place, name in enumerate(cleaned) if name in _VOLUMES]
    if plain:
        return plain
    units = {
        place: name.removeprefix("volume_")
        for place, name in enumerate(cleaned)
        if re.fullmatch(r"volume_[a-z0-9]+", name)
    }
    if base is not None:
        return [place for place, unit in units.items() if unit == _clean(base)]
    return [place for place, unit in units.items() if unit not in _QUOTES]
