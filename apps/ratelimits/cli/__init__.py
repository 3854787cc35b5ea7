"""What ``manage.py ratelimits`` does, one module for each of its commands."""
