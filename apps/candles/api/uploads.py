"""Minutes that staff send: read out of the body, judged, and stored."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from rest_framework import serializers
from rest_framework.exceptions import ParseError, UnsupportedMediaType, ValidationError

from apps.candles import conf, selectors, services
from apps.candles.files import UnreadableFile, read_minutes
from apps.candles.models import Instrument
from apps.candles.quality import Row, sift_minutes
from apps.candles.sources.base import VALUES, UnknownInstrument
from apps.candles.timeframes import to_ms
from apps.core.problems import ContentTooLarge
from apps.core.serializers import StrictSerializer

_COLUMNS = ("ts", *VALUES)
#: What an answer of `GET` holds beside its bars; it may be sent back as it is.
_BESIDE = {"start", "end", "count", "forming", "next", "columns"}
# How many rejected rows an answer shows.
_SHOWN = 100
_PIECE = 2**20

#: Gives the rows of a body that lies in a file.
Reader = Callable[[Path, Instrument], Iterator[Row]]


class UploadQuerySerializer(StrictSerializer):
    """The query parameters of ``POST /candles``."""

    instrument = serializers.CharField(help_text="As `binance:BTC/USDT`; it is known here.")
    dry_run = serializers.BooleanField(
        default=False, help_text="Judge, and say what would be stored; store nothing."
    )


def upload(request: HttpRequest, *, instrument: str, dry_run: bool) -> dict[str, Any]:
    """Store the sound minutes of the request's body, and say what became of each row.

    Raises ValidationError, `ParseError` for a body that cannot be read, `ContentTooLarge` and
    `UnsupportedMediaType`; nothing is stored then.
    """
    try:
        market = selectors.instrument_get(instrument)
    except (ValueError, Instrument.DoesNotExist):
        raise ValidationError({"instrument": [str(UnknownInstrument(instrument))]}) from None
    read = UPLOAD_TYPES.get(request.content_type or "")
    if read is None:
        raise UnsupportedMediaType(request.content_type or "", f"The body may be {', '.join(UPLOAD_TYPES)}.")
    rows = _rows(request, market, read)
    sifted = sift_minutes(
        rows,
        start_ms=None,
        end_ms=None,
        now_ms=to_ms(timezone.now()),
        price_scale=market.price_scale,
        volume_scale=market.volume_scale,
    )
    try:
        with transaction.atomic():
            written = services.write_candles(instrument=market, minutes=sifted.minutes)
            services.quarantine(instrument=market, rejected=sifted.rejected, origin="upload", run=None)
            if dry_run:
                transaction.set_rollback(True)
    except ValueError as exc:
        # Beyond the retention, beyond what a scale holds, beyond the years that there are partitions for.
        raise ValidationError({"body": [str(exc)]}) from None
    return {
        "instrument": market.text,
        "dry_run": dry_run,
        "rows": len(rows),
        "inserted": written.inserted,
        "updated": written.updated,
        "unchanged": written.unchanged,
        "rejected": len(sifted.rejected),
        "rejects": [
            {"place": one.place, "ts": one.ts, "reason": one.reason.value, "message": one.message}
            for one in sifted.rejected[:_SHOWN]
        ],
    }


def _rows(request: HttpRequest, market: Instrument, read: Reader) -> list[Row]:
    """All rows of the body, once it lies in a file. Raises `ParseError` and `ContentTooLarge`."""
    with tempfile.TemporaryDirectory(prefix="candles-") as folder:
        path = Path(folder) / "body"
        with path.open("wb") as file:
            _receive(request, file)
        rows: list[Row] = []
        try:
            for row in read(path, market):
                rows.append(row)
                if len(rows) > conf.max_upload_rows():
                    raise ContentTooLarge(
                        f"The body holds more than {conf.max_upload_rows():,} rows: send it in pieces."
                    )
        except UnreadableFile as exc:
            raise ParseError(f"The body cannot be read: {exc.problem}.") from None
    return rows


def _receive(request: HttpRequest, file: IO[bytes]) -> None:
    limit = conf.max_upload_bytes()
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not length.isdigit() or not int(length):
        raise ParseError("The body is empty, or its length was not sent.")
    if int(length) > limit:
        raise ContentTooLarge(f"The body has {int(length):,} bytes; {limit:,} are taken at once.")
    while piece := request.read(_PIECE):
        file.write(piece)


def _from_file(kind: str) -> Reader:
    def read(path: Path, market: Instrument) -> Iterator[Row]:
        for batch in read_minutes(path, format=kind, base=market.base):
            yield from batch.rows

    return read


def _from_arrow(path: Path, market: Instrument) -> Iterator[Row]:
    """An IPC stream, by way of the Parquet file that holds the same."""
    import pyarrow as pa  # it takes a while to import
    import pyarrow.parquet as pq

    copy = path.with_suffix(".parquet")
    rows = 0
    try:
        with (
            pa.OSFile(str(path)) as file,
            pa.ipc.open_stream(file) as stream,
            pq.ParquetWriter(copy, stream.schema, version="2.6") as writer,
        ):
            for batch in stream:
                rows += batch.num_rows
                if rows > conf.max_upload_rows():
                    break
                batch.validate(full=True)
                writer.write_batch(batch)
    except (pa.ArrowException, OSError, ValueError) as exc:
        raise UnreadableFile("body", f"it is no Arrow stream: {str(exc)[:200]}") from None
    if rows > conf.max_upload_rows():
        raise ContentTooLarge(f"The body holds more than {conf.max_upload_rows():,} rows: send it in pieces.")
    if rows:
        yield from _from_file("parquet")(copy, market)


def _from_json(path: Path, market: Instrument) -> Iterator[Row]:
    """Columns or rows, as `GET` gives them. Decimals stay the text that was sent."""
    try:
        body = json.loads(path.read_bytes(), parse_float=str, parse_constant=str)
    except (ValueError, RecursionError) as exc:
        raise UnreadableFile("body", f"it is no JSON: {str(exc)[:200]}") from None
    if not isinstance(body, dict):
        raise UnreadableFile("body", "it is no object with columns or rows")
    for name, wanted in (("instrument", market.text), ("timeframe", "1m")):
        if body.pop(name, wanted) != wanted:
            raise ValidationError({name: [f"The body is of another one than {wanted}."]})
    held = body.keys() - _BESIDE
    if held == {"rows"}:
        if body.get("columns", list(_COLUMNS)) != list(_COLUMNS):
            raise ValidationError({"columns": [f"Rows hold {', '.join(_COLUMNS)}, in this order."]})
        rows = body["rows"]
        if not isinstance(rows, list):
            raise ValidationError({"rows": ["Expected a list."]})
        return iter(rows)
    if held != set(_COLUMNS):
        raise UnreadableFile(
            "body", f"it holds {', '.join(sorted(map(str, held))) or 'nothing'}, not {', '.join(_COLUMNS)}"
        )
    columns = [body[name] for name in _COLUMNS]
    for name, column in zip(_COLUMNS, columns, strict=True):
        if not isinstance(column, list):
            raise ValidationError({name: ["Expected a list."]})
        if len(column) != len(columns[0]):
            raise ValidationError({name: [f"Has {len(column)} values, and ts has {len(columns[0])}."]})
    return zip(*columns, strict=True)


#: What a body may be, and how its rows are read.
UPLOAD_TYPES: dict[str, Reader] = {
    "application/json": _from_json,
    "text/csv": _from_file("csv"),
    "application/vnd.apache.arrow.stream": _from_arrow,
    "application/vnd.apache.parquet": _from_file("parquet"),
    "application/x-npz": _from_file("npz"),
}
