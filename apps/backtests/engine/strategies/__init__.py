"""The built-in strategies, by name, and strategies from anything that describes one.

The built-ins are the files ``*.strategy`` beside this module, in the text form of the language.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apps.backtests.engine.errors import SpecError
from apps.backtests.engine.language.checking import suggestion
from apps.backtests.engine.language.parameters import NAME
from apps.backtests.engine.language.text import read
from apps.backtests.engine.strategies.base import Level, Signals, Strategy, of_document


def of_text(text: str, *, defaults: bool = True) -> Strategy:
    """As ``strategy_of``, of *text*, the text form of a document. Errors name the line, too."""
    document, lines = read(text)
    try:
        return of_document(document, defaults=defaults)
    except SpecError as error:
        path = error.field.removeprefix("strategy.")
        while path and path not in lines:
            path = path.rpartition(".")[0]
        if not path:
            raise
        message = f"{error.message} (line {lines[path]} of the text)"
        raise SpecError(error.field, message, position=error.position, suggestion=error.suggestion) from None


def strategy_of(value: str | Mapping[str, Any], *, defaults: bool = True) -> Strategy:
    """The strategy that *value* names or is: a built-in's name, a document, or its text form.

    It runs with the defaults of its parameters where all have one; without *defaults* that is not asked for,
    as of a document that is that of a strategy with replaced blocks.

    Raises:
        SpecError: for ``strategy`` or a field below it, with position and suggestion where there are any.
    """
    if isinstance(value, Mapping):
        return of_document(value, defaults=defaults)
    if not isinstance(value, str):
        raise SpecError("strategy", "must be a name, a strategy document or its text form")
    if "\n" in value or "\r" in value or not NAME.fullmatch(value[:100]):
        return of_text(value, defaults=defaults)
    if value not in STRATEGIES:
        guess = suggestion(value, STRATEGIES)
        message = f"must be one of {', '.join(STRATEGIES)}"
        if guess:
            message += f"; did you mean '{guess}'?"
        raise SpecError("strategy", message, suggestion=guess)
    return STRATEGIES[value]


def _built_in() -> dict[str, Strategy]:
    files = sorted(Path(__file__).parent.glob("*.strategy"))
    found = {}
    for file in files:
        strategy = of_text(file.read_text(encoding="utf-8"))
        assert strategy.name == file.stem, f"{file.name} describes {strategy.name}"
        found[strategy.name] = strategy
    # The plainest comes first, as it does in every list.
    return {"sma_cross": found.pop("sma_cross"), **found}


STRATEGIES: dict[str, Strategy] = _built_in()

__all__ = ["STRATEGIES", "Level", "Signals", "Strategy", "of_text", "strategy_of"]
