"""A trading worker: ``python -m tests.faults.trading_worker USER``. Writes whenever its session lets it."""

from __future__ import annotations

import sys
import time

import django


def main(user_id: int) -> None:
    """Write under guard every few milliseconds until fenced; then say so and end."""
    django.setup()
    from apps.liveness.client import Heartbeat
    from apps.liveness.errors import Fenced
    from tests.workload.models import Effect, Start

    with Heartbeat(user_id=user_id, worker="test") as heart:
        Start.objects.create(name="trading", pid=heart.token)
        try:
            while True:
                with heart.guard():
                    Effect.objects.create(name=f"token {heart.token}", attempt=1)
                    # Stopped here, it has written and not committed.
                    time.sleep(0.02)
        except Fenced as exc:
            print(f"fenced: {exc}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
