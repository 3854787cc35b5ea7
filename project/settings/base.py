"""Settings shared by every place. Whatever differs between machines comes from the environment.

Every variable may be given as ``NAME_FILE`` instead, holding the path of a file with the value.
"""

from __future__ import annotations

from pathlib import Path

import django_stubs_ext

from project.settings.background import *  # noqa: F403
from project.settings.domain import *  # noqa: F403
from project.settings.environment import env
from project.settings.limits import *  # noqa: F403
from project.settings.servers import *  # noqa: F403
from project.settings.watching import *  # noqa: F403
from project.settings.web import *  # noqa: F403

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent.parent

SECRET_KEY = env.str("SECRET_KEY", default="")
# Secrets at rest: keys of 32 bytes in base64, as `id:key`, the current first (`manage.py encryption_key`).
ENCRYPTION_KEYS = env.list("ENCRYPTION_KEYS", default=[])
DEBUG = env.bool("DEBUG", default=False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "corsheaders",
    "rest_framework",
    "knox",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "project.apps.ProjectConfig",
    "apps.core",
    "apps.events",
    "apps.liveness",
    "apps.tasks",
    "apps.audit",
    "apps.ratelimits",
    "apps.identity",
    "apps.notifications",
    "apps.candles",
    "apps.orders",
    "apps.webhooks",
    "apps.backtests",
    "apps.operations",
    # Apps of an installation's own, which need no change here.
    *env.list("EXTRA_APPS", default=[]),
    # Behind all that have templates of its pages: the first that is found is used.
    "project.apps.AdminConfig",
]

MIDDLEWARE = [
    # What every answer has, those of who is denied included. None of these asks anything of anybody.
    "apps.core.middleware.RequestContextMiddleware",
    "apps.core.access.AccessMiddleware",
    "apps.core.scheme.SchemeMiddleware",
    "apps.core.headers.HeadersMiddleware",
    "apps.core.csp.ContentPolicyMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "apps.core.cors.CorsMiddleware",
    "apps.core.health.HealthMiddleware",
    "apps.ratelimits.middleware.RateLimitMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "apps.core.middleware.ActorMiddleware",
    "apps.audit.middleware.AuditMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "apps.liveness.middleware.WorkerTokenMiddleware",
]

ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
ASGI_APPLICATION = "project.asgi.application"

TEMPLATES_DIR = env.str("TEMPLATES_DIR", default="")
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        # Looked into before the apps' own: `notifications/<kind>.txt` there replaces that of an e-mail.
        "DIRS": [TEMPLATES_DIR] if TEMPLATES_DIR else [],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
FORMAT_MODULE_PATH = "project.formats"
USE_I18N = False
USE_TZ = True
DATETIME_FORMAT = "Y-m-d H:i:s"
