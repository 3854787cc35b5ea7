"""An ``.npz`` that nobody's NumPy wrote is unreadable, or its text is read as far as it is text."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from apps.candles.files import RejectsFile, UnreadableFile, read_minutes
from apps.candles.quality import sift_minutes
from tests.candles.files.helpers import MARCH, NOW

ONE = struct.pack("<d", 1.0)


def header(dtype: str, shape: str = "(1,)") -> str:
    return f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}}}\n"


def crafted(path: Path, **arrays: tuple[str, bytes]) -> Path:
    """One minute, with arrays of one's own making."""
    sound = {name: (header("'<f8'"), ONE) for name in ("open", "high", "low", "close", "volume")}
    members = {"ts": (header("'<i8'"), struct.pack("<q", MARCH)), **sound, **arrays}
    with zipfile.ZipFile(path, "w") as archive:
        for name, (text, body) in members.items():
            raw = text.encode()
            archive.writestr(f"{name}.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(raw)) + raw + body)
    return path


@pytest.mark.parametrize("name", ["ts", "close"])
@pytest.mark.parametrize(
    ("text", "body"),
    [
        (header("'<U0'"), b""),
        (header("'<U0'", "(1000000000000,)"), b""),
        ("{'descr': '<f8', 'shape': (1,", ONE),
        ("-" * 9000 + "1", ONE),
        (header("()"), ONE),
        (header("'<M8'"), struct.pack("<q", 1)),
        (header("'<f8'", "(-1,)"), ONE),
    ],
    ids=["no width", "no width, many", "cut off", "nested", "no type", "no unit", "negative"],
)
def test_a_crafted_header_is_unreadable(tmp_path: Path, name: str, text: str, body: bytes) -> None:
    path = crafted(tmp_path / "a.npz", **{name: (text, body)})
    with pytest.raises(UnreadableFile, match=rf"a\.npz: {name}\.npy "):
        list(read_minutes(path))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("code", [0xD800, 0xDC80, 0xDFFF, 0xFFFFFFFF])
def test_text_that_is_none_is_rejected_and_can_be_written_down(tmp_path: Path, order: str, code: int) -> None:
    body = struct.pack(f"{order}2I", ord("7"), code)
    path = crafted(tmp_path / "a.npz", close=(header(f"'{order}U2'"), body))
    [batch] = read_minutes(path)
    sifted = sift_minutes(batch.rows, start_ms=None, end_ms=None, now_ms=NOW, price_scale=2, volume_scale=8)
    with RejectsFile(path) as rejects:
        rejects.write(batch, sifted.rejected)
    assert rejects.path.read_text(encoding="utf-8").splitlines()[1].split(",")[-2] == "7\ufffd"


def test_text_of_any_byte_order_is_read(tmp_path: Path) -> None:
    for order in "<>":
        text = np.array(["1.0"], dtype=f"{order}U3").tobytes()
        path = crafted(tmp_path / "a.npz", close=(header(f"'{order}U3'"), text))
        [batch] = read_minutes(path)
        assert batch.rows == [(MARCH, 1.0, 1.0, 1.0, "1.0", 1.0)]
