from __future__ import annotations

from django.apps import AppConfig


class BenchmarkWorkloadConfig(AppConfig):
    name = "tests.benchmarks.workload"
    label = "benchmark_workload"
