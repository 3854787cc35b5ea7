"""What `manage.py tasks` and `manage.py top` take and print."""
