"""One request, seen in the log lines, events, traces and figures of every process that it comes through."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from dataclasses import replace
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from apps.events.selectors import read_stream
from apps.stack.child import Service
from apps.stack.testing import Running, Web
from apps.tasks.models import TaskRun
from tests.platform import Platform
from tests.support import wait_until

REQUEST = "a-request-of-a-test"
TRACE = "0af7651916cd43dd8448eb211c80319c"
TOKEN = "a-token-for-scraping"


class TwoWebProcesses(Web):
    """gunicorn with two workers."""

    def _service(self) -> Service:
        service = super()._service()
        argv = list(service.argv)
        argv[argv.index("--workers") + 1] = "2"
        return replace(service, argv=tuple(argv))


def free_port() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


def ask(url: str, data: bytes | None = None, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class Figures(dict[frozenset[str], float]):
    """The value of each sample, by its name and the values of its labels in any order."""

    def of(self, *key: str) -> float | None:
        return self.get(frozenset(key))

    def names(self) -> set[str]:
        return {name for key in self for name in key if name.startswith("chandlery_")}


def scrape(url: str) -> Figures:
    status, text = ask(f"{url}/metrics", Authorization=f"Bearer {TOKEN}")
    assert status == 200, text
    return Figures(
        (frozenset((sample.name, *sample.labels.values())), sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    )


def lines(process: Running) -> list[dict[str, Any]]:
    """What a process has logged that is JSON; Celery greets in other forms."""
    return [json.loads(line) for line in process.log.splitlines() if line.startswith("{")]


def test_a_request_is_followed_through_all_processes(platform: Platform, new_user) -> None:
    user = new_user("somebody", is_staff=True)
    platform.environ |= {
        "LOG_FORMAT": "json",
        "METRICS_TOKEN": TOKEN,
        # Nobody is there: the first attempt fails.
        "EXCHANGE_BINANCE_URL": "http://127.0.0.1:1",
    }
    listening: dict[str, Running] = {}
    for start in (platform.relay, lambda: platform.worker("ingest"), platform.beat):
        port = platform.environ["METRICS_PORT"] = free_port()
        listening[f"http://127.0.0.1:{port}"] = start()
    relay_url, worker_url, beat_url = listening
    relay, worker, beat = listening.values()
    with TwoWebProcesses(platform.environ) as web:
        platform.ready(*listening.values())
        status, text = ask(
            f"{web.url}/api/v1/backfills",
            json.dumps(
                {
                    "instrument": "binance:BTC/USDT",
                    "start": "2024-01-01T00:00:00Z",
                    "end": "2024-01-02T00:00:00Z",
                }
            ).encode(),
            **{
                "Authorization": "Basic c29tZWJvZHk6c2VjcmV0",
                "X-Request-ID": REQUEST,
                "traceparent": f"00-{TRACE}-b7ad6b7169203331-01",
            },
        )
        assert status == 202, text
        run = wait_until(
            lambda: TaskRun.objects.filter(meta__correlation_id=REQUEST, attempt__gte=1).first(),
            what="the run's first attempt",
        )

        def line(process: Running, event: str) -> dict[str, Any]:
            return wait_until(
                lambda: next(
                    (
                        one
                        for one in lines(process)
                        if one["event"] == event and one.get("correlation_id") == REQUEST
                    ),
                    None,
                ),
                what=f"{event} in {process.log[-5000:]}",
            )

        # The log lines.
        answered = line(web, "request answered")
        assert answered.items() >= {
            "level": "info", "logger": "apps.core.access", "request_id": REQUEST, "trace_id": TRACE,
            "method": "POST", "route": "backfill-list", "path": "/api/v1/backfills", "status": 202,
            "address": "127.0.0.1", "user": user.pk, "actor": f"user:{user.pk}", "process": "web",
        }.items()  # fmt: skip
        assert answered["timestamp"].endswith("Z")
        assert answered["duration_ms"] > 0
        ended = line(worker, "attempt ended")
        assert ended.items() >= {
            "run_id": str(run.pk), "task": run.task, "attempt": "1", "queue": "ingest", "outcome": "failed",
            "level": "warning", "trace_id": TRACE, "process": "worker", "worker": f"{ended['worker']}",
        }.items()  # fmt: skip
        assert {"duration_ms", "wait_ms", "error"} <= ended.keys()
        # The events.
        told = [event.meta for event in read_stream(run.stream)]
        assert {meta["correlation_id"] for meta in told} == {REQUEST}
        assert {meta["traceparent"][3:35] for meta in told} == {TRACE}
        # All lines are of one form, whoever wrote them.
        for process, kind in ((web, "web"), (relay, "relay"), (worker, "worker"), (beat, "beat")):
            said = lines(process)
            assert {"timestamp", "level", "logger", "event", "process", "pid", "version"} <= said[-1].keys()
            assert said[-1]["process"] == kind
        assert any(one["logger"] == "gunicorn.error" for one in lines(web))
        # The figures: both web processes count, and whichever is asked tells of both.
        for _ in range(20):
            assert ask(f"{web.url}/healthz")[0] == 200
        figures = scrape(web.url)
        assert (figures.of("chandlery_http_requests_total", "GET", "healthz", "200") or 0) >= 20
        assert figures.of("chandlery_http_requests_total", "POST", "backfill-list", "202") == 1
        assert figures.of("chandlery_http_request_duration_seconds_count", "POST", "backfill-list") == 1
        assert figures.of("chandlery_http_requests_in_progress") == 1
        assert figures.of("chandlery_process_start_time_seconds", "web")
        assert "chandlery_task_runs" in figures.names()
        # What a process of the pool has counted is told by the worker.
        wait_until(
            lambda: scrape(worker_url).of(
                "chandlery_worker_attempt_duration_seconds_count", run.task, "failed"
            ),
            what="the attempt to be counted",
        )
        names = scrape(worker_url).names()
        assert {"chandlery_worker_running", "chandlery_worker_polls_total"} <= names
        # The database is asked by web processes alone.
        assert "chandlery_task_runs" not in names
        assert scrape(relay_url).of("chandlery_relay_published_total", "ingest")
        assert scrape(beat_url).of("chandlery_beat_ticks_total", "done")
    for url in listening:
        assert ask(f"{url}/healthz") == (200, '{"status": "ok"}')
        assert ask(f"{url}/readyz") == (200, '{"status": "ready"}')
        assert ask(f"{url}/metrics")[0] == 401
        assert ask(f"{url}/elsewhere")[0] == 404
