"""Rate limits: policies, the limiter, and the middleware in front of everything.

Code that has something to limit asks a scope, a group of rules without endpoints:
``scope("webhook-signals").hit("endpoint", id)``.
"""
