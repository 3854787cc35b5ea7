"""Handing runs over to newer workers: in the middle of a deployment one may know what this one does not."""

from __future__ import annotations

import logging
import uuid
from itertools import takewhile

from apps.events.selectors import read_stream
from apps.tasks import claims, conf

logger = logging.getLogger(__name__)

#: Seconds until the run is published again: doubled from the first to the longest.
_FIRST, _LONGEST = 5.0, 60.0
#: What happens to a run that nobody can execute.
_MEANWHILE = {"task.published", "task.started", "task.handed_back"}


def hand_over(claimed: claims.Claim, worker: str, reason: str) -> bool:
    """Give a claimed run back, to be published again a little later; the attempt does not count.

    False, and nothing is done, when that has gone on for `conf.handover_limit` already.
    """
    times, seconds = _so_far(claimed.run_id)
    if seconds >= conf.handover_limit():
        return False
    delay = min(_FIRST * 2.0 ** min(times, 10), _LONGEST)
    claims.hand_back(run_ids=[claimed.run_id], worker=worker, reason=reason, fence=claimed.fence, delay=delay)
    logger.warning("run %s (%s) handed over: %s", claimed.run_id, claimed.task, reason)
    return True


def _so_far(run_id: uuid.UUID) -> tuple[int, float]:
    """How often the run was given back in a row, and how many seconds ago for the first time."""
    events = read_stream(f"task:{run_id}")
    times = [
        event.recorded_at
        for event in takewhile(lambda event: event.type in _MEANWHILE, reversed(events))
        if event.type == "task.handed_back"
    ]
    # By the database's clock: the claim has just been recorded.
    return len(times), (events[-1].recorded_at - times[-1]).total_seconds() if times else 0.0
