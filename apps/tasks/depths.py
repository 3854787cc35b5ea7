"""How full the queues are on SQS, for those who look often and must not fail with SQS."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from apps.tasks import conf, queues, sqs
from apps.tasks.queues import Depth

#: Seconds for which an answer serves. SQS itself counts to about a minute.
FRESH = 3.0
_THREADS = 4

_lock = threading.Lock()
_known: dict[str, tuple[float, Depth | None]] = {}


def depths(wanted: Iterable[str] | None = None) -> dict[str, Depth | None]:
    """How full each of the logical queues is, of all if none is named. None: SQS does not say.

    Answers are at most `FRESH` seconds old.
    """
    names = list(conf.queues() if wanted is None else wanted)
    with _lock:
        stale = [name for name in names if _known.get(name, (0.0, None))[0] <= time.monotonic()]
        if stale:
            queues.client()  # once, rather than by each thread
            with ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="sqs-depth") as pool:
                answers = list(pool.map(_look, stale))
            until = time.monotonic() + FRESH
            _known.update({name: (until, depth) for name, depth in zip(stale, answers, strict=True)})
        return {name: _known[name][1] for name in names}


def dead_letter_depths() -> dict[str, Depth | None]:
    """How full the dead-letter queue of each queue is."""
    names = {queue: queues.dead_letter_name(queue) for queue in conf.queues()}
    found = depths(names.values())
    return {queue: found[name] for queue, name in names.items()}


def _look(queue: str) -> Depth | None:
    try:
        return queues.depth(queue)
    except sqs.ERRORS:
        return None


def forget() -> None:
    """Ask SQS again."""
    with _lock:
        _known.clear()
