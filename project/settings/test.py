"""The test run: the private stack of `manage.py test`, and short waits."""

from __future__ import annotations

import os

from kombu import Queue

from .base import *  # noqa: F403
from .base import CELERY_BROKER_TRANSPORT_OPTIONS, INSTALLED_APPS, LOGGING, TASKS_QUEUES
from .environment import env

SECRET_KEY = env.str("SECRET_KEY", default="tests")
ENCRYPTION_KEYS = env.list("ENCRYPTION_KEYS", default=["tests:WYMOvDpBhBEFZr8aKQ0IRz39y9SSzkmLFM0aXi+i5EE="])
INSTALLED_APPS = [*INSTALLED_APPS, "apps.stack", "tests.workload"]
ALLOWED_HOSTS = ["*"]
# Every client of a test has the middleware made anew: static files are looked for where they are asked for.
WHITENOISE_AUTOREFRESH = True
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

TASKS_QUEUES = [*TASKS_QUEUES, "ordered.fifo"]
CELERY_TASK_QUEUES = [Queue(name) for name in TASKS_QUEUES]

# A killed worker's prefetched messages come back soon.
SQS_VISIBILITY_TIMEOUT = env.int("SQS_VISIBILITY_TIMEOUT", default=10)
TASKS_LEASE = env.float("TASKS_LEASE", default=3.0)
TASKS_RELAY_POLL = env.float("TASKS_RELAY_POLL", default=0.2)
TASKS_LOST_AFTER = env.float("TASKS_LOST_AFTER", default=2.0)
LIVENESS_RECONCILE_EVERY = env.float("LIVENESS_RECONCILE_EVERY", default=1.0)
TASKS_REPORT_EVERY = env.float("TASKS_REPORT_EVERY", default=0.5)
TASKS_DEAD_LETTERS_EVERY = env.float("TASKS_DEAD_LETTERS_EVERY", default=1.0)
# Roll-ups of which every change is seen at once, also by those who look into the tables.
CANDLES_ROLLUPS = env.str("CANDLES_ROLLUPS", default="incremental")
CELERY_WORKER_POOL = os.environ.get("TEST_WORKER_POOL", "prefork")
CELERY_BROKER_TRANSPORT_OPTIONS = {
    **CELERY_BROKER_TRANSPORT_OPTIONS,
    "visibility_timeout": SQS_VISIBILITY_TIMEOUT,
    "wait_time_seconds": 1,
}
CELERY_BEAT_SCHEDULE = {
    "reconcile-orphans": {"task": "tasks.reconcile_orphans", "schedule": LIVENESS_RECONCILE_EVERY},
}
# Tests of rate limits switch them on; others make more requests from one address than anybody may.
RATELIMITS_ENABLED = env.bool("RATELIMITS_ENABLED", default=False)
# What is received is counted in the log.
LOGGING["loggers"]["celery.worker.strategy"]["level"] = "INFO"
env.settle()
