"""The settings of this app."""

from __future__ import annotations

from django.conf import settings


def lease() -> float:
    """Seconds for which a claim holds unless renewed."""
    return float(settings.TASKS_LEASE)


def relay_poll() -> float:
    """Seconds after which the relay looks for due runs although nothing woke it."""
    return float(settings.TASKS_RELAY_POLL)


def lost_after() -> float:
    """Seconds a queue must be seen empty before its queued runs are published again."""
    return float(settings.TASKS_LOST_AFTER)


def result_limit() -> int:
    """Characters of JSON that a run's result may have."""
    return int(settings.TASKS_RESULT_LIMIT)


def misfire_limit() -> int:
    """How many runs beat requests for one entry at a time; of more ticks, the oldest are left out."""
    return int(settings.TASKS_MISFIRE_LIMIT)


def entry_limit() -> int:
    """Characters of JSON that the payload of an entry may have."""
    return int(settings.TASKS_ENTRY_LIMIT)


def report_every() -> float:
    """Seconds between two reports of a process."""
    return float(settings.TASKS_REPORT_EVERY)


def poll_watchdog() -> float:
    """Seconds for which nothing need be heard of a worker's polls."""
    return float(settings.TASKS_POLL_WATCHDOG)


def cancel_grace() -> float:
    """Seconds that a handler has to notice that its run is to be cancelled."""
    return float(settings.TASKS_CANCEL_GRACE)


def shutdown_grace() -> float:
    """Seconds that handlers have to finish when their worker is to end."""
    return float(settings.TASKS_SHUTDOWN_GRACE)


def handover_limit() -> float:
    """Seconds for which a run is handed over to newer workers; 0: not at all."""
    return float(settings.TASKS_HANDOVER_LIMIT)


def dead_letters_every() -> float:
    """Seconds between two looks at the dead-letter queues."""
    return float(settings.TASKS_DEAD_LETTERS_EVERY)


def queues() -> list[str]:
    """The logical names of all queues."""
    return list(settings.TASKS_QUEUES)
