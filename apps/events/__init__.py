"""The append-only event store.

Write with `services.append`, read one stream with `selectors.read_stream`, read all events in a
fixed order that skips none with `followers`, rebuild state with `projections`. What is done to the store
as a whole is in `archive`, `integrity` and `rebasing`, and all of it in ``manage.py events``.
"""
