"""Makes the Celery application the current one in every process of the project."""

from __future__ import annotations

from django.apps import AppConfig


class ProjectConfig(AppConfig):
    name = "project"
    label = "project"

    def ready(self) -> None:
        # Not in project/__init__.py: that is imported by manage.py before anything is installed.
        from project import celery  # noqa: F401
