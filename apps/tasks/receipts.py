"""Settling received messages in batches, off the worker's main loop: deleted, or given back."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import defaultdict
from typing import Any

from apps.tasks import sqs
from apps.tasks.usage import usage

logger = logging.getLogger(__name__)

#: What one request takes.
_BATCH = 10
#: Seconds that a message waits for others to fill the batch: nobody waits for a deletion, but on a FIFO queue
#: the next message of the group does, and another worker for what is given back.
_LINGER, _SHORT_LINGER = 0.5, 0.02
_ATTEMPTS = 3

#: What is to become of a message: its queue's address, seconds until it is visible again (None: it is to
#: be deleted), and its receipt handle.
_Item = tuple[str, int | None, str]


class Receipts:
    """A thread that deletes messages and gives messages back, ten to a request.

    A deletion that fails in the end costs one more delivery, which the claim drops; a message that cannot
    be given back is visible again when its visibility timeout has run out.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="sqs-receipts", daemon=True)
        self._thread.start()

    def delete(self, queue_url: str, receipt_handle: str) -> None:
        """Have a message deleted soon. Does not block."""
        self._queue.put((queue_url, None, receipt_handle))

    def give_back(self, queue_url: str, receipt_handle: str, *, after: int = 0) -> None:
        """Have a message visible to all workers in *after* seconds from now. Does not block."""
        self._queue.put((queue_url, after, receipt_handle))

    def close(self, timeout: float = 5.0) -> None:
        """Settle what is waiting, and end the thread."""
        self._queue.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        closing = False
        while not closing:
            batches: defaultdict[tuple[str, int | None], list[str]] = defaultdict(list)
            item = self._queue.get()
            deadline = time.monotonic() + _LINGER
            while item is not None:
                url, after, handle = item
                if after is not None or url.endswith(".fifo"):
                    deadline = min(deadline, time.monotonic() + _SHORT_LINGER)
                batches[url, after].append(handle)
                if len(batches[url, after]) == _BATCH:
                    break
                try:
                    item = self._queue.get(timeout=max(deadline - time.monotonic(), 0))
                except queue.Empty:
                    break
            closing = item is None
            for (url, after), handles in batches.items():
                self._settle(url, after, handles)

    def _settle(self, url: str, after: int | None, handles: list[str]) -> None:
        entries = [{"Id": str(index), "ReceiptHandle": handle} for index, handle in enumerate(handles)]
        for attempt in range(_ATTEMPTS):
            try:
                answer = self._send(url, after, entries)
            except sqs.ERRORS as exc:
                reason: object = exc
            else:
                # A receipt handle that SQS does not know any more needs nothing from us.
                failed = {f["Id"] for f in answer.get("Failed", []) if not f.get("SenderFault")}
                usage.count(
                    "deletes" if after is None else "delays" if after else "returns",
                    len(entries) - len(failed),
                )
                entries = [entry for entry in entries if entry["Id"] in failed]
                if not entries:
                    return
                reason = answer["Failed"]
            time.sleep(0.1 * 2**attempt)
        what = "delete" if after is None else "give back"
        logger.warning("could not %s %d messages of %s: %s", what, len(entries), url, reason)

    def _send(self, url: str, after: int | None, entries: list[dict[str, Any]]) -> dict[str, Any]:
        answer: dict[str, Any]
        if after is None:
            answer = self._client.delete_message_batch(QueueUrl=url, Entries=entries)
        else:
            timed = [{**entry, "VisibilityTimeout": after} for entry in entries]
            answer = self._client.change_message_visibility_batch(QueueUrl=url, Entries=timed)
        return answer
