"""Deleting acknowledged messages in batches, off the worker's main loop."""

from __future__ import annotations

import logging
import queue
import threading
import time
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

logger = logging.getLogger(__name__)

_BATCH = 10
#: Seconds that the first message of a batch waits for others.
_LINGER = 0.02
_ATTEMPTS = 3


class BatchDeleter:
    """A thread that deletes messages with DeleteMessageBatch.

    A deletion that fails in the end costs one more delivery, which the claim drops.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._queue: queue.SimpleQueue[tuple[str, str] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="sqs-delete", daemon=True)
        self._thread.start()

    def delete(self, queue_url: str, receipt_handle: str) -> None:
        """Have a message deleted soon. Does not block."""
        self._queue.put((queue_url, receipt_handle))

    def close(self, timeout: float = 5.0) -> None:
        """Delete what is waiting, and end the thread."""
        self._queue.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        closing = False
        while not closing:
            item = self._queue.get()
            batch: list[tuple[str, str]] = []
            deadline = time.monotonic() + _LINGER
            while item is not None:
                batch.append(item)
                if len(batch) == _BATCH:
                    break
                try:
                    item = self._queue.get(timeout=max(deadline - time.monotonic(), 0))
                except queue.Empty:
                    break
            closing = item is None
            for url in {url for url, _ in batch}:
                self._delete(url, [handle for other, handle in batch if other == url])

    def _delete(self, url: str, handles: list[str]) -> None:
        entries = [{"Id": str(index), "ReceiptHandle": handle} for index, handle in enumerate(handles)]
        for attempt in range(_ATTEMPTS):
            try:
                answer = self._client.delete_message_batch(QueueUrl=url, Entries=entries)
            except (BotoCoreError, ClientError) as exc:
                reason: object = exc
            else:
                # A receipt handle that SQS does not know any more needs no deleting by us.
                failed = {f["Id"] for f in answer.get("Failed", []) if not f.get("SenderFault")}
                entries = [entry for entry in entries if entry["Id"] in failed]
                if not entries:
                    return
                reason = answer["Failed"]
            time.sleep(0.1 * 2**attempt)
        logger.warning("could not delete %d messages from %s: %s", len(entries), url, reason)
