"""An app of the benchmarks: tasks that do next to nothing, and leave a row."""
