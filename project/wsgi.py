"""The WSGI entry point: ``gunicorn project.wsgi``."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

from apps.core import process

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings.dev")
process.serve()

application = get_wsgi_application()
process.begin("web")
