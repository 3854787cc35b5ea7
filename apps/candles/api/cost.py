"""What a request for bars costs of rate limits."""

from __future__ import annotations

from django.http import HttpRequest, QueryDict
from django.utils import timezone
from rest_framework.exceptions import ValidationError

from apps.candles import conf
from apps.candles.timeframes import TIMEFRAMES, Timeframe, to_ms
from apps.core.serializers import MomentField

#: Bars of one unit.
_UNIT = 1_000
_MOMENT = MomentField()


def units(request: HttpRequest) -> int:
    """One unit for each thousand bars that are asked for, and at least one.

    An estimate from the address alone; what cannot be read there costs one, and is refused by the view.
    """
    if request.method not in ("GET", "HEAD"):
        return 1
    asked = request.GET
    frame = TIMEFRAMES.get(asked.get("timeframe", ""))
    if frame is None:
        return 1
    names = min(len(asked.getlist("instrument")), conf.max_series())
    return max(1, -(-min(names * _bars(asked, frame), conf.max_file_bars()) // _UNIT))


def _bars(asked: QueryDict, frame: Timeframe) -> int:
    limit = asked.get("limit", "")
    if limit.isdecimal():
        return min(int(limit[:10]), conf.max_file_bars())
    if "start" not in asked:
        return conf.default_bars()
    try:
        end = _MOMENT.to_internal_value(asked["end"]) if "end" in asked else timezone.now()
        return frame.count(to_ms(_MOMENT.to_internal_value(asked["start"])), to_ms(end))
    except ValidationError:
        return 1
