"""What every process of the project sets up: the admin, and the Celery application as the current one."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.contrib.admin import autodiscover
from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.admin.checks import check_admin_app, check_dependencies
from django.core import checks


class AdminConfig(SimpleAdminConfig):
    """The admin, whose pages are imported by those who serve or check them.

    A worker, beat, the relay and nearly every command has no use for them, and they are a third of what
    such a process would import.
    """

    default = False
    default_site = "project.operating.Site"

    def ready(self) -> None:
        checks.register(check_dependencies, checks.Tags.admin)
        checks.register(_check, checks.Tags.admin)


def _check(app_configs: Any, **options: Any) -> list[checks.CheckMessage]:
    """Django's checks of the admin's pages, whether or not the URLs were checked, and so imported, before."""
    autodiscover()
    return check_admin_app(app_configs, **options)


class ProjectConfig(AppConfig):
    name = "project"
    label = "project"

    def ready(self) -> None:
        # Not in project/__init__.py: that is imported by manage.py before anything is installed.
        from project import celery  # noqa: F401
