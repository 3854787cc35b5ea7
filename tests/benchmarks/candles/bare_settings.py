"""A server without the product: Django and DRF at their defaults, without middleware."""

from __future__ import annotations

from tests.benchmarks.settings import *  # noqa: F403

ROOT_URLCONF = "tests.benchmarks.workload.urls"
MIDDLEWARE: list[str] = []
REST_FRAMEWORK = {"DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"]}
