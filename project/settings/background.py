"""Events, tasks, who is alive, and what beat asks for."""

from __future__ import annotations

from celery.schedules import crontab
from kombu import Queue

from project.settings.environment import env
from project.settings.servers import (
    SQS_ENDPOINT_URL,
    SQS_QUEUE_PREFIX,
    SQS_REGION,
    SQS_VISIBILITY_TIMEOUT,
    SQS_WAIT_TIME,
)

# Finished streams are archived when somebody runs `manage.py events archive`, and only then. Without these
# (days, and a folder) the command has to be told.
EVENTS_ARCHIVE_AFTER = env.float("EVENTS_ARCHIVE_AFTER", default=0.0)
EVENTS_ARCHIVE_DIR = env.str("EVENTS_ARCHIVE_DIR", default="")

# Who is alive (seconds; of a population, a share and a size; days).
LIVENESS_BEAT_EVERY = env.float("LIVENESS_BEAT_EVERY", default=5.0)
LIVENESS_STALE_AFTER = env.float("LIVENESS_STALE_AFTER", default=30.0)
LIVENESS_ORPHAN_AFTER = env.float("LIVENESS_ORPHAN_AFTER", default=90.0)
LIVENESS_START_GRACE = env.float("LIVENESS_START_GRACE", default=120.0)
LIVENESS_FALLBACK_AFTER = env.float("LIVENESS_FALLBACK_AFTER", default=300.0)
LIVENESS_RECONCILE_EVERY = env.float("LIVENESS_RECONCILE_EVERY", default=30.0)
LIVENESS_CLAIM_FOR = env.float("LIVENESS_CLAIM_FOR", default=60.0)
LIVENESS_MASS_SHARE = env.float("LIVENESS_MASS_SHARE", default=0.5)
LIVENESS_MASS_OF = env.int("LIVENESS_MASS_OF", default=10)
LIVENESS_SCANS_KEPT = env.float("LIVENESS_SCANS_KEPT", default=30.0)

# Durable tasks (seconds).
TASKS_QUEUES = ["default", "email", "ingest", "backtests", "audit", "orders.fifo", "fills.fifo"]
TASKS_LEASE = env.float("TASKS_LEASE", default=30.0)
TASKS_RELAY_POLL = env.float("TASKS_RELAY_POLL", default=1.0)
TASKS_LOST_AFTER = env.float("TASKS_LOST_AFTER", default=60.0)
TASKS_REPORT_EVERY = env.float("TASKS_REPORT_EVERY", default=5.0)
TASKS_POLL_WATCHDOG = env.float("TASKS_POLL_WATCHDOG", default=120.0)
TASKS_CANCEL_GRACE = env.float("TASKS_CANCEL_GRACE", default=10.0)
TASKS_SHUTDOWN_GRACE = env.float("TASKS_SHUTDOWN_GRACE", default=25.0)
TASKS_HANDOVER_LIMIT = env.float("TASKS_HANDOVER_LIMIT", default=1800.0)
TASKS_DEAD_LETTERS_EVERY = env.float("TASKS_DEAD_LETTERS_EVERY", default=60.0)
TASKS_RESULT_LIMIT = env.int("TASKS_RESULT_LIMIT", default=65_536)
TASKS_MISFIRE_LIMIT = env.int("TASKS_MISFIRE_LIMIT", default=100)
TASKS_ENTRY_LIMIT = env.int("TASKS_ENTRY_LIMIT", default=65_536)

CELERY_WORKER_CONSUMER = "apps.tasks.worker.consumer:DurableConsumer"
CELERY_BROKER_URL = "guardedsqs://"
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "region": SQS_REGION,
    "endpoint_url": SQS_ENDPOINT_URL,
    "queue_name_prefix": SQS_QUEUE_PREFIX,
    "visibility_timeout": SQS_VISIBILITY_TIMEOUT,
    "wait_time_seconds": SQS_WAIT_TIME,
    "client-config": {"connect_timeout": 3, "read_timeout": 30, "retries": {"total_max_attempts": 2}},
    "polling_interval": 0.05,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_QUEUES = [Queue(name) for name in TASKS_QUEUES]
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_CREATE_MISSING_QUEUES = False
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
# Reads the runs; writes nothing.
CELERY_RESULT_BACKEND = "apps.tasks.results:RunResults"
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 4
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
# Celery would close the connection to the database before and after every task: opening it again costs more
# than the task. It is looked at before each instead, see apps.tasks.worker.steps.
CELERY_DB_REUSE_MAX = 2**31
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "apps.tasks.beat:DurableScheduler"
CELERY_BEAT_SCHEDULE = {
    "reconcile-orphans": {"task": "tasks.reconcile_orphans", "schedule": LIVENESS_RECONCILE_EVERY},
    "tally-events": {"task": "tasks.tally", "schedule": crontab()},
    "alert-dead-letters": {"task": "notifications.alert_dead_letters", "schedule": 30.0},
    "alert-orphans": {"task": "notifications.alert_orphans", "schedule": 30.0},
    "sync-candles": {"task": "candles.sync_all", "schedule": crontab()},
    "refresh-rollups": {"task": "candles.refresh_rollups", "schedule": crontab()},
    "reconcile-orders": {"task": "orders.reconcile", "schedule": crontab()},
    "repair-gaps": {"task": "candles.repair_gaps", "schedule": crontab(minute=7)},
    "maintain-candles": {"task": "candles.maintain", "schedule": crontab(minute=17)},
    "prune-emails": {"task": "notifications.prune", "schedule": crontab(minute=57, hour=3)},
    "prune-answers": {"task": "tasks.prune_answers", "schedule": crontab(minute=43)},
    "prune-keys": {"task": "identity.prune", "schedule": crontab(minute=7, hour=4)},
    "prune-webhooks": {"task": "webhooks.prune", "schedule": crontab(minute=37)},
    "sync-catalogues": {"task": "candles.sync_catalogues", "schedule": crontab(minute=27, hour=3)},
    "verify-audit": {"task": "audit.verify", "schedule": crontab(minute=47, hour=2)},
}
