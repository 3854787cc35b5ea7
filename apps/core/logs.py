"""Log lines of one form, whichever library they come from, with the ids of what they belong to.

Whoever has figures to tell beside the words logs with `fields`.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from apps.core import context, process, redaction, tracing

Form = Literal["json", "console"]

#: The attribute of a record that holds its fields.
_FIELDS = "fields"
#: A trace is cut to its last part: the cause stands at the end.
_TRACE_LIMIT = 16_000
#: What a person at a terminal knows already, or reads in another column.
_NOT_ON_CONSOLES = frozenset(
    {"timestamp", "level", "logger", "event", "exception", "process", "pid", "version", "worker", "trace_id"}
)


def fields(**values: Any) -> dict[str, Any]:
    """For ``extra=`` of a logging call: what the line tells beside its words, by name."""
    return {_FIELDS: values}


def formatter(*, form: Form, version: str) -> logging.Formatter:
    """The formatter of every handler: a JSON object on each line, or what is easily read.

    Secrets are masked in the words, in the fields and in traces. Raises ValueError for another form.
    """
    renderers: dict[str, Processor] = {
        "json": structlog.processors.JSONRenderer(default=str),
        "console": _on_console,
    }
    if form not in renderers:
        raise ValueError(f"LOG_FORMAT must be json or console, not {form!r}")
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[_Line(version)], processors=[renderers[form]]
    )


class _Line:
    """What a line says, by name, in the order in which it is written; what is empty is left out."""

    def __init__(self, version: str) -> None:
        self._version = version

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        record: logging.LogRecord = event["_record"]
        line: dict[str, Any] = {
            "timestamp": _moment(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": redaction.text(str(event["event"])),
            **_ids(),
            **redaction.redact(getattr(record, _FIELDS, {})),
            "process": process.kind(),
            "pid": record.process,
            "version": self._version,
            "exception": _trace(record),
        }
        return {name: value for name, value in line.items() if value not in ("", None)}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _ids() -> dict[str, str]:
    known = context.known()
    return {
        "request_id": known.request_id,
        "correlation_id": known.correlation_id,
        "trace_id": tracing.trace_id(),
        "actor": known.actor,
        "worker": known.worker,
        "run_id": known.causation_id if known.attempt else "",
        "task": known.actor.removeprefix("task:") if known.attempt else "",
        "attempt": known.attempt,
    }


def _trace(record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info:
        parts.append(logging.Formatter().formatException(record.exc_info))
    elif record.exc_text:
        parts.append(record.exc_text)
    if record.stack_info:
        parts.append(record.stack_info)
    return redaction.text("\n".join(parts))[-_TRACE_LIMIT:]


def _on_console(logger: WrappedLogger, method: str, line: EventDict) -> str:
    told = {name: value for name, value in line.items() if name not in _NOT_ON_CONSOLES}
    if told.get("correlation_id") in (told.get("request_id"), told.get("run_id")):
        told.pop("correlation_id", None)
    if "task" in told:
        told.pop("actor", None)
    values = " ".join(f"{name}={_on_one_line(value)}" for name, value in told.items())
    words = f"{line['timestamp']} {line['level'].upper()} {line['logger']}: {line['event']}"
    return "\n".join(filter(None, (f"{words} {values}".rstrip(), line.get("exception"))))


def _on_one_line(value: object) -> str:
    """The value, which may be what somebody sent, without what begins a line or does more to a terminal."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
