"""Periodic tasks: entries, their schedules, and how beat turns ticks into runs."""
