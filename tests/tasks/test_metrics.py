"""Prometheus is told what the database knows, whoever answers."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from apps.tasks import depths, queues
from apps.tasks.durations import BOUNDS
from apps.tasks.models import Process, UsageCount
from tests.support import settle
from tests.tasks.operating import dead, running, succeeded, waiting

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]


@pytest.fixture(autouse=True)
def fresh_depths(own_queues):
    depths.forget()
    yield
    depths.forget()


class Scrape(dict):
    """The value of each sample, by its name and the values of its labels in any order."""

    def __getitem__(self, key):
        return super().__getitem__(frozenset(key))

    def __contains__(self, key):
        return super().__contains__(frozenset(key))


def scrape(client: Client, **headers) -> Scrape:
    settle()
    response = client.get("/metrics", headers=headers)
    assert response.status_code == 200, response.content
    return Scrape(
        (frozenset((sample.name, *sample.labels.values())), sample.value)
        for family in text_string_to_metric_families(response.content.decode())
        for sample in family.samples
    )


def test_what_waits_and_what_happened_is_told(admin_client):
    dead(2)
    succeeded()
    running()
    waiting()
    found = scrape(admin_client)
    assert found["chandlery_task_runs", "default", "workload.refused", "dead"] == 2
    assert found["chandlery_task_runs", "default", "workload.long", "running"] == 1
    assert found["chandlery_task_runs", "default", "workload.note", "scheduled"] == 1
    assert found["chandlery_task_due", "default", "workload.note"] == 0
    assert found["chandlery_task_due_lag_seconds", "backtests"] == 0
    assert found["chandlery_task_oldest_running_seconds", "default"] > 0
    assert found["chandlery_task_outcomes_total", "default", "workload.refused", "dead"] == 2
    assert found["chandlery_task_attempts_total", "default", "workload.refused", "failed"] == 2
    assert found["chandlery_task_events_total", "default", "workload.note", "requested"] == 2
    assert found["chandlery_task_wait_seconds_count", "default", "workload.note"] == 1
    assert found["chandlery_task_duration_seconds_bucket", "default", "workload.note", "+Inf"] == 1
    assert found["chandlery_task_duration_seconds_sum", "default", "workload.note"] > 0
    assert found["chandlery_sqs_messages", "default", "visible"] == 0
    assert found["chandlery_sqs_reachable", "default-dlq"] == 1
    assert found["chandlery_events_follower_lag", "task_statistics"] == 0
    assert found["chandlery_events_oldest_writer_seconds",] >= 0
    assert found["chandlery_events_appended_total",] >= 12


def test_counters_never_go_down_and_buckets_add_up(admin_client):
    succeeded()
    before = scrape(admin_client)
    dead()
    succeeded()
    after = scrape(admin_client)
    counted = [key for key in before if re.search("_(total|bucket|count|sum)( |$)", " ".join(key))]
    assert len(counted) > 30
    assert all(after[key] >= before[key] for key in counted)
    buckets = [
        after["chandlery_task_wait_seconds_bucket", "default", "workload.note", str(bound)]
        for bound in BOUNDS
    ]
    assert buckets == sorted(buckets)
    assert buckets[-1] == 2


def test_a_scrape_survives_without_sqs(admin_client, settings):
    settings.SQS_ENDPOINT_URL = "http://127.0.0.1:1"
    queues.forget_urls()
    found = scrape(admin_client)
    assert found["chandlery_sqs_reachable", "default"] == 0
    assert ("chandlery_sqs_messages", "default", "visible") not in found


def test_depths_are_asked_for_once_in_a_while(admin_client, monkeypatch):
    asked = []
    real = queues.depth
    monkeypatch.setattr(queues, "depth", lambda queue: asked.append(queue) or real(queue))
    scrape(admin_client)
    count = len(asked)
    assert count >= 8
    scrape(admin_client)
    assert len(asked) == count


def test_only_staff_and_the_token_may_scrape(client, settings, django_user_model):
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 401
    client.force_login(django_user_model.objects.create_user("somebody", password="x"))
    assert client.get("/metrics").status_code == 403
    settings.METRICS_TOKEN = "a-long-token"
    scraper = Client()
    assert scraper.get("/metrics", headers={"Authorization": "Bearer another"}).status_code == 401
    assert scrape(scraper, Authorization="Bearer a-long-token")
    settings.METRICS_TOKEN = ""
    assert scraper.get("/metrics", headers={"Authorization": "Bearer a-long-token"}).status_code == 401


def test_the_format_is_the_one_that_is_asked_for(admin_client):
    plain = admin_client.get("/metrics")
    assert plain.headers["Content-Type"].startswith("text/plain")
    modern = admin_client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert modern.headers["Content-Type"].startswith("application/openmetrics-text")
    assert modern.content.endswith(b"# EOF\n")


def test_requests_and_processes_are_told(admin_client):
    now = timezone.now()
    UsageCount.objects.create(kind="worker", name="requests.ReceiveMessage", at=now, count=30)
    UsageCount.objects.create(kind="worker", name="finished", at=now, count=100)
    # Heard of in an hour, so that it is not lost on a slow machine.
    Process.objects.create(
        kind="relay", name="host/9", host="host", pid=9, version="1", started_at=now,
        seen_at=now + timedelta(hours=1), facts={"lag": 0.25},
    )  # fmt: skip
    found = scrape(admin_client)
    assert found["chandlery_sqs_requests_total", "ReceiveMessage"] == 30
    assert found["chandlery_worker_finished_total",] == 100
    assert found["chandlery_processes", "relay", "running"] == 1
    assert found["chandlery_relay_lag_seconds", "host/9"] == 0.25
