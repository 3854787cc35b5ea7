#!/bin/sh
# What a container runs: `web`, `worker`, `beat`, `relay`, `setup`, or any command of manage.py, as `migrate`. What
# else is given goes to it: `worker -Q backtests -c 4`. Each replaces this shell, so that signals reach it.
set -eu

kind=${1:-web}
[ $# -eq 0 ] || shift

case "$kind" in
web)
    exec gunicorn --config python:project.gunicorn "$@" project.wsgi:application
    ;;
asgi)
    exec gunicorn --config python:project.gunicorn --worker-class uvicorn_worker.UvicornWorker "$@" project.asgi:application
    ;;
worker)
    # Over SQS workers do not talk to each other, and the database knows who is alive.
    exec celery -A project worker --loglevel "${LOG_LEVEL:-INFO}" \
        --without-gossip --without-mingle --without-heartbeat "$@"
    ;;
beat)
    # Its state is in the database; a file of its process id would outlive a killed container.
    exec celery -A project beat --loglevel "${LOG_LEVEL:-INFO}" --pidfile "" "$@"
    ;;
relay)
    exec python manage.py relay "$@"
    ;;
secrets)
    exec python docker/make_secrets.py "$@"
    ;;
setup)
    # Before anything else of a new version starts: migrations, and the first account.
    exec python manage.py ensure_admin --migrate --keep "$@"
    ;;
*)
    exec python manage.py "$kind" "$@"
    ;;
esac
