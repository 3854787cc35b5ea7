"""The ASGI entry point."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

from apps.core import process

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings.dev")
process.serve()

application = get_asgi_application()
process.begin("web")
