"""How requests are taken and answered: proxies, origins, files, policies of pages, the API, signing in."""

from __future__ import annotations

from corsheaders.defaults import default_headers
from csp.constants import NONE, SELF

from project.settings.environment import env

# Where people reach this installation: the links in e-mails begin with it.
PUBLIC_URL = env.str("PUBLIC_URL", default="http://127.0.0.1:8000")

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

# Who may say which address a request comes from: networks, and `unix` for connections over a unix socket. And
# the one header that it is believed in: `x-forwarded-for` or `forwarded` (RFC 7239).
TRUSTED_PROXIES = env.list("TRUSTED_PROXIES", default=[])
FORWARDED_HEADER = env.str("FORWARDED_HEADER", default="x-forwarded-for")
# Written by SchemeMiddleware alone, for those proxies: a client's header is never found under it.
SECURE_PROXY_SSL_HEADER = ("FORWARDED_SCHEME", "https")
# Who asks for the health or the figures of a process asks it by its own address, without TLS.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]

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

CSRF_FAILURE_VIEW = "apps.core.problems.csrf_failure"
# Where people sign in who are no staff, and what follows where nothing else does.
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "landing"

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
        "apps.core.examples.show",
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

# Hours for which a repeated POST with an Idempotency-Key is given the first one's answer.
IDEMPOTENCY_HOURS = env.float("IDEMPOTENCY_HOURS", default=24.0)
