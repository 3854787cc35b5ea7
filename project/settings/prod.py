"""A server. Refuses to start without what only its operator can know, and says all of it at once."""

from __future__ import annotations

from .environment import env

env.demand(
    *("SECRET_KEY", "ENCRYPTION_KEYS", "ALLOWED_HOSTS", "PUBLIC_URL", "DATABASE_URL", "REDIS_URL"),
    "AWS_REGION|SQS_ENDPOINT_URL",
)

from .base import *  # noqa: E402, F403
from .base import LOGGING, SECRET_KEY  # noqa: E402

if "SECRET_KEY" not in env.faults and (
    len(SECRET_KEY) < 50
    or len(set(SECRET_KEY)) < 10
    or any(word in SECRET_KEY.lower() for word in ("insecure", "changeme", "change-me", "development"))
):
    # Sessions and links in mails are signed with it.
    env.faults |= {"SECRET_KEY": "known or easy to guess: it takes 50 random characters at least"}

LOG_FORMAT = env.str("LOG_FORMAT", default="json")
LOGGING["formatters"]["lines"]["form"] = LOG_FORMAT
API_BASIC_AUTH = env.bool("API_BASIC_AUTH", default=False)
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=True)
SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=31_536_000)
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.bool("SECURE_HSTS_INCLUDE_SUBDOMAINS", default=True)
SECURE_HSTS_PRELOAD = env.bool("SECURE_HSTS_PRELOAD", default=False)
SILENCED_SYSTEM_CHECKS = [
    # Being preloaded into browsers can hardly be taken back, and is for a domain's owner to decide.
    "security.W021",
]
# False for a try on the own machine without TLS: not every browser takes such cookies there.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env.bool("SECURE_COOKIES", default=True)
if SESSION_COOKIE_SECURE:
    # Such a cookie can have been set by this host alone, over TLS, and by none of its subdomains.
    SESSION_COOKIE_NAME = "__Host-sessionid"
    CSRF_COOKIE_NAME = "__Host-csrftoken"

env.settle()
