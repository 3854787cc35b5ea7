"""What the README tells a newcomer to type, as a newcomer types it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

#: Fenced blocks: what follows the fence, and what is in it.
_BLOCK = re.compile(r"^```(\S+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(text: str, language: str) -> list[tuple[str, str]]:
    """The blocks of that language, in their order: the file that each is to be, if any, and what is in it."""
    return [(file, body) for kind, file, body in _BLOCK.findall(text) if kind == language]


def chapters(*titles: str, of: Path) -> str:
    """The text of these chapters of a page (``## …``), in the page's order."""
    parts = re.split(r"^(?=## )", of.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = [part for part in parts if part.startswith(tuple(f"## {title}\n" for title in titles))]
    assert len(found) == len(titles), titles
    return "".join(found)


def write_files(text: str, folder: Path) -> None:
    """Write the files that the text shows into *folder*."""
    for name, body in blocks(text, "python"):
        if name:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(body, encoding="utf-8")


def run(text: str, folder: Path, environ: Mapping[str, str], *, base: str) -> str:
    """Type all commands of the text into one shell in *folder*; what it shows. Raises where one fails.

    *base* is where the product is reached, in place of the address that the text has.
    """
    script = "\n".join(body for _, body in blocks(text, "sh")).replace("http://127.0.0.1:8000", base)
    path = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    answer = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={**environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout
    return answer.stdout
