"""Traces: handed on always, and sent where OpenTelemetry's packages and a receiver are.

The W3C ``traceparent`` of a request is part of the context (`apps.core.context`), and so of the events that
follow from it. Nothing here needs OpenTelemetry to be installed.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal

from django.conf import settings

from apps.core import context, process

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.sdk.trace.sampling import Sampler
    from opentelemetry.trace import Tracer

logger = logging.getLogger(__name__)

Kind = Literal["SERVER", "CONSUMER", "PRODUCER"]

#: Any of these standard variables says that there is a receiver.
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
#: Packages that tell of what a span waits for, where they are installed, and the classes in them.
_INSTRUMENTATIONS = {
    "opentelemetry.instrumentation.psycopg": "PsycopgInstrumentor",
    "opentelemetry.instrumentation.redis": "RedisInstrumentor",
    "opentelemetry.instrumentation.botocore": "BotocoreInstrumentor",
}
#: The version, the trace, the span, the flags, and what a later version may add.
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.{0,200})?"
)
_LENGTH = 55

_tracer: Tracer | None = None
_provider: TracerProvider | None = None


def sound(traceparent: str) -> str:
    """*traceparent* if it is one, otherwise nothing. Of later versions, what the first one has is kept."""
    if _TRACEPARENT.fullmatch(traceparent) is None or (
        traceparent[:2] == "00" and len(traceparent) > _LENGTH
    ):
        return ""
    return "00" + traceparent[2:_LENGTH]


def trace_id() -> str:
    """The id of the trace that the running code belongs to; empty where there is none."""
    return context.known().traceparent[3:35]


def setup(exporter: SpanExporter | None = None) -> bool:
    """Send spans from now on, by the standard variables, or to *exporter*. Returns whether that is so.

    Off without an endpoint, with ``OTEL_SDK_DISABLED``, and, which is logged, without the packages or with
    variables that these cannot read.
    """
    global _provider, _tracer
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if _tracer is not None or disabled or (exporter is None and not any(map(os.environ.get, _ENDPOINTS))):
        return _tracer is not None
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

        attributes = {"service.version": settings.VERSION}
        if "OTEL_SERVICE_NAME" not in os.environ:
            attributes["service.name"] = f"chandlery-{process.kind()}"
        provider = TracerProvider(resource=Resource.create(attributes))
        provider.sampler = _rooted(provider.sampler)
        if exporter is None:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
            _instrument(provider)
        else:
            provider.add_span_processor(SimpleSpanProcessor(exporter))
    except ImportError as exc:
        logger.warning("no traces are sent: %s (requirements/otel.txt)", exc)
        return False
    except Exception as exc:  # whatever the packages make of their variables
        logger.warning("no traces are sent: %s: %s", type(exc).__name__, exc)
        return False
    _provider, _tracer = provider, provider.get_tracer("chandlery", settings.VERSION)
    return True


def _rooted(inner: Sampler) -> Sampler:
    """*inner*, without traces of one request to a server and nothing else: a relay looks every second."""
    from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
    from opentelemetry.trace import SpanKind, get_current_span

    class Rooted(Sampler):
        def should_sample(
            self, parent_context: Any, trace_id: int, name: str, kind: Any = None, *args: Any, **kwargs: Any
        ) -> SamplingResult:
            if kind is SpanKind.CLIENT and not get_current_span(parent_context).get_span_context().is_valid:
                return SamplingResult(Decision.DROP)
            return inner.should_sample(parent_context, trace_id, name, kind, *args, **kwargs)

        def get_description(self) -> str:
            return f"Rooted({inner.get_description()})"

    return Rooted()


def _instrument(provider: Any) -> None:
    for module, name in _INSTRUMENTATIONS.items():
        with suppress(ImportError):
            getattr(importlib.import_module(module), name)().instrument(tracer_provider=provider)


def flush() -> None:
    """Send now what waits to be sent: the process is about to end."""
    if _provider is not None:
        _provider.force_flush(2_000)


def stop() -> None:
    """Send no more spans."""
    global _provider, _tracer
    if _provider is not None:
        _provider.shutdown()
    _provider = _tracer = None


class Span:
    """What is being done, to be told more of. Where no spans are sent, nothing is kept."""

    def __init__(self, span: Any = None) -> None:
        self._span = span

    def set(self, **attributes: str | int | float) -> None:
        """Add attributes; two underscores in a name stand for a dot."""
        if self._span is not None:
            for name, value in attributes.items():
                self._span.set_attribute(name.replace("__", "."), value)

    def rename(self, name: str) -> None:
        """What is being done has another name."""
        if self._span is not None:
            self._span.update_name(name)

    def fail(self, exc: BaseException | None = None) -> None:
        """It failed, of *exc* if there is one."""
        if self._span is not None:
            from opentelemetry.trace import StatusCode

            if exc is not None:
                self._span.set_attribute("error.type", type(exc).__name__)
            self._span.set_status(StatusCode.ERROR)


_NONE = Span()


@contextmanager
def span(name: str, *, kind: Kind, parent: str = "", **attributes: str | int | float) -> Iterator[Span]:
    """Have the block be a part of the trace of *parent* (a traceparent), or of a new one.

    The context within the block carries the traceparent that whatever follows is to have; where no spans are
    sent, that is *parent*. Errors' texts and traces are not sent: they may hold what is nobody's business.
    """
    if _tracer is None:
        with context.bind(traceparent=parent):
            yield _NONE
        return
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    before = TraceContextTextMapPropagator().extract({"traceparent": parent} if parent else {}, Context())
    with _tracer.start_as_current_span(
        name,
        context=before,
        kind=SpanKind[kind],
        attributes={key.replace("__", "."): value for key, value in attributes.items()},
        record_exception=False,
        set_status_on_exception=False,
    ) as begun:
        found = begun.get_span_context()
        traceparent = f"00-{found.trace_id:032x}-{found.span_id:016x}-{int(found.trace_flags):02x}"
        with context.bind(traceparent=traceparent):
            handle = Span(begun)
            try:
                yield handle
            except Exception as exc:
                handle.fail(exc)
                raise
