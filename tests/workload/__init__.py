"""An app of the test run: tasks with effects that can be counted."""
