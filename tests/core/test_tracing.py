"""Traces: handed on without OpenTelemetry, and told to it where it is there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from django.conf import settings as django_settings
from django.test import Client
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from apps.core import context, tracing
from apps.tasks.execution import attempt
from apps.tasks.models import TaskRun
from tests.workload import tasks as work

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GIVEN = f"00-{TRACE}-{SPAN}-01"


@pytest.fixture
def sent() -> Iterator[InMemorySpanExporter]:
    """The spans that this process has sent."""
    exporter = InMemorySpanExporter()
    assert tracing.setup(exporter)
    yield exporter
    tracing.stop()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (GIVEN, GIVEN),
        (f"01-{TRACE}-{SPAN}-01-more", GIVEN),
        (f"00-{TRACE}-{SPAN}-01-more", ""),
        (f"ff-{TRACE}-{SPAN}-01", ""),
        (f"00-{'0' * 32}-{SPAN}-01", ""),
        (f"00-{TRACE}-{'0' * 16}-01", ""),
        (GIVEN.upper(), ""),
        (f"{GIVEN}\n", ""),
        ("", ""),
    ],
)
def test_only_what_is_a_traceparent_is_taken_over(given: str, kept: str):
    assert tracing.sound(given) == kept


def test_without_a_receiver_the_trace_of_a_request_is_handed_on(db):
    def view_of(parent: str) -> str:
        with tracing.span("x", kind="SERVER", parent=parent):
            assert context.current().as_meta().get("traceparent", "") == parent
            return tracing.trace_id()

    assert not tracing.setup()
    assert view_of(GIVEN) == TRACE
    assert view_of("") == ""
    assert context.current().traceparent == ""


@pytest.mark.django_db
def test_a_request_and_the_attempts_that_follow_from_it_are_one_trace(sent: InMemorySpanExporter):
    Client().get("/api/v1/tasks", headers={"traceparent": GIVEN})
    (request,) = sent.get_finished_spans()
    assert (request.name, request.kind) == ("GET task-list", SpanKind.SERVER)
    assert f"{request.context.trace_id:032x}" == TRACE
    assert f"{request.parent.span_id:016x}" == SPAN
    assert request.attributes == {
        "http.request.method": "GET", "http.route": "task-list", "http.response.status_code": 401,
    }  # fmt: skip
    sent.clear()

    with tracing.span("GET x", kind="SERVER", parent=GIVEN):
        result = work.refused.delay()
    (requested,) = sent.get_finished_spans()
    sent.clear()
    run = TaskRun.objects.get(pk=result.id)
    assert run.meta["traceparent"] == f"00-{TRACE}-{requested.context.span_id:016x}-01"
    attempt(run_id=run.pk, worker="w/1", task=work.refused)
    (tried,) = sent.get_finished_spans()
    assert (tried.name, tried.kind) == ("workload.refused", SpanKind.CONSUMER)
    assert tried.parent.span_id == requested.context.span_id
    assert tried.status.status_code is StatusCode.ERROR
    # What an error says is nobody's business there.
    assert tried.attributes["error.type"] == "PermanentError"
    assert tried.events == ()
    assert "no use" not in str(tried.to_json())


def test_a_statement_is_told_as_a_part_of_something_and_not_by_itself(sent: InMemorySpanExporter):
    assert tracing._provider is not None
    tracer = tracing._provider.get_tracer("of a database")
    with tracer.start_as_current_span("SELECT", kind=SpanKind.CLIENT):
        pass
    assert sent.get_finished_spans() == ()
    with tracing.span("x", kind="SERVER"), tracer.start_as_current_span("SELECT", kind=SpanKind.CLIENT):
        pass
    assert [one.name for one in sent.get_finished_spans()] == ["SELECT", "x"]


def test_what_raises_is_told_as_failed_and_raised(sent: InMemorySpanExporter):
    with pytest.raises(ZeroDivisionError), tracing.span("x", kind="PRODUCER"):
        _ = 1 / 0
    (failed,) = sent.get_finished_spans()
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.parent is None


def test_a_variable_that_cannot_be_read_ends_no_process(monkeypatch, caplog):
    monkeypatch.setenv("OTEL_ATTRIBUTE_COUNT_LIMIT", "many")
    assert not tracing.setup(InMemorySpanExporter())
    assert "no traces are sent: ValueError" in caplog.text


def test_without_the_packages_the_log_says_so_and_nothing_fails():
    """In a process of its own: this one has imported them."""
    code = (
        "import sys; sys.modules['opentelemetry'] = None; import django; django.setup()\n"
        "from apps.core import tracing\n"
        "assert not tracing.setup()\n"
        "with tracing.span('x', kind='SERVER') as span: span.set(a__b=1); span.rename('y'); span.fail()"
    )
    environ = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env=environ,
        cwd=django_settings.BASE_DIR,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert "no traces are sent" in ran.stderr
