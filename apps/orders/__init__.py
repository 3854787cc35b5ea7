"""Accounts, orders, brokers, and the verification of fills."""
