"""What makes two requests the same, and two states of the stored candles."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from apps.backtests.engine import ENGINE_VERSION
from apps.candles.models import Instrument
from apps.candles.storage.revisions import versions


def request_hash(*, spec_hash: str, instruments: Sequence[str], timeframe: str, start: int, end: int) -> str:
    """sha256 of everything that a result follows from, but for the candles. Times in milliseconds."""
    return digest([ENGINE_VERSION, spec_hash, list(instruments), timeframe, start, end])


def data_version(instruments: Sequence[Instrument], start: int, end: int) -> str:
    """sha256 of the versions of the stored months that [start, end) milliseconds touches.

    Whatever is changed in one of these months gives another version, and nothing else does.
    """
    tokens = versions([one.pk for one in instruments], start, end)
    of_each: dict[int, list[list[Any]]] = {}
    for (pk, month), token in sorted(tokens.items()):
        of_each.setdefault(pk, []).append([month.isoformat(), token])
    return digest([[one.text, of_each.get(one.pk, [])] for one in instruments])


def digest(value: Any) -> str:
    """sha256 (hex) of a JSON value, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
