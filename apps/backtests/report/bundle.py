"""Modules put into one classic script, which a page's policy can name by a hash."""

from __future__ import annotations

import re
from collections.abc import Mapping

_IMPORT = re.compile(r'^import (?:\{([^}]*)\} from )?"([^"]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?function|class|const) (\w+)", re.MULTILINE)
_LIST = re.compile(r"\bexport ?\{([^}]*)\};?\s*$")
_NAMED = re.compile(r"(\S+) as (\S+)")


def bundled(modules: Mapping[str, str], main: str) -> str:
    """What the module *main* does, with all that it imports, as the text of a classic script.

    *modules* are texts by their file names, which are what imports are told apart by. They import named
    things only, and export declarations or, at their end, a list. Raises `ValueError` for anything else, for
    a module that there is none of, and where modules import each other in a circle.
    """
    ordered: dict[str, str] = {}
    _add(modules, main, ordered, ())
    return '(() => {\n"use strict";\nconst modules = {};\n' + "".join(ordered.values()) + "})();"


def _add(modules: Mapping[str, str], name: str, ordered: dict[str, str], path: tuple[str, ...]) -> None:
    """Put a module behind all that it imports."""
    if name in path or name not in modules:
        raise ValueError(f"{' imports '.join((*path, name))}, which cannot be")
    if name in ordered:
        return
    code = modules[name]
    for _, imported in _IMPORT.findall(code):
        _add(modules, _file(imported), ordered, (*path, name))
    given = [one for _, one in _EXPORT.findall(code)]
    code = _EXPORT.sub(r"\1 \2", _IMPORT.sub(_taken, code))
    if (found := _LIST.search(code)) is not None:
        given += [_NAMED.sub(r"\2: \1", one.strip()) for one in found[1].split(",")]
        code = code[: found.start()]
    if re.search(r"^(?:import|export)\b", code, re.MULTILINE):
        raise ValueError(f"{name} imports or exports in a way that is not known")
    ordered[name] = f'modules["{name}"] = (() => {{\n{code}\nreturn {{ {", ".join(given)} }};\n}})();\n'


def _taken(found: re.Match[str]) -> str:
    """An import as a declaration."""
    if found[1] is None:
        return ""
    names = _NAMED.sub(r"\1: \2", found[1])
    return f'const {{{names}}} = modules["{_file(found[2])}"];\n'


def _file(address: str) -> str:
    return address.rpartition("/")[2]
