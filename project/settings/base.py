"""Settings shared by every place. Whatever differs between machines comes from the environment.

Every variable may be given as ``NAME_FILE`` instead, holding the path of a file with the value.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote

import django_stubs_ext
from celery.schedules import crontab
from corsheaders.defaults import default_headers
from csp.constants import NONE, SELF
from kombu import Queue

from apps.core import process
from project.settings.environment import env

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent.parent

#: Of the code: shown with every process.
VERSION = env.str("VERSION", default="0.1.0")
#: What this installation is called, in the head of the admin's pages; empty: it is not said.
ENVIRONMENT = env.str("ENVIRONMENT", default="")

SECRET_KEY = env.str("SECRET_KEY", default="")
DEBUG = env.bool("DEBUG", default=False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
# Who may say which address a request comes from: networks, and `unix` for connections over a unix socket. And
# the one header that it is believed in: `x-forwarded-for` or `forwarded` (RFC 7239).
TRUSTED_PROXIES = env.list("TRUSTED_PROXIES", default=[])
FORWARDED_HEADER = env.str("FORWARDED_HEADER", default="x-forwarded-for")
# Written by SchemeMiddleware alone, for those proxies: a client's header is never found under it.
SECURE_PROXY_SSL_HEADER = ("FORWARDED_SCHEME", "https")
# Who asks for the health of a process asks it without TLS.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]

# Pages of these origins may read the API: origins, and regular expressions of them; and with cookies or not.
CORS_ALLOWED_ORIGINS = env.list("CORS_ALLOWED_ORIGINS", default=[])
CORS_ALLOWED_ORIGIN_REGEXES = env.list("CORS_ALLOWED_ORIGIN_REGEXES", default=[])
CORS_ALLOW_CREDENTIALS = env.bool("CORS_ALLOW_CREDENTIALS", default=False)
# The datafeed is open to every origin by itself.
CORS_URLS_REGEX = r"^/api/"
CORS_ALLOW_HEADERS = [*default_headers, "idempotency-key", "if-match", "if-none-match", "x-request-id"]
CORS_EXPOSE_HEADERS = [
    *("ETag", "Idempotency-Replayed", "Link", "Location", "RateLimit", "RateLimit-Policy", "Retry-After"),
    "X-Request-ID",
]

# Everything on a page comes from here, in files of its own.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF, *env.list("CSP_CONNECT_SRC", default=[])],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "report-uri": env.str("CSP_REPORT_URI", default="") or None,
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"

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

_name = process.name()
_serves = _name == "web"
# A pooler that lends connections for a transaction each (PgBouncer) loses what a session keeps. Web servers
# keep nothing in theirs; relays and workers hear notifications in them, and commands hold locks.
_direct = None if _serves else env.db_url("DATABASE_SESSION_URL", default="")
_database = _direct or env.db_url("DATABASE_URL", default="postgres://chandlery@127.0.0.1:5432/chandlery")
_options = {
    # Off behind a pooler that does not keep prepared statements apart (PgBouncer does since 1.21).
    "prepare_threshold": 5 if env.bool("DATABASE_PREPARE", default=True) else None,
    "connect_timeout": env.int("DATABASE_CONNECT_TIMEOUT", default=10),
    "application_name": f"chandlery {_name}",
}
# Connections that the threads of a web server share; the threads of others keep one each.
_pool = {
    "max_size": env.int("DATABASE_POOL", default=0),
    "min_size": env.int("DATABASE_POOL_MIN", default=1),
    "timeout": env.float("DATABASE_POOL_TIMEOUT", default=5.0),
}
_pools = _serves and _pool["max_size"] > 0
if _pools:
    _options["pool"] = _pool
# Of a web server: the statements of tasks and commands may take long.
_statement_timeout = env.float("DATABASE_STATEMENT_TIMEOUT", default=0.0)
if _serves and _statement_timeout > 0:
    _options["options"] = f"-c statement_timeout={round(_statement_timeout * 1000)}"
_conn_max_age = env.int("DATABASE_CONN_MAX_AGE", default=60)
DATABASES = {
    "default": {
        **_database,
        # A folder of unix sockets is written percent-encoded in the place of the host.
        "HOST": unquote(_database["HOST"]),
        # What a pool has lent has to come back.
        "CONN_MAX_AGE": 0 if _pools else _conn_max_age,
        "CONN_HEALTH_CHECKS": True,
        "DISABLE_SERVER_SIDE_CURSORS": env.bool("DATABASE_TRANSACTION_POOLING", default=False),
        # Those of the address are libpq's: sslmode, sslrootcert and others.
        "OPTIONS": {**_options, **_database.get("OPTIONS", {})},
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.str("REDIS_URL", default="redis://127.0.0.1:6379/0")
# On where REDIS_URL names a node of a Redis Cluster.
REDIS_CLUSTER = env.bool("REDIS_CLUSTER", default=False)
# Tells apart installations that share a server.
REDIS_KEY_PREFIX = env.str("REDIS_KEY_PREFIX", default="")
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        # Without a timeout a stopped server would block a request for as long as it stays stopped.
        "OPTIONS": {"SOCKET_CONNECT_TIMEOUT": 1, "SOCKET_TIMEOUT": 1},
    },
}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
# What is hashed otherwise is hashed anew when its user signs in.
PASSWORD_HASHERS = [
    "apps.identity.hashers.Argon2idHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2SHA1PasswordHasher",
]
AUTHENTICATION_BACKENDS = [
    "apps.identity.backends.PasswordBackend",
    # Sessions that were begun before name this one; passwords never come as far.
    "django.contrib.auth.backends.ModelBackend",
]
KNOX_TOKEN_MODEL = "identity.ApiKey"  # noqa: S105
# Its own table is not made; where there is one, a migration of identity moves what is in it.
MIGRATION_MODULES = {"knox": None}
# Hours for which a login token is good; days for which a key may be, and for which it is kept that it was (0:
# for ever); whether requests may come with name and password, besides to sign in.
LOGIN_TOKEN_HOURS = env.float("LOGIN_TOKEN_HOURS", default=10.0)
API_KEYS_LONGEST_DAYS = env.int("API_KEYS_LONGEST_DAYS", default=365)
API_KEYS_KEPT_DAYS = env.float("API_KEYS_KEPT_DAYS", default=90.0)
API_BASIC_AUTH = env.bool("API_BASIC_AUTH", default=True)

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
FORMAT_MODULE_PATH = "project.formats"
USE_I18N = False
USE_TZ = True
DATETIME_FORMAT = "Y-m-d H:i:s"

CSRF_FAILURE_VIEW = "apps.core.problems.csrf_failure"
# Where people sign in who are no staff, and what follows where nothing else does.
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "landing"

STATIC_URL = "static/"
STATIC_ROOT = env.str("STATIC_ROOT", default="") or None
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "project.static.HashedStorage"
        if STATIC_ROOT
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
# Where none are collected, static files come straight from the packages: nothing to do before a start.
WHITENOISE_USE_FINDERS = not STATIC_ROOT
# They are for pages of this origin.
WHITENOISE_ALLOW_ALL_ORIGINS = False

EMAIL_CONFIG = env.email_url("EMAIL_URL", default="smtp://127.0.0.1:25")
vars().update(EMAIL_CONFIG)
# Another backend of Django's than EMAIL_URL says, by its dotted path, and what it is made with (JSON).
EMAIL_BACKEND = env.str("EMAIL_BACKEND", default="") or EMAIL_CONFIG["EMAIL_BACKEND"]
EMAIL_BACKEND_OPTIONS = env.json("EMAIL_BACKEND_OPTIONS", default={})
# Seconds without an answer of the mail server. Too few, and it may take mails that are then sent again.
EMAIL_TIMEOUT = env.float("EMAIL_TIMEOUT", default=60.0)
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="Chandlery <chandlery@localhost>")

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "apps.identity.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
        "apps.identity.authentication.PasswordAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["apps.core.parsers.StrictJSONParser"],
    # Lists say themselves which parameters they know.
    "URL_FORMAT_OVERRIDE": None,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_THROTTLE_CLASSES": ["apps.ratelimits.throttles.VerifiedThrottle"],
    "EXCEPTION_HANDLER": "apps.core.problems.exception_handler",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Chandlery",
    "DESCRIPTION": "Candles, backtests and event-sourced background tasks.",
    "VERSION": "0.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVERS": [{"url": "/", "description": "This installation."}],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "apps.core.openapi.complete",
        "apps.identity.api.schema.tell_scopes",
    ],
    "ENUM_NAME_OVERRIDES": {
        "TaskState": "apps.tasks.states.State",
        "TaskOperation": "apps.tasks.states.Operation",
        "WorkerState": "apps.liveness.states.SessionState",
        "EmailState": "apps.notifications.states.EmailState",
        "BackfillState": "apps.candles.selectors.BackfillState",
        "MissingEnum": "apps.backtests.models.Backtest.Missing",
        "OrderState": "apps.orders.states.State",
        "OrderSide": "apps.orders.states.Side",
        "OrderKind": "apps.orders.states.Kind",
        "OrderIntent": "apps.orders.states.Intent",
        "OrderSource": "apps.orders.models.Order.Source",
        "Signal": "apps.orders.signals.Signal",
        "DeliveryOutcome": "apps.webhooks.codes.Outcome",
        "DeliveryLayer": "apps.webhooks.codes.Layer",
        "SweepMissing": "apps.backtests.sweeps.forms.MISSING",
    },
}

# Amazon SQS, or any server that speaks it. Credentials are found by boto3 as usual.
SQS_ENDPOINT_URL = env.str("SQS_ENDPOINT_URL", default="") or None
SQS_REGION = env.str("AWS_REGION", default="us-east-1")
SQS_QUEUE_PREFIX = env.str("SQS_QUEUE_PREFIX", default="chandlery-")
# Off where the queues are made by infrastructure code and the process may not create any.
SQS_CREATE_QUEUES = env.bool("SQS_CREATE_QUEUES", default=True)
SQS_WAIT_TIME = env.int("SQS_WAIT_TIME", default=10)
SQS_VISIBILITY_TIMEOUT = env.int("SQS_VISIBILITY_TIMEOUT", default=120)
SQS_MAX_RECEIVES = env.int("SQS_MAX_RECEIVES", default=5)

# Finished streams are archived when somebody runs `manage.py events archive`, and only then. Without these
# (days, and a folder) the command has to be told.
EVENTS_ARCHIVE_AFTER = env.float("EVENTS_ARCHIVE_AFTER", default=0.0)
EVENTS_ARCHIVE_DIR = env.str("EVENTS_ARCHIVE_DIR", default="")

# Who is alive (seconds; of a population, a share and a size; days).
LIVENESS_BEAT_EVERY = env.float("LIVENESS_BEAT_EVERY", default=5.0)
LIVENESS_STALE_AFTER = env.float("LIVENESS_STALE_AFTER", default=30.0)
LIVENESS_ORPHAN_AFTER = env.float("LIVENESS_ORPHAN_AFTER", default=90.0)
LIVENESS_START_GRACE = env.float("LIVENESS_START_GRACE", default=120.0)
LIVENESS_FALLBACK_AFTER = env.float("LIVENESS_FALLBACK_AFTER", default=300.0)
LIVENESS_RECONCILE_EVERY = env.float("LIVENESS_RECONCILE_EVERY", default=30.0)
LIVENESS_CLAIM_FOR = env.float("LIVENESS_CLAIM_FOR", default=60.0)
LIVENESS_MASS_SHARE = env.float("LIVENESS_MASS_SHARE", default=0.5)
LIVENESS_MASS_OF = env.int("LIVENESS_MASS_OF", default=10)
LIVENESS_SCANS_KEPT = env.float("LIVENESS_SCANS_KEPT", default=30.0)

# Durable tasks (seconds).
TASKS_QUEUES = ["default", "email", "ingest", "backtests", "audit", "orders.fifo", "fills.fifo"]
TASKS_LEASE = env.float("TASKS_LEASE", default=30.0)
TASKS_RELAY_POLL = env.float("TASKS_RELAY_POLL", default=1.0)
TASKS_LOST_AFTER = env.float("TASKS_LOST_AFTER", default=60.0)
TASKS_REPORT_EVERY = env.float("TASKS_REPORT_EVERY", default=5.0)
TASKS_POLL_WATCHDOG = env.float("TASKS_POLL_WATCHDOG", default=120.0)
TASKS_CANCEL_GRACE = env.float("TASKS_CANCEL_GRACE", default=10.0)
TASKS_SHUTDOWN_GRACE = env.float("TASKS_SHUTDOWN_GRACE", default=25.0)
TASKS_HANDOVER_LIMIT = env.float("TASKS_HANDOVER_LIMIT", default=1800.0)
TASKS_DEAD_LETTERS_EVERY = env.float("TASKS_DEAD_LETTERS_EVERY", default=60.0)
TASKS_RESULT_LIMIT = env.int("TASKS_RESULT_LIMIT", default=65_536)
TASKS_MISFIRE_LIMIT = env.int("TASKS_MISFIRE_LIMIT", default=100)
TASKS_ENTRY_LIMIT = env.int("TASKS_ENTRY_LIMIT", default=65_536)

CELERY_WORKER_CONSUMER = "apps.tasks.worker.consumer:DurableConsumer"
CELERY_BROKER_URL = "guardedsqs://"
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "region": SQS_REGION,
    "endpoint_url": SQS_ENDPOINT_URL,
    "queue_name_prefix": SQS_QUEUE_PREFIX,
    "visibility_timeout": SQS_VISIBILITY_TIMEOUT,
    "wait_time_seconds": SQS_WAIT_TIME,
    "client-config": {"connect_timeout": 3, "read_timeout": 30, "retries": {"total_max_attempts": 2}},
    "polling_interval": 0.05,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_QUEUES = [Queue(name) for name in TASKS_QUEUES]
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_CREATE_MISSING_QUEUES = False
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
# Reads the runs; writes nothing.
CELERY_RESULT_BACKEND = "apps.tasks.results:RunResults"
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 4
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
# Celery would close the connection to the database before and after every task: opening it again costs more
# than the task. It is looked at before each instead, see apps.tasks.worker.steps.
CELERY_DB_REUSE_MAX = 2**31
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "apps.tasks.beat:DurableScheduler"
CELERY_BEAT_SCHEDULE = {
    "reconcile-orphans": {"task": "tasks.reconcile_orphans", "schedule": LIVENESS_RECONCILE_EVERY},
    "tally-events": {"task": "tasks.tally", "schedule": crontab()},
    "alert-dead-letters": {"task": "notifications.alert_dead_letters", "schedule": 30.0},
    "alert-orphans": {"task": "notifications.alert_orphans", "schedule": 30.0},
    "sync-candles": {"task": "candles.sync_all", "schedule": crontab()},
    "refresh-rollups": {"task": "candles.refresh_rollups", "schedule": crontab()},
    "reconcile-orders": {"task": "orders.reconcile", "schedule": crontab()},
    "repair-gaps": {"task": "candles.repair_gaps", "schedule": crontab(minute=7)},
    "maintain-candles": {"task": "candles.maintain", "schedule": crontab(minute=17)},
    "prune-emails": {"task": "notifications.prune", "schedule": crontab(minute=57, hour=3)},
    "prune-answers": {"task": "tasks.prune_answers", "schedule": crontab(minute=43)},
    "prune-keys": {"task": "identity.prune", "schedule": crontab(minute=7, hour=4)},
    "prune-webhooks": {"task": "webhooks.prune", "schedule": crontab(minute=37)},
    "sync-catalogues": {"task": "candles.sync_catalogues", "schedule": crontab(minute=27, hour=3)},
    "verify-audit": {"task": "audit.verify", "schedule": crontab(minute=47, hour=2)},
}

# Candles: who keeps the roll-ups where the server has TimescaleDB, and for how many days minutes are kept.
CANDLES_ROLLUPS = env.str("CANDLES_ROLLUPS", default="continuous_aggregates")
CANDLES_RETENTION_DAYS = env.int("CANDLES_RETENTION_DAYS", default=0) or None
CANDLES_COMPRESS_AFTER_DAYS = env.int("CANDLES_COMPRESS_AFTER_DAYS", default=7)
CANDLES_CHUNK_INTERVAL_DAYS = env.int("CANDLES_CHUNK_INTERVAL_DAYS", default=0) or None
CANDLES_REFRESH_WINDOW_DAYS = env.int("CANDLES_REFRESH_WINDOW_DAYS", default=30)
CANDLES_REFRESH_AFTER = env.int("CANDLES_REFRESH_AFTER", default=900)
# Tasks at a time and requests a minute, by exchange: {"binance": {"concurrency": 8, "rate": 2400}}.
CANDLES_EXCHANGE_LIMITS = env.json("CANDLES_EXCHANGE_LIMITS", default={})
# Where workers keep copies of the months that they read, and how much of them.
CANDLES_CACHE_DIR = env.str("CANDLES_CACHE_DIR", default="")
CANDLES_CACHE_MB = env.int("CANDLES_CACHE_MB", default=2048)
# The API: bars, instruments and rows of one request; seconds that a bar waits for its last minute, and after
# which a price is stale.
CANDLES_MAX_BARS = env.int("CANDLES_MAX_BARS", default=10_000)
CANDLES_MAX_FILE_BARS = env.int("CANDLES_MAX_FILE_BARS", default=600_000)
CANDLES_MAX_SERIES = env.int("CANDLES_MAX_SERIES", default=50)
CANDLES_SETTLE_SECONDS = env.int("CANDLES_SETTLE_SECONDS", default=120)
CANDLES_STALE_SECONDS = env.int("CANDLES_STALE_SECONDS", default=300)
CANDLES_MAX_UPLOAD_MB = env.int("CANDLES_MAX_UPLOAD_MB", default=32)
CANDLES_MAX_UPLOAD_ROWS = env.int("CANDLES_MAX_UPLOAD_ROWS", default=200_000)

# Orders: plans; seconds after which an order is not sent any more; seconds to the first look at an order, to
# that at one without an answer, and between looks at the most; looks in vain; seconds that a reversal waits
# for its close leg, and signals for market orders; by how much limits are longer on paper.
ORDERS_PLANS = env.json(
    "ORDERS_PLANS",
    default={
        "basic": {"simulation_only": True, "daily_orders": 50},
        "pro": {"simulation_only": False, "daily_orders": 1000},
    },
)
ORDERS_MARKET_MAX_AGE = env.float("ORDERS_MARKET_MAX_AGE", default=300.0)
ORDERS_SUBMIT_LIMIT = env.float("ORDERS_SUBMIT_LIMIT", default=900.0)
ORDERS_VERIFY_FIRST = env.float("ORDERS_VERIFY_FIRST", default=30.0)
ORDERS_UNKNOWN_FIRST = env.float("ORDERS_UNKNOWN_FIRST", default=5.0)
ORDERS_VERIFY_LONGEST = env.float("ORDERS_VERIFY_LONGEST", default=900.0)
ORDERS_VERIFY_LOOKS = env.int("ORDERS_VERIFY_LOOKS", default=10)
ORDERS_REVERSAL_LIMIT = env.float("ORDERS_REVERSAL_LIMIT", default=30.0)
ORDERS_SETTLE_LIMIT = env.float("ORDERS_SETTLE_LIMIT", default=60.0)
ORDERS_PAPER_WAIT = env.float("ORDERS_PAPER_WAIT", default=600.0)

# Where TradingView's alerts come from, as its help page lists them (all of them IPv4).
TRADINGVIEW_ADDRESSES = env.list(
    "TRADINGVIEW_ADDRESSES",
    default=["52.89.214.238", "34.212.75.30", "54.218.53.128", "52.32.178.7"],
)

# Rate limits: whether requests are counted; seconds without an answer after which Redis is away; how many
# processes share a limit then; seconds for which a credential that was verified counts as its user's; by how
# many bits IPv6 addresses are counted; networks that nothing is counted of, and those that nothing is served
# to; and the function that tells a user's plan.
RATELIMITS_ENABLED = env.bool("RATELIMITS_ENABLED", default=True)
RATELIMITS_TIMEOUT = env.float("RATELIMITS_TIMEOUT", default=0.05)
RATELIMITS_PROCESSES = env.int("RATELIMITS_PROCESSES", default=1)
RATELIMITS_TRUST_FOR = env.float("RATELIMITS_TRUST_FOR", default=60.0)
RATELIMITS_IPV6_PREFIX = env.int("RATELIMITS_IPV6_PREFIX", default=64)
RATELIMITS_ALLOW = env.list("RATELIMITS_ALLOW", default=[])
RATELIMITS_DENY = env.list("RATELIMITS_DENY", default=[])
RATELIMITS_PLAN_OF = env.str("RATELIMITS_PLAN_OF", default="apps.orders.selectors.plan_of_user")
# Groups of endpoints in the order in which they are tried, each with its rules. Those without routes and
# prefixes are asked by code.
RATELIMITS_GROUPS = env.json(
    "RATELIMITS_GROUPS",
    default=[
        {"name": "exempt", "routes": ["healthz", "readyz"], "prefixes": [f"/{STATIC_URL}"], "exempt": True},
        {
            "name": "login",
            "routes": ["login", "admin:login", "sign-in"],
            "methods": ["POST"],
            "outage": "local",
            "rules": {"address": {"by": "address", "rate": "20/5m"}},
        },
        {
            "name": "login-failures",
            "outage": "local",
            "rules": {"address": {"by": "subject", "rate": "10/15m"}},
        },
        {
            "name": "login-failures-account",
            "outage": "local",
            "rules": {"account": {"by": "subject", "rate": "100/h"}},
        },
        {
            "name": "webhooks",
            "prefixes": ["/webhooks/"],
            # All users' alerts come from the same few addresses.
            "exempt_addresses": TRADINGVIEW_ADDRESSES,
            "rules": {"address": {"by": "address", "rate": "1200/m"}},
        },
        {"name": "webhook-signals", "rules": {"endpoint": {"by": "subject", "rate": "60/m"}}},
        {
            "name": "candles",
            "routes": ["candle-list", "candle-latest"],
            "cost": "apps.candles.api.cost.units",
            "rules": {
                # A unit is a thousand bars. Who reads is not looked at.
                "address": {"by": "address", "rate": "3000/m"},
            },
        },
        {
            "name": "backtests",
            "routes": ["backtest-list", "sweep-list"],
            "methods": ["POST"],
            "rules": {
                "address": {"by": "address", "rate": "300/m"},
                "failures": {"by": "address", "rate": "30/5m", "failures": True},
                "user": {"by": "user", "rate": "30/h", "plans": {"pro": "300/h"}},
            },
        },
        {
            "name": "orders",
            "routes": ["order-list"],
            "methods": ["POST"],
            "rules": {
                "address": {"by": "address", "rate": "600/m"},
                "failures": {"by": "address", "rate": "30/5m", "failures": True},
                "user": {"by": "user", "rate": "30/m", "plans": {"pro": "120/m"}},
            },
        },
        {
            "name": "default",
            "rules": {
                "address": {"by": "address", "rate": "1200/m"},
                "anonymous": {"by": "address", "rate": "120/m", "anonymous": True},
                "failures": {"by": "address", "rate": "30/5m", "failures": True},
                "user": {"by": "user", "rate": "600/m", "plans": {"pro": "1200/m"}},
                "key": {"by": "key", "rate": "600/m", "plans": {"pro": "1200/m"}},
            },
        },
    ],
)

# Exchanges: a base URL set here replaces every URL of that ccxt client.
EXCHANGE_URLS = {
    "binance": env.str("EXCHANGE_BINANCE_URL", default="") or None,
    "bybit": env.str("EXCHANGE_BYBIT_URL", default="") or None,
    "kraken": env.str("EXCHANGE_KRAKEN_URL", default="") or None,
}

# Brokers: seconds without an answer after which a request failed, and for which an accepted order may be
# invisible; slippage (basis points) of market orders on paper, and the fee there as a part of the value.
ORDERS_BROKER_TIMEOUT = env.float("ORDERS_BROKER_TIMEOUT", default=10.0)
ORDERS_BROKER_SETTLE = env.float("ORDERS_BROKER_SETTLE", default=25.0)
ORDERS_PAPER_SLIPPAGE_BPS = env.str("ORDERS_PAPER_SLIPPAGE_BPS", default="0")
ORDERS_PAPER_FEE = env.str("ORDERS_PAPER_FEE", default="0.001")

# Webhooks: bytes of the largest body, and days for which receipts and the log are kept (0: the log for ever).
WEBHOOKS_MAX_BODY = env.int("WEBHOOKS_MAX_BODY", default=16_384)
WEBHOOKS_RECEIPTS_DAYS = env.float("WEBHOOKS_RECEIPTS_DAYS", default=7.0)
WEBHOOKS_LOG_DAYS = env.float("WEBHOOKS_LOG_DAYS", default=90.0)

# Hours for which a repeated POST with an Idempotency-Key is given the first one's answer.
IDEMPOTENCY_HOURS = env.float("IDEMPOTENCY_HOURS", default=24.0)

# Where people reach this installation: the links in e-mails begin with it.
PUBLIC_URL = env.str("PUBLIC_URL", default="http://127.0.0.1:8000")

# Secrets at rest: keys of 32 bytes in base64, as `id:key`, the current first (`manage.py encryption_key`).
ENCRYPTION_KEYS = env.list("ENCRYPTION_KEYS", default=[])

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
        "tokens": {"()": "apps.webhooks.masking.TokenFilter"},
        "runs": {"()": "apps.tasks.logs.OtherThanRuns"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "lines", "filters": ["tokens"]}},
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
        "django.request": {"level": "ERROR", "filters": ["tokens"]},
    },
}
