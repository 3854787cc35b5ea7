"""How full the queues are on SQS, for those who look often and must not fail with SQS."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress

from apps.tasks import conf, queues, sqs
from apps.tasks.queues import Depth

#: Seconds for which an answer serves. SQS itself counts to about a minute.
FRESH = 3.0
#: Seconds for which answers are waited for: the client is patient for much longer with each queue.
PATIENCE = 3.0
_THREADS = 4

_lock = threading.Lock()
_known: dict[str, tuple[float, Depth | None]] = {}
#: Who asks for a queue.
_asking: dict[str, threading.Thread] = {}


def depths(wanted: Iterable[str] | None = None, *, patience: float = PATIENCE) -> dict[str, Depth | None]:
    """How full each of the logical queues is, of all if none is named. None: SQS does not say.

    Answers are at most `FRESH` seconds old, and waited for *patience* seconds at most. What comes later
    serves whoever asks next; a queue is not asked for again before. Raises nothing.
    """
    names = list(conf.queues() if wanted is None else wanted)
    began = time.monotonic()
    for thread in _ask(names):
        thread.join(max(0.0, began + patience - time.monotonic()))
    with _lock:
        found = {name: _known.get(name, (began, None)) for name in names}
    return {name: depth if until > began else None for name, (until, depth) in found.items()}


def dead_letter_depths() -> dict[str, Depth | None]:
    """How full the dead-letter queue of each queue is."""
    names = {queue: queues.dead_letter_name(queue) for queue in conf.queues()}
    found = depths(names.values())
    return {queue: found[name] for queue, name in names.items()}


def _ask(names: Sequence[str]) -> set[threading.Thread]:
    """Have those asked for that no answer serves for any more. Returns who asks."""
    with suppress(*sqs.ERRORS):
        queues.client()  # once, rather than by each thread
    with _lock:
        now = time.monotonic()
        stale = [name for name in names if _known.get(name, (now, None))[0] <= now]
        new = [name for name in stale if name not in _asking or not _asking[name].is_alive()]
        for first in range(min(_THREADS, len(new))):
            mine = new[first::_THREADS]
            # One that hangs must not keep the process from ending.
            thread = threading.Thread(target=_look, args=(mine,), name="sqs-depth", daemon=True)
            # Where no thread can be had, nothing is known.
            with suppress(RuntimeError):
                thread.start()
                _asking.update(dict.fromkeys(mine, thread))
        return {_asking[name] for name in stale if name in _asking}


def _look(names: Sequence[str]) -> None:
    for name in names:
        depth = None
        with suppress(*sqs.ERRORS):
            depth = queues.depth(name)
        with _lock:
            if _asking.get(name) is threading.current_thread():
                _known[name] = (time.monotonic() + FRESH, depth)
                del _asking[name]


def forget() -> None:
    """Ask SQS again; what is still to be answered does not count any more."""
    with _lock:
        _known.clear()
        _asking.clear()
