"""The Celery application: ``celery -A project worker``, ``celery -A project beat``."""

from __future__ import annotations

import os

from celery import Celery

from apps.tasks.worker import install

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings.dev")

# As in any process but `manage.py check` and the commands that run by hand: Django's checks import the admin,
# the URLs and every view, of which a worker needs nothing.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

app = Celery("chandlery")
app.config_from_object("django.conf:settings", namespace="CELERY")
install(app)
app.autodiscover_tasks()
