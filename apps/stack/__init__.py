"""The embedded stack: PostgreSQL, Valkey, SQS, SMTP and an exchange from wheels, and who watches over them.

Two commands use all of it: ``manage.py demo`` (`apps.stack.demo`, under the supervisor) and
``manage.py test`` (`apps.stack.testrun`, one private stack for the run). Everything they keep lies under
``.data/``. A server whose variable is set in the environment (DATABASE_URL, REDIS_URL, SQS_ENDPOINT_URL,
EMAIL_URL, EXCHANGE_BINANCE_URL) is not started: the real one is used. Nothing here but the management
commands imports Django, and no other app is imported.

**For tests**, `apps.stack.testing` offers private servers and the product's own processes::

    from apps.stack.testing import EmbeddedPostgres, Relay, SqsServer, Worker

    with EmbeddedPostgres() as postgres, SqsServer(("chandlery-default",)) as sqs:
        environ = {**postgres.environ, **sqs.environ}   # DATABASE_URL; SQS_ENDPOINT_URL, AWS_…
        with Worker(environ, queues=["default"]) as worker, Relay(environ) as relay:
            worker.kill()      # SIGKILL to the worker and its pool; returns when they are gone
            worker.start()     # again, until it is ready
            sqs.kill()         # its messages are lost; clients wait in the backlog …
            sqs.start()        # … on the same port, with the queues declared, and empty

Servers: `EmbeddedPostgres`, `Valkey`, `SqsServer`, `SmtpSink` (`mails()`), `SimulatedExchange` (`url`; what
was traded on it outlives a kill). Processes, which get the given variables in addition to those of the test
run: `Worker`, `Beat`, `Relay`, `Web` (`url`).

Each is a context manager. All of them have

- ``start()``, ``stop()`` (orderly; False when it had to be killed), ``kill()`` (SIGKILL to all of its
  session; for those with a port ``kill(refuse=True)`` makes clients be refused until the next start);
- ``signal(signal.SIGSTOP)`` and the like, to the one process; ``pid`` and ``children()`` to pick a victim;
- ``wait_ended(seconds)``, ``returncode``, ``log`` (what it said since its last start), ``environ``.

``start()`` raises `StartFailed` with the end of the log. A folder may be given, whose data then stay;
otherwise it is a temporary one. On Linux everything dies with the thread that started it, so start it from
the test's own.
"""
