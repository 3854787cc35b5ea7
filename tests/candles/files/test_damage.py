"""A damaged file, wherever it is damaged, is read as far as it is whole, or it is unreadable."""

from __future__ import annotations

import gzip
import io
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from apps.candles.files import RejectsFile, UnreadableFile, read_minutes, write_candles_file
from apps.candles.quality import sift_minutes
from apps.candles.sources.base import VALUES
from tests.candles.files.helpers import NOW, walk

CANDLES = walk(100)


def written(format_: str) -> bytes:
    memory = io.BytesIO()
    write_candles_file(CANDLES, memory, format_)
    return memory.getvalue()


def zipped() -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", written("csv"))
        archive.writestr("b.csv", written("csv"))
    return memory.getvalue()


def packed_arrays() -> bytes:
    memory = io.BytesIO()
    np.savez_compressed(memory, ts=CANDLES.ts, **{name: getattr(CANDLES, name) for name in VALUES})
    return memory.getvalue()


FORMS: dict[str, Callable[[], bytes]] = {
    "csv": lambda: written("csv"),
    "gzip": lambda: gzip.compress(written("csv")),
    "zip": zipped,
    "npz": lambda: written("npz"),
    "packed npz": packed_arrays,
    "parquet": lambda: written("parquet"),
}


def spoil(data: bytes, chance: random.Random) -> bytes:
    """Some bytes changed, put in or taken out, or the end cut off; more often near the start and the end."""
    spoilt = bytearray(data)
    for _ in range(chance.choice([1, 1, 3, 20])):
        edge = chance.choice([0, max(0, len(spoilt) - 500), chance.randrange(len(spoilt) + 1)])
        at = min(len(spoilt), edge + chance.randrange(500))
        match chance.randrange(5):
            case 0:
                spoilt[at:] = b""
            case 1:
                spoilt[at:at] = chance.randbytes(chance.randrange(1, 9))
            case 2:
                del spoilt[at : at + chance.randrange(1, 20)]
            case _:
                spoilt[at : at + 1] = chance.randbytes(1)
    return bytes(spoilt)


@pytest.mark.parametrize("form", list(FORMS))
def test_damage_never_ends_in_anything_but_rows_or_unreadable(tmp_path: Path, form: str) -> None:
    chance = random.Random(form)
    whole, path = FORMS[form](), tmp_path / "a"
    refusals: list[str] = []
    for _ in range(300):
        path.write_bytes(spoil(whole, chance))
        try:
            with RejectsFile(path) as rejects:
                for batch in read_minutes(path):
                    sifted = sift_minutes(
                        batch.rows, start_ms=None, end_ms=None, now_ms=NOW, price_scale=2, volume_scale=8
                    )
                    assert len(batch.rows) == len(batch.lines) == len(batch.raw)
                    assert len(sifted.minutes) + len(sifted.rejected) == len(batch.rows)
                    rejects.write(batch, sifted.rejected)
        except UnreadableFile as refusal:
            refusals.append(str(refusal))
    assert 0 < len(refusals) < 300
    assert all(refusal.startswith("a: ") for refusal in refusals)
