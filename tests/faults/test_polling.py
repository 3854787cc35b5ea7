"""A worker goes on whatever SQS answers to its polls."""

from __future__ import annotations

import time

import pytest

from apps.tasks import queues
from apps.tasks.models import TaskRun
from apps.tasks.states import State
from tests.faults.sqs_proxy import FAULTS, SILENCE
from tests.support import wait_until
from tests.workload import tasks as work
from tests.workload.models import Effect


def succeeded(run_id: str) -> bool:
    return TaskRun.objects.get(pk=run_id).state == State.SUCCEEDED


def test_a_worker_survives_every_way_a_poll_can_fail(proxy, platform):
    relay, worker = platform.relay(), platform.worker()
    platform.ready(relay, worker)
    pid, pool = worker.pid, worker.children()
    for kind in FAULTS:
        proxy.broken, proxy.fault = 0, kind
        wait_until(lambda: proxy.broken >= 3, what=f"three polls to meet: {kind}")
        result = work.note.delay(kind)
        proxy.fault = None
        wait_until(lambda result=result: succeeded(result.id), what=f"work to go on after: {kind}")
    assert (worker.pid, worker.returncode) == (pid, None)
    assert worker.children() == pool
    assert Effect.objects.count() == len(FAULTS)
    assert "works again" in worker.log


def test_a_poll_that_is_never_answered_is_given_up(proxy, platform):
    """Ten seconds after SQS was to have answered; kombu alone would wait for ever."""
    relay, worker = platform.relay(), platform.worker()
    platform.ready(relay, worker)
    proxy.fault = SILENCE
    wait_until(lambda: proxy.broken >= 1, what="a poll to meet silence")
    result = work.note.delay("a")
    proxy.fault = None
    wait_until(lambda: succeeded(result.id), what="work to go on")
    assert "timed out" in worker.log.lower()
    assert worker.returncode is None


@pytest.mark.parametrize("only", ["GetQueueUrl", "GetQueueAttributes", ""])
@pytest.mark.parametrize("fault", ["gone", "reset", "garbage", "wrong shape", "forbidden"])
def test_a_worker_starts_while_sqs_fails_and_goes_on_when_it_does_no_more(proxy, platform, only, fault):
    proxy.only, proxy.fault = only, fault
    worker = platform.worker()
    wait_until(lambda: proxy.broken >= 1, what="the worker to meet the fault")
    proxy.fault = None
    result = work.note.delay("a")
    platform.relay()
    wait_until(lambda: succeeded(result.id), what="work to go on")
    assert worker.returncode is None


@pytest.mark.parametrize("fault", FAULTS)
def test_a_relay_survives_every_way_a_request_can_fail(proxy, platform, fault):
    """Its first requests, which look for the queues, and those that send."""
    proxy.only, proxy.fault = "", fault
    relay = platform.relay()
    wait_until(lambda: proxy.broken >= 2, what="the relay to meet the fault at its start")
    proxy.fault = None
    platform.ready(relay)
    proxy.broken, proxy.fault = 0, fault
    result = work.note.delay("a")
    wait_until(lambda: proxy.broken >= 2, what="the relay to meet the fault while sending")
    proxy.fault = None
    platform.worker()
    wait_until(lambda: succeeded(result.id), what="work to go on")
    assert relay.returncode is None


def test_a_queue_that_cannot_be_polled_is_said_to_be_so_now_and_then(proxy, platform):
    """And not with every poll, although polls of the other queue succeed between."""
    relay, worker = platform.relay(), platform.worker("default", "email")
    platform.ready(relay, worker)
    queues.client().delete_queue(QueueUrl=queues.url("email"))
    for index in range(12):
        result = work.note.delay(f"n{index}")
        wait_until(lambda result=result: succeeded(result.id), what="the other queue to go on")
        time.sleep(0.2)
    assert 1 <= worker.log.count(f"polling {queues.physical_name('email')} failed") <= 3
    assert "works again" not in worker.log


def test_runs_wait_in_the_database_while_sqs_takes_no_messages(proxy, platform):
    relay = platform.relay()
    platform.worker()
    proxy.only, proxy.fault = "Send", "unavailable"
    results = [work.note.delay(f"n{index}") for index in range(15)]
    wait_until(lambda: proxy.broken >= 2, what="sends to fail")
    assert not Effect.objects.exists()
    assert TaskRun.objects.filter(pk__in=[r.id for r in results], state=State.SCHEDULED).count() == 15
    proxy.fault = None
    wait_until(lambda: all(succeeded(result.id) for result in results), seconds=60, what="all of them")
    assert relay.returncode is None


@pytest.mark.parametrize("fault", ["internal error", "garbage"])
def test_failed_deletions_cost_a_delivery_and_no_second_effect(proxy, platform, fault):
    platform.relay()
    platform.worker()
    proxy.only, proxy.fault = "DeleteMessage", fault
    result = work.note.delay("a")
    wait_until(lambda: succeeded(result.id) and proxy.broken >= 3, what="deletions to fail")
    proxy.fault = None
    wait_until(lambda: queues.depth("default").empty, seconds=60, what="the duplicate to be dropped")
    assert Effect.objects.count() == 1
