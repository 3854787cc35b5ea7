"""Logins, passwords and keys over HTTP."""
