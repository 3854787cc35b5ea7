"""The bound of what is stored: integers that a float64 holds exactly."""

from __future__ import annotations

#: Integers below this, in either direction, are exact as float64.
LIMIT = 2**53


class ScaleOverflow(ValueError):
    """At the instrument's scale a value needs 2^53 or more, where float64 stops being exact.

    Nothing was changed.
    """
