"""How full queues are is known in time, whatever SQS does."""

from __future__ import annotations

import threading
from collections import Counter
from types import SimpleNamespace

import pytest
from botocore.exceptions import EndpointConnectionError

from apps.tasks import depths, queues
from apps.tasks.queues import Depth
from tests.support import wait_until

FULL = Depth(visible=3, in_flight=0, delayed=0)


class Asked:
    """What stands for SQS: it does not answer for the queues that hang."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self.hanging: set[str] = set()
        self.going_on = threading.Event()

    def depth(self, queue: str) -> Depth:
        self.count[queue] += 1
        if queue in self.hanging:
            assert self.going_on.wait(60)
        if queue == "away":
            raise EndpointConnectionError(endpoint_url="http://sqs")
        return FULL


@pytest.fixture
def asked(monkeypatch):
    depths.forget()
    answering = Asked()
    monkeypatch.setattr(queues, "depth", answering.depth)
    yield answering
    answering.going_on.set()
    depths.forget()


@pytest.fixture
def clock(monkeypatch):
    """The monotonic clock, to be set forward."""
    now = [1000.0]
    monkeypatch.setattr(depths, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_an_answer_serves_for_a_moment_whether_sqs_gave_one_or_not(asked, clock):
    assert depths.depths(["a", "away"]) == {"a": FULL, "away": None}
    assert depths.depths(["a", "away", "b"]) == {"a": FULL, "away": None, "b": FULL}
    assert asked.count == {"a": 1, "away": 1, "b": 1}
    clock[0] += depths.FRESH
    depths.depths(["a", "away"])
    assert asked.count == {"a": 2, "away": 2, "b": 1}


def test_a_queue_that_hangs_keeps_nobody_waiting_and_is_asked_for_once(asked, clock):
    assert depths.depths(["known"]) == {"known": FULL}
    asked.hanging.add("hangs")
    # Others' answers are not held up by it, and those that are known are told.
    found = depths.depths(["known", "hangs", "other"], patience=0.05)
    assert (found["known"], found["hangs"]) == (FULL, None)
    wait_until(lambda: depths.depths(["other"]) == {"other": FULL}, what="the other answer")
    assert depths.depths(["hangs"], patience=0) == {"hangs": None}
    assert asked.count["hangs"] == 1
    # What it says at last serves whoever asks next.
    asked.going_on.set()
    assert depths.depths(["hangs"]) == {"hangs": FULL}
    assert asked.count["hangs"] == 1


def test_an_answer_that_is_out_of_date_is_not_told_while_a_new_one_is_waited_for(asked, clock):
    assert depths.depths(["a"]) == {"a": FULL}
    clock[0] += depths.FRESH
    asked.hanging.add("a")
    assert depths.depths(["a"], patience=0) == {"a": None}


def test_where_no_thread_can_be_had_nothing_is_known_and_it_is_asked_for_next_time(asked, monkeypatch):
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        assert depths.depths(["a"]) == {"a": None}
    assert depths.depths(["a"]) == {"a": FULL}
