"""Small charts as the numbers of an inline SVG: nothing that a page's policy would have to allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: Of every drawing; its width is the number of its columns, or of the steps of its line.
HEIGHT = 24.0
#: So that a line of one's own width is not cut off.
_MARGIN = 1.0


@dataclass(frozen=True, kw_only=True)
class Block:
    """A piece of a column, of one colour. From the top of the drawing."""

    tone: str
    y: float
    height: float


@dataclass(frozen=True, kw_only=True)
class Column:
    """What one moment adds to a chart of bars."""

    x: int
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, kw_only=True)
class Bars:
    """Columns of equal scale, the first part at the bottom."""

    label: str
    columns: Sequence[Column]
    #: What the full height stands for.
    peak: int
    height: float = HEIGHT

    @property
    def width(self) -> int:
        return len(self.columns)


def bars(label: str, tones: Sequence[str], columns: Sequence[tuple[str, Sequence[int]]]) -> Bars:
    """Columns, each a title and a number for each of *tones*; the highest has the full height."""
    peak = max((sum(numbers) for _, numbers in columns), default=0)
    scale = HEIGHT / peak if peak else 0.0
    drawn = []
    for x, (title, numbers) in enumerate(columns):
        top, blocks = HEIGHT, []
        for tone, number in zip(tones, numbers, strict=True):
            if number:
                top -= number * scale
                blocks.append(Block(tone=tone, y=round(top, 2), height=round(number * scale, 2)))
        drawn.append(Column(x=x, title=title, blocks=blocks))
    return Bars(label=label, columns=drawn, peak=peak)


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A part of a horizontal whole, in per cent."""

    tone: str
    x: float
    width: float
    title: str


def pieces(parts: Sequence[tuple[str, str, int]]) -> list[Piece]:
    """Tones, titles and numbers as parts of one bar; those of nothing are left out."""
    total, x, drawn = sum(number for *_, number in parts), 0.0, []
    for tone, title, number in parts:
        if number:
            width = 100 * number / total
            drawn.append(Piece(tone=tone, x=round(x, 2), width=round(width, 2), title=f"{number:,} {title}"))
            x += width
    return drawn
