"""The peer: plain Celery on kombu's own SQS transport, as its documentation has it.

With ``acks_late`` and a row that the task writes. ``PLAIN_SETTINGS`` chooses between Celery's and kombu's
defaults and the best settings that were found: a short polling interval (kombu 5.7 waits it out whenever the
prefetch window is full), a database connection that is kept from task to task, and a longer prefetch
window, which the command line sets.
"""

from __future__ import annotations

import os
import time
from urllib.parse import urlsplit

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.benchmarks.settings")

QUEUE = "plain"
_server = urlsplit(os.environ["SQS_ENDPOINT_URL"])
_options = {"region": "us-east-1", "is_secure": False}
_best = os.environ.get("PLAIN_SETTINGS", "best") == "best"
if _best:
    _options |= {"polling_interval": 0.01}

# Not the current one: in the benchmark's own process that is the product's.
app = Celery("plain", set_as_current=False)
app.conf.update(
    broker_url=f"sqs://any:any@{_server.hostname}:{_server.port}",
    broker_transport_options=_options,
    broker_connection_retry_on_startup=True,
    task_default_queue=QUEUE,
    task_acks_late=True,
    task_ignore_result=True,
    worker_enable_remote_control=False,
    worker_hijack_root_logger=False,
)
if _best:
    # Without this Celery closes the database connection before and after every task.
    app.conf["CELERY_DB_REUSE_MAX"] = 2**31


@app.task(name="plain.note")
def note(batch: str, number: int, sent: float, seconds: float = 0.0) -> None:
    """The same as `tests.benchmarks.workload.tasks.note`."""
    from tests.benchmarks.workload.models import Note

    waited = time.time() - sent
    if seconds:
        time.sleep(seconds)
    Note.objects.create(batch=batch, number=number, waited=waited)
