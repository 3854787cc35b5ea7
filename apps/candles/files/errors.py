"""Files that cannot be taken as candles."""

from __future__ import annotations


class UnreadableFile(ValueError):
    """A file that holds no candles in any form known here, is damaged, or breaks a limit.

    The message names the file and says what was seen. Batches that came before it are good.
    """

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")
        self.name = name
        self.problem = problem


class AmbiguousFile(UnreadableFile):
    """A file that may mean more than one thing. The argument *option* of `read_minutes` settles it."""

    def __init__(self, name: str, problem: str, *, option: str) -> None:
        super().__init__(name, f"{problem} ({option}= settles it)")
        self.option = option
