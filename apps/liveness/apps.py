from __future__ import annotations

from django.apps import AppConfig


class LivenessConfig(AppConfig):
    name = "apps.liveness"
    label = "liveness"
    verbose_name = "Liveness"

    def ready(self) -> None:
        from django.core import checks

        from apps.core.collectors import database, registry
        from apps.core.readiness import Probe, readiness
        from apps.events import projections
        from apps.liveness import populations
        from apps.liveness.checks import check_times
        from apps.liveness.metrics import MemberCollector, OrphanCollector
        from apps.liveness.projection import WorkerSessions
        from apps.liveness.redis import ping
        from apps.liveness.workers import TradingWorkers

        projections.register(WorkerSessions())
        populations.register(TradingWorkers())
        registry.register(MemberCollector())
        database.register("liveness", OrphanCollector())
        checks.register(check_times)
        # Without Redis the database says who is alive, and limits are what their groups have for that.
        readiness.register(Probe(name="redis", ask=ping, essential=False))
