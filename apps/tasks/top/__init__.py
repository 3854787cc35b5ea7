"""`manage.py top`: the tasks, live in a terminal."""
