"""Candles as lines of text. Imports pyarrow, which spells numbers several times faster than Python."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from apps.candles.sources.base import VALUES, Candles

# Rows that become text at a time.
_ROWS = 16_384


def text(candles: Sequence[Candles], *, labelled: bool) -> Iterator[bytes]:
    """A header and a line for each bar, piece by piece; with the instrument first when *labelled*."""
    names = (*(("instrument",) if labelled else ()), "ts", *VALUES)
    yield (",".join(names) + "\n").encode()
    for one in candles:
        labels = [pa.scalar(_quoted(one.instrument))] if labelled else []
        for start in range(0, len(one), _ROWS):
            piece = slice(start, start + _ROWS)
            columns = (_times(one.ts[piece]), *(_plain(getattr(one, name)[piece]) for name in VALUES))
            lines = pc.binary_join_element_wise(*labels, *columns, ",")
            whole = pa.ListArray.from_arrays(pa.array([0, len(lines)], pa.int32()), lines)
            yield pc.binary_join(whole, "\n")[0].as_buffer().to_pybytes() + b"\n"


def _quoted(label: str) -> str:
    return '"' + label.replace('"', '""') + '"' if any(mark in label for mark in '",') else label


def _times(ts: NDArray[np.int64]) -> pa.Array:
    """To the second where that is all, else to the millisecond."""
    unit, count = ("ms", ts) if np.any(ts % 1000) else ("s", ts // 1000)
    return pa.array(count).view(pa.timestamp(unit, tz="UTC")).cast(pa.string())


def _plain(values: NDArray[np.float64]) -> pa.Array:
    """The shortest decimals that mean these floats, without exponents."""
    texts = pa.array(values).cast(pa.string())
    if not pc.any(pc.match_substring(texts, "e")).as_py():
        return texts
    return pa.array(
        [
            np.format_float_positional(value, trim="-") if "e" in spelled else spelled
            for spelled, value in zip(texts.to_pylist(), values.tolist(), strict=True)
        ]
    )
