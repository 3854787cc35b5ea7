"""The append-only event store.

Write with `services.append`, read one stream with `selectors.read_stream`, read all events in a
fixed order that skips none with `followers.read_after`, rebuild state with `projections`.
"""
