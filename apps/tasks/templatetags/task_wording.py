"""The words of `apps.tasks.wording` in templates."""

from __future__ import annotations

from typing import Any

from django import template

from apps.core.redaction import redact
from apps.tasks import wording
from apps.tasks.durations import Durations

register = template.Library()

register.filter("in_words", wording.seconds)
register.filter("number", wording.count)
register.filter("percent", wording.share)
register.filter("runs", wording.runs)


@register.filter
def error_line(value: dict[str, Any] | None) -> str:
    """An error in one line, without secrets."""
    return str(redact(wording.error(value)))


@register.filter
def quantile(durations: Durations, percent: int) -> str:
    """A quantile, in words."""
    return wording.seconds(durations.quantile(percent / 100))


@register.filter
def rate(activity: Any, event: str) -> str:
    """How often an event happened in the time that it happened in."""
    return wording.rate(activity.rate(f"task.{event}"))


@register.filter
def times(activity: Any, event: str) -> str:
    """How often an event happened."""
    return wording.count(activity.count(f"task.{event}"))


@register.filter
def short(event: str) -> str:
    """An event's type without the prefix that all of them have."""
    return event.removeprefix("task.")
