"""The forms that bars are answered in, and which of them a request wants."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

import orjson
from django.http import HttpRequest
from rest_framework.exceptions import NotAcceptable

from apps.candles import conf
from apps.candles.api.series import Answer, Series
from apps.candles.files import encode
from apps.candles.sources.base import VALUES

_COLUMNS = ("ts", *VALUES)
#: numpy's numbers as they are: the shortest decimals that mean the same float.
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z


class Form(StrEnum):
    """What ``format=`` may be."""

    JSON = "json"
    ROWS = "rows"
    CSV = "csv"
    ARROW = "arrow"
    NPZ = "npz"

    @property
    def media_type(self) -> str:
        """The ``Content-Type`` of such an answer."""
        return _MEDIA_TYPES.get(self, "application/json")

    @property
    def is_text(self) -> bool:
        """Whether it is worth compressing: the floats of the others hardly get smaller."""
        return self not in (Form.ARROW, Form.NPZ)

    @property
    def is_json(self) -> bool:
        """Whether it is one of the forms that are read as a whole."""
        return self in (Form.JSON, Form.ROWS)

    @property
    def most(self) -> int:
        """The most bars in one answer."""
        return conf.max_bars() if self.is_json else conf.max_file_bars()


#: By media type; the first is what a client gets that does not mind.
MEDIA_TYPES = {
    "application/json": Form.JSON,
    "text/csv": Form.CSV,
    "application/vnd.apache.arrow.stream": Form.ARROW,
    "application/x-npz": Form.NPZ,
}
_MEDIA_TYPES = {form: media_type for media_type, form in MEDIA_TYPES.items()}


def accepted_form(request: HttpRequest) -> Form:
    """What the header ``Accept`` asks for. Raises `NotAcceptable` when it is none of `MEDIA_TYPES`."""
    accept = request.META.get("HTTP_ACCEPT", "*/*")
    if accept in ("*/*", ""):
        return Form.JSON
    preferred = request.get_preferred_type(list(MEDIA_TYPES))
    if preferred is None:
        raise NotAcceptable(f"Available are {', '.join(MEDIA_TYPES)}.")
    return MEDIA_TYPES[preferred]


def as_json(answer: Answer, *, rows: bool) -> bytes:
    """The body in JSON: of one instrument flat, of several with a list ``series``."""
    body: dict[str, object] = {
        "timeframe": answer.timeframe,
        "start": answer.start,
        "end": answer.end,
        "count": sum(len(one.candles) for one in answer.series),
    }
    if answer.single:
        (one,) = answer.series
        body = {
            "instrument": one.candles.instrument,
            **body,
            "forming": one.forming,
            "next": answer.next,
            **_bars(one, rows),
        }
    else:
        body["next"] = answer.next
        body["series"] = [
            {
                "instrument": one.candles.instrument,
                "count": len(one.candles),
                "forming": one.forming,
                **_bars(one, rows),
            }
            for one in answer.series
        ]
    return orjson.dumps(body, option=_OPTIONS)


def pieces(answer: Answer, form: Form) -> Iterator[bytes]:
    """The body in one of the other forms, piece by piece."""
    return encode([one.candles for one in answer.series], form.value)


def _bars(one: Series, rows: bool) -> dict[str, object]:
    if rows:
        columns = [getattr(one.candles, name).tolist() for name in _COLUMNS]
        return {"columns": _COLUMNS, "rows": list(zip(*columns, strict=True))}
    return {name: getattr(one.candles, name) for name in _COLUMNS}
