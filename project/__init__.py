"""Settings, URLs and the entry points of every process."""
