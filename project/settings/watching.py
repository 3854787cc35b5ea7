"""What is told of the installation, and to whom: audit, figures, e-mails to operators, logs."""

from __future__ import annotations

from typing import Any

from project.settings.environment import env

#: Of the code: shown with every process.
VERSION = env.str("VERSION", default="0.1.0")
#: What this installation is called, in the head of the admin's pages; empty: it is not said.
ENVIRONMENT = env.str("ENVIRONMENT", default="")

# The audit's chain: keys that its rows are hashed under, as `id:key` in base64 (`manage.py encryption_key`
# makes them), the current first. Without one, whoever writes to the database can hash rows, too.
AUDIT_KEYS = env.list("AUDIT_KEYS", default=[])
# Characters of JSON of what an entry says of before, of after and in detail; days after which
# `manage.py audit_prune` takes entries out of the database (0: it has to be told).
AUDIT_VALUE_LIMIT = env.int("AUDIT_VALUE_LIMIT", default=8192)
AUDIT_RETENTION_DAYS = env.float("AUDIT_RETENTION_DAYS", default=0.0)
# Routes whose writes make no entry: they come every few seconds and tell of nothing but being alive.
AUDIT_UNAUDITED_ROUTES = ["worker-heartbeat"]

# What is secret in errors, arguments and results: patterns of keys beside the ones known already.
REDACT_KEYS = env.list("REDACT_KEYS", default=[])

# Who may read /metrics besides staff: whoever sends this as a bearer token.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")

# Whether everybody is shown which server and process is up, or only staff.
STATUS_PUBLIC = env.bool("STATUS_PUBLIC", default=False)

# Who is told of dead letters by e-mail, and how often at most (seconds).
OPERATORS = env.list("OPERATOR_EMAILS", default=[])
ALERT_EVERY = env.float("ALERT_EVERY", default=900.0)

# Days for which it is kept what e-mails said that are over; their rows stay (0: for ever).
EMAILS_KEPT_DAYS = env.float("EMAILS_KEPT_DAYS", default=180.0)

# Who may report bounced e-mails besides staff: whoever sends this as a bearer token.
BOUNCES_TOKEN = env.str("BOUNCES_TOKEN", default="")

# Where workers, beats and relays serve their figures and their health; without a port they do not. And where
# processes with a pool make a folder of their own for figures; without it, in the system's temporary one.
METRICS_HOST = env.str("METRICS_HOST", default="127.0.0.1")
METRICS_PORT = env.int("METRICS_PORT", default=0)
PROMETHEUS_MULTIPROC_DIR = env.str("PROMETHEUS_MULTIPROC_DIR", default="")

LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
# json or console.
LOG_FORMAT = env.str("LOG_FORMAT", default="console")
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "lines": {"()": "apps.core.logs.formatter", "form": LOG_FORMAT, "version": VERSION},
    },
    "filters": {
        "paths": {"()": "apps.core.paths.PathFilter"},
        "tokens": {"()": "apps.webhooks.masking.TokenFilter"},
        "runs": {"()": "apps.tasks.logs.OtherThanRuns"},
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "lines", "filters": ["paths", "tokens"]}
    },
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        "botocore": {"level": "WARNING"},
        "ccxt": {"level": "WARNING"},
        # Our own lines tell of each attempt and of each request: these would tell it again.
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING", "filters": ["runs"]},
        "django.server": {"level": "WARNING", "handlers": [], "propagate": True},
        # Anybody may send any Host, and is answered 400: no traceback for each.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        # Django's own handlers stand nearer to it than ours. What it tells as an error has a trace.
        "django.request": {"level": "ERROR", "filters": ["paths", "tokens"]},
    },
}
