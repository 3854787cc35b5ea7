"""Chunks: each is computed whole or not at all, and the same every time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from apps.backtests.models import Sweep, SweepChunk
from apps.backtests.sweeps.columns import (
    floats,
    pack,
    pack_matrix,
    pack_params,
    unpack,
    unpack_matrix,
    unpack_params,
)
from apps.backtests.sweeps.computing import chunk_run, thinned
from apps.candles.sources.disk import DiskSource, export_npz
from apps.candles.sources.timescale import TimescaleSource
from apps.tasks import Cancelled
from apps.tasks.testing import run_pending
from tests.backtests.sweeps.conftest import body, brief, post

pytestmark = pytest.mark.django_db

COLUMNS = ("table", "walk", "returns", "data_fingerprint")


def whole(chunk: SweepChunk) -> SweepChunk:
    """A chunk with its heavy columns."""
    return SweepChunk.objects.defer(None).select_related("sweep").get(pk=chunk.pk)


@pytest.mark.usefixtures("small_chunks")
def test_a_chunk_computed_again_is_the_same_to_the_byte(api: Any, stored: str) -> None:
    post(api, body(stored, walk_forward={"train": "6d", "test": "3d"}))
    run_pending()
    chunks = [whole(chunk) for chunk in SweepChunk.objects.all()]
    assert len(chunks) > 1
    before = [tuple(bytes(getattr(chunk, name) or b"", *_text(name)) for name in COLUMNS) for chunk in chunks]
    for chunk in chunks:
        chunk_run(chunk=chunk)
    after = [
        tuple(bytes(getattr(whole(chunk), name) or b"", *_text(name)) for name in COLUMNS) for chunk in chunks
    ]
    assert before == after
    assert all(all(columns) for columns in after)


def _text(name: str) -> tuple[str, ...]:
    return ("ascii",) if name == "data_fingerprint" else ()


def test_another_source_of_the_same_candles_gives_the_same(api: Any, stored: str, tmp_path: Any) -> None:
    post(api, body(stored))
    run_pending()
    chunk = whole(SweepChunk.objects.get())
    export_npz(source=TimescaleSource(), root=tmp_path, instrument=stored)
    chunk_run(chunk=chunk, source=DiskSource(tmp_path))
    assert whole(chunk).table == chunk.table
    assert whole(chunk).data_fingerprint == chunk.data_fingerprint


def test_a_chunk_of_a_sweep_that_is_gone_ends(api: Any, few: str) -> None:
    post(api, brief(few))
    chunk = whole(SweepChunk.objects.get())
    Sweep.objects.all().delete()
    with pytest.raises(Cancelled):
        chunk_run(chunk=None)
    with pytest.raises(Cancelled):
        chunk_run(chunk=chunk)


def test_tables_and_matrices_come_back_as_they_were() -> None:
    rows = [{"fast": 3, "x": 0.1, "kind": "a"}, {"fast": 4, "x": 1e300, "kind": "b"}]
    assert unpack_params(pack_params(rows)) == rows
    table = unpack(pack({"a": np.array([1.5, np.nan]), "b": np.array([np.nan, np.nan])}))
    assert table["a"].to_pylist() == [1.5, None]
    assert np.isnan(floats(table, "b")).all()
    matrix = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert unpack_matrix(pack_matrix(matrix)).tolist() == matrix.tolist()
    assert len(pack({"z": np.zeros(100_000)})) < 10_000


def test_longer_periods_compound_the_shorter_ones() -> None:
    returns = np.array([[0.1, 0.2, -0.1, 0.0, 0.5], [0.0] * 5])
    assert thinned(returns, 5) is returns
    coarse = thinned(returns, 3)
    assert coarse[0] == pytest.approx([1.1 * 1.2 - 1, -0.1, 0.5])
    assert coarse[1].tolist() == [0.0] * 3
