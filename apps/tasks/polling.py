"""Receiving from SQS over the worker's event loop: requests that end, and what came of them."""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import Any

import pycurl
from kombu.asynchronous.aws.connection import AsyncHTTPSConnection
from kombu.asynchronous.aws.sqs.connection import AsyncSQSConnection
from kombu.asynchronous.http.curl import CurlClient

from apps.core.pulse import Pulse
from apps.tasks.curl import ca_bundle
from apps.tasks.usage import usage

logger = logging.getLogger(__name__)

_LOG_EVERY = 5.0
_CONNECT_TIMEOUT = 5.0
#: Seconds that an answer may take beyond the time for which SQS was asked to wait.
_ANSWER_TIMEOUT = 10.0


class Polls:
    """How polling goes, queue by queue.

    Written by the event loop, read by the watchdog's thread.
    """

    def __init__(self) -> None:
        #: Polls that failed in a row.
        self.failures: Counter[str] = Counter()
        #: Why the last of them failed.
        self.reasons: dict[str, str] = {}
        #: Grows with every answer, and with every look at a queue that is rightly not polled.
        self.signs: Counter[str] = Counter()
        #: Polls without an answer so far.
        self.open = 0
        #: (queue, what came of it) -> polls: ``messages``, ``empty`` or ``failed``.
        self.outcomes: Counter[tuple[str, str]] = Counter()
        #: Beats with whatever is heard of any queue.
        self.pulse = Pulse(float("inf"))
        self._said: dict[str, float] = {}

    def began(self) -> None:
        """A poll was sent."""
        self.open += 1

    def ended(self) -> None:
        """A poll came to an end, whichever."""
        self.open -= 1

    def failed(self, queue: str, reason: Exception) -> None:
        """A poll brought an error instead of an answer."""
        self.pulse.beat()
        self.failures[queue] += 1
        self.outcomes[queue, "failed"] += 1
        self.reasons[queue] = str(reason)
        now = time.monotonic()
        if now - self._said.get(queue, 0.0) >= _LOG_EVERY:
            self._said[queue] = now
            logger.warning("polling %s failed (%d in a row): %s", queue, self.failures[queue], reason)

    def succeeded(self, queue: str, messages: int) -> None:
        """A poll brought an answer, be it an empty one."""
        self.pulse.beat()
        self.signs[queue] += 1
        self.outcomes[queue, "messages" if messages else "empty"] += 1
        usage.received(queue, messages)
        self.reasons.pop(queue, None)
        failures = self.failures.pop(queue, 0)
        if failures:
            logger.warning("polling %s works again after %d failures", queue, failures)

    def waiting(self, queue: str) -> None:
        """The queue is not polled for now, because nothing could be done with its messages."""
        self.pulse.beat()
        self.signs[queue] += 1

    def forget(self, queue: str) -> None:
        """The queue is not polled any more."""
        for kept in (self.failures, self.signs, self.reasons):
            kept.pop(queue, None)


#: Of this process.
polls = Polls()


class GuardedCurl(CurlClient):  # type: ignore[misc]
    """Kombu's curl client with curl's timer in its own unit: kombu waits a second for a millisecond."""

    _timer: Any = None

    def _set_timeout(self, msecs: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if msecs >= 0:
            self._timer = self.hub.call_later(msecs / 1000, self._timeout_check)


class _Request(AsyncHTTPSConnection):  # type: ignore[misc]
    """A request that is given up in time: kombu takes timeouts, but never tells curl.

    And one that knows the certificates that were configured: kombu knows only botocore's own.
    """

    def getrequest(self) -> Any:
        request = super().getrequest()
        request.on_prepare = self._prepare
        return request

    def _prepare(self, curl: Any) -> None:
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, int(_CONNECT_TIMEOUT * 1000))
        curl.setopt(pycurl.TIMEOUT_MS, int(self.timeout * 1000))
        curl.setopt(pycurl.CAINFO, ca_bundle())


class GuardedConnection(AsyncSQSConnection):  # type: ignore[misc]
    """Receives messages; a request that fails in any way, or is not answered, yields none."""

    def __init__(self, *, wait: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._timeout = wait + _ANSWER_TIMEOUT

    def get_http_connection(self) -> _Request:
        return _Request(http_client=self._httpclient, timeout=self._timeout)

    def make_request(self, operation_name: str, *args: Any, **kwargs: Any) -> Any:
        answer = super().make_request(operation_name, *args, **kwargs)
        usage.request(operation_name)
        polls.began()
        return answer

    def _on_list_ready(self, parent: Any, markers: Any, operation: str, response: Any) -> dict[str, Any]:
        polls.ended()
        try:
            parsed = super()._on_list_ready(parent, markers, operation, response)
            if response.status != self.STATUS_CODE_OK:
                raise ConnectionError(f"HTTP {response.status} {response.reason}".strip())
        except Exception as exc:  # kombu raises bare Exception for what SQS refuses
            polls.failed(parent, exc)
            return {}
        if not isinstance(parsed, dict):
            parsed = {}
        polls.succeeded(parent, len(parsed.get("Messages") or ()))
        return parsed
