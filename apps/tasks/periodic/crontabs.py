"""Crontab expressions, as Celery reads them."""

from __future__ import annotations

import re

from celery.schedules import ParseException, crontab


class ScheduleError(ValueError):
    """The schedule cannot be understood; the message says why."""


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
#: What a field is called, Celery's name for it, and the words that it takes beside numbers.
_FIELDS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("minute", "minute", ()),
    ("hour", "hour", ()),
    ("day of month", "day_of_month", ()),
    ("month", "month_of_year", _MONTHS),
    ("day of week", "day_of_week", _DAYS),
)
_PART = re.compile(r"(?:\*|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>[0-9]+))?", re.ASCII)


def parse(expression: str) -> crontab:
    """Celery's crontab for an expression of five fields: minute, hour, day of month, month, day of week.

    Raises `ScheduleError`, with the field at fault. Stricter than Celery, which reads ``1-5-9`` as ``1-5``
    and takes ``mon`` for a minute.
    """
    fields = expression.split()
    if len(fields) != len(_FIELDS):
        raise ScheduleError(
            "a crontab expression has five fields (minute, hour, day of month, month, day of week),"
            f" {expression!r} has {len(fields)}"
        )
    given = {}
    for (name, option, words), field in zip(_FIELDS, fields, strict=True):
        for part in field.split(","):
            _check(name, words, part)
        try:
            crontab(**{option: field})
        except (ValueError, ParseException) as exc:
            raise ScheduleError(f"{name} {field!r}: {str(exc).strip().rstrip('.')}") from None
        given[option] = field
    try:
        return crontab(**given)
    except ValueError as exc:
        raise ScheduleError(str(exc).strip().rstrip(".")) from None


def expression_of(schedule: crontab) -> str:
    """The expression of a crontab that was made in Python, of strings, numbers or collections.

    Raises `ScheduleError` for one with a clock of its own.
    """
    options = vars(schedule)
    if options["_orig_kwargs"].get("nowfun"):
        raise ScheduleError('a crontab with nowfun is not supported; name its time zone under "timezone"')
    return " ".join(_written(options[f"_orig_{option}"]) for _, option, _ in _FIELDS)


def _written(field: object) -> str:
    if isinstance(field, str):
        return "".join(field.split())
    if isinstance(field, int):
        return str(field)
    return ",".join(str(number) for number in sorted(field))  # type: ignore[call-overload]


def _check(name: str, words: tuple[str, ...], part: str) -> None:
    """Refuse what Celery would take for something else."""
    match = _PART.fullmatch(part)
    if match is None:
        raise ScheduleError(f"{name} {part!r}: expected *, */STEP, N, N-M or N-M/STEP, or a list of them")
    first, last, step = match.group("first", "last", "step")
    if step is not None and (int(step) == 0 or (first is not None and last is None)):
        raise ScheduleError(f"{name} {part!r}: a step is 1 or more, and follows * or a range N-M")
    for end in (first, last):
        if end is not None and not end.isdigit() and end.lower()[:3] not in words:
            known = f" or one of {', '.join(words)}" if words else ""
            raise ScheduleError(f"{name} {part!r}: {end!r} is not a number{known}")
