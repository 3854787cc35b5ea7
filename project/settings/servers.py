"""The servers that processes use: PostgreSQL, Redis, SQS, e-mail, exchanges."""

from __future__ import annotations

from urllib.parse import unquote

from apps.core import process
from project.settings.environment import env

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

# Amazon SQS, or any server that speaks it. Credentials are found by boto3 as usual.
SQS_ENDPOINT_URL = env.str("SQS_ENDPOINT_URL", default="") or None
SQS_REGION = env.str("AWS_REGION", default="us-east-1")
SQS_QUEUE_PREFIX = env.str("SQS_QUEUE_PREFIX", default="chandlery-")
# Off where the queues are made by infrastructure code and the process may not create any.
SQS_CREATE_QUEUES = env.bool("SQS_CREATE_QUEUES", default=True)
SQS_WAIT_TIME = env.int("SQS_WAIT_TIME", default=10)
SQS_VISIBILITY_TIMEOUT = env.int("SQS_VISIBILITY_TIMEOUT", default=120)
SQS_MAX_RECEIVES = env.int("SQS_MAX_RECEIVES", default=5)

EMAIL_CONFIG = env.email_url("EMAIL_URL", default="smtp://127.0.0.1:25")
vars().update(EMAIL_CONFIG)
# Another backend of Django's than EMAIL_URL says, by its dotted path, and what it is made with (JSON).
EMAIL_BACKEND = env.str("EMAIL_BACKEND", default="") or EMAIL_CONFIG["EMAIL_BACKEND"]
EMAIL_BACKEND_OPTIONS = env.json("EMAIL_BACKEND_OPTIONS", default={})
# Seconds without an answer of the mail server. Too few, and it may take mails that are then sent again.
EMAIL_TIMEOUT = env.float("EMAIL_TIMEOUT", default=60.0)
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="Chandlery <chandlery@localhost>")

# Exchanges: a base URL set here replaces every URL of that ccxt client.
EXCHANGE_URLS = {
    "binance": env.str("EXCHANGE_BINANCE_URL", default="") or None,
    "bybit": env.str("EXCHANGE_BYBIT_URL", default="") or None,
    "kraken": env.str("EXCHANGE_KRAKEN_URL", default="") or None,
}
