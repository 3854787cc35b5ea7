"""Accounts, orders, positions and fills over HTTP."""
