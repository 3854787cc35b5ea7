from __future__ import annotations

import ast
import fcntl
import functools
import hashlib
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.stack.folders import CHECKOUT
from project import bootstrap, installers
from project.bootstrap import Environment, stamp_for
from tests.stack.conftest import wait_for

BASE_PYTHON = Path(getattr(sys, "_base_executable", sys.executable))


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A folder with the wheel of ``tinypackage``, which is one empty module."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    info = "tinypackage-1.0.dist-info"
    with zipfile.ZipFile(folder / "tinypackage-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tinypackage.py", "")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinypackage\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(
            f"{info}/RECORD", f"tinypackage.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"
        )
    return folder


@pytest.fixture
def environment(tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """An environment that can be installed from *wheels* alone, without any network."""
    for key in [key for key in os.environ if key.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    (tmp_path / "base.txt").write_text("tinypackage==1.0  # the only one\n")
    (tmp_path / "dev.txt").write_text("# everything\n-r base.txt  # included\n")
    return Environment(tmp_path / "venv", tmp_path / "dev.txt")


def _imports(environment: Environment, name: str) -> bool:
    return subprocess.run([environment.python, "-c", f"import {name}"], check=False).returncode == 0


def test_the_stamp_depends_on_every_requirement_and_on_python(environment: Environment) -> None:
    stamps = [stamp_for(environment.requirements, version) for version in ("3.11", "3.12")]
    (environment.requirements.parent / "base.txt").write_text("tinypackage==2.0\n")
    stamps.append(stamp_for(environment.requirements, "3.11"))
    assert len(set(stamps)) == 3


def test_an_environment_is_made_once_and_completed_when_requirements_change(environment: Environment) -> None:
    assert environment.state() == "absent"
    environment.make_ready()
    assert environment.state() == "ready"
    assert _imports(environment, "tinypackage")
    kept = environment.folder / "kept"
    kept.touch()
    environment.make_ready()
    environment.requirements.write_text("-r base.txt\n")
    assert environment.state() == "outdated"
    environment.make_ready()
    assert environment.state() == "ready"
    assert kept.exists(), "it was completed, not made anew"


def test_what_was_interrupted_begins_again(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    environment.folder.mkdir()
    (environment.folder / "rubbish").touch()
    assert environment.state() == "broken", "its creation was interrupted"
    with monkeypatch.context() as patch:
        patch.setenv("PIP_FIND_LINKS", "/nonexistent")
        with pytest.raises(installers.InstallFailed, match="tinypackage"):
            environment.make_ready()
    assert not (environment.folder / "rubbish").exists()
    assert environment.state() == "broken", "the installation into it was interrupted"
    environment.make_ready()
    assert environment.state() == "ready"
    assert _imports(environment, "tinypackage")


def test_an_environment_whose_python_is_gone_or_another_is_made_anew(environment: Environment) -> None:
    environment.make_ready()
    library = next((environment.folder / "lib").glob("python3.*"))
    library.rename(library.with_name("python3.0"))
    assert environment.state() == "broken", "its packages are another Python's"
    library.with_name("python3.0").rename(library)
    assert environment.state() == "ready"
    for path in environment.python.parent.glob("python*"):
        path.unlink()
    environment.python.symlink_to("/nonexistent/python3")
    assert environment.state() == "broken", "its Python is gone"
    environment.make_ready()
    assert _imports(environment, "tinypackage")


def test_variables_that_would_misdirect_pip_do_not_reach_it() -> None:
    given = {"PIP_TARGET": "/x", "PIP_USER": "1", "PYTHONPATH": "/y", "HOME": "/nonexistent", "PATH": "/bin"}
    clean = installers.environment(given)
    assert not {"PIP_TARGET", "PYTHONPATH"} & set(clean)
    assert clean["PIP_USER"] == "0"


def test_uv_goes_where_pip_is_configured_to_go(tmp_path: Path) -> None:
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nindex-url = https://index.example.com/simple\ncert = /of/the/firm.pem\n")
    given = {"PIP_CONFIG_FILE": str(config), "HOME": str(tmp_path)}
    clean = installers.environment(given)
    assert clean["UV_DEFAULT_INDEX"] == "https://index.example.com/simple"
    assert clean["SSL_CERT_FILE"] == "/of/the/firm.pem"
    clean = installers.environment(given | {"PIP_INDEX_URL": "https://other.example.com/simple"})
    assert clean["UV_DEFAULT_INDEX"] == "https://other.example.com/simple"
    clean = installers.environment(given | {"UV_DEFAULT_INDEX": "https://mine.example.com/simple"})
    assert clean["UV_DEFAULT_INDEX"] == "https://mine.example.com/simple"


def test_the_newest_wheel_is_chosen_from_either_kind_of_index_page() -> None:
    files = [
        {"filename": "pip-9.0.3-py2.py3-none-any.whl", "url": "a/pip-9.0.3-py2.py3-none-any.whl"},
        {"url": "../../p/pip-25.1.1-py3-none-any.whl", "hashes": {"sha256": "aa"}},
        {"url": "../../p/pip-9.9-py3-none-any.whl", "hashes": {"sha256": "bb"}},
        {"url": "../../p/pip-26.0-py3-none-any.whl", "hashes": {"sha256": "cc"}, "yanked": "broken"},
        {"url": "../../p/pip-27.0b1-py3-none-any.whl", "hashes": {"sha256": "dd"}},
        {"url": "../../p/pip-28.0-py3-none-any.whl", "hashes": {}},
    ]
    page = json.dumps({"files": files}).encode()
    links = "".join(
        f'<a href="{file["url"]}#sha256={file.get("hashes", {}).get("sha256", "")}"'  # type: ignore[attr-defined]
        f"{' data-yanked' if 'yanked' in file else ''}>x</a>\n"
        for file in files
    )
    base = "https://index.example.com/simple/pip/"
    expected = (
        "pip-25.1.1-py3-none-any.whl",
        "https://index.example.com/p/pip-25.1.1-py3-none-any.whl",
        "aa",
    )
    assert installers.newest_wheel(page, "application/vnd.pypi.simple.v1+json", base) == expected
    assert installers.newest_wheel(links.encode(), "text/html; charset=utf-8", base) == expected
    with pytest.raises(installers.InstallFailed, match="lists no pip wheel"):
        installers.newest_wheel(b'{"files": []}', "application/json", base)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing: pytest's output is for tests."""


@pytest.fixture
def index(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A package index on this machine: its URL and the page of pip, to be written."""
    page = tmp_path / "index" / "simple" / "pip"
    page.mkdir(parents=True)
    handler = functools.partial(_Quiet, directory=str(tmp_path / "index"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/simple/", page
        server.shutdown()
        thread.join()


def _bundled_pip() -> Path:
    for python in (BASE_PYTHON, Path(sys.executable)):
        answer = subprocess.run(
            [python, "-c", "import ensurepip; print(ensurepip.__path__[0])"],
            capture_output=True,
            text=True,
            check=False,
        )
        for wheel in Path(answer.stdout.strip() or os.devnull).glob("_bundled/pip-*.whl"):
            return wheel
    pytest.skip("this Python has no pip wheel of its own to serve")


def test_pip_is_fetched_from_the_configured_index_and_runs(tmp_path: Path, index: tuple[str, Path]) -> None:
    url, page = index
    wheel = _bundled_pip()
    shutil.copy(wheel, page.parent)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (page / "index.html").write_text(f'<a href="../{wheel.name}#sha256={digest}">{wheel.name}</a>')
    fetched = installers.download_pip(tmp_path, {"PIP_INDEX_URL": url, "HOME": "/nonexistent"})
    answer = subprocess.run([sys.executable, fetched / "pip", "--version"], capture_output=True, check=True)
    assert answer.stdout.startswith(b"pip ")


def test_a_pip_that_is_not_what_the_index_promises_is_refused(
    tmp_path: Path, index: tuple[str, Path]
) -> None:
    url, page = index
    (page.parent / "pip-25.0-py3-none-any.whl").write_bytes(b"something else")
    (page / "index.html").write_text(f'<a href="../pip-25.0-py3-none-any.whl#sha256={"0" * 64}">x</a>')
    with pytest.raises(installers.InstallFailed, match="its sha256 differs"):
        installers.download_pip(tmp_path, {"PIP_INDEX_URL": url, "HOME": "/nonexistent"})
    assert not (tmp_path / "pip-25.0-py3-none-any.whl").exists()


def test_two_set_ups_wait_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    (tmp_path / ".data").mkdir()
    descriptor = os.open(tmp_path / ".data" / "setup.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    entered = threading.Event()

    def second() -> None:
        with bootstrap._alone():
            entered.set()

    thread = threading.Thread(target=second)
    thread.start()
    said: list[str] = []
    wait_for(lambda: said.append(capfd.readouterr().err) or "waiting for it" in "".join(said))
    assert not entered.is_set()
    os.close(descriptor)
    thread.join(30)
    assert entered.is_set()


@pytest.fixture
def bare() -> Iterator[Path]:
    """A checkout with just what the set-up needs, where every account may look."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        shutil.copytree(CHECKOUT / "requirements", folder / "requirements")
        (folder / "project").mkdir()
        for file in ("manage.py", "project/__init__.py", "project/bootstrap.py", "project/installers.py"):
            shutil.copy(CHECKOUT / file, folder / file)
        yield folder


def _start(folder: Path, index: str, *, python: Path = BASE_PYTHON) -> subprocess.Popen[str]:
    """``manage.py demo`` in *folder* by a Python without packages, whose index is *index*."""
    environ = {
        key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "UV_", "PYTHON"))
    }
    return subprocess.Popen(
        [python, "-S", "manage.py", "demo"],
        cwd=folder,
        env=environ | {"PIP_INDEX_URL": index, "PIP_CONFIG_FILE": os.devnull, "HOME": "/nonexistent"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_an_index_that_cannot_be_reached_is_one_clear_line(bare: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # not listening: connections are refused
        process = _start(bare, f"http://127.0.0.1:{unused.getsockname()[1]}/simple")
        stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 1
    last = stderr.strip().splitlines()[-1]
    assert last.startswith("[setup")
    assert "failed: the requirements cannot be installed: the package index cannot be reached: " in last
    assert "Connection refused" in last
    assert "Traceback" not in stderr
    assert stdout == ""


def test_an_interrupted_set_up_ends_without_a_traceback(bare: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()  # accepts and never answers
        process = _start(bare, f"http://127.0.0.1:{silent.getsockname()[1]}/simple")
        silent.settimeout(60)
        connection, _ = silent.accept()
        with connection:
            os.killpg(process.pid, signal.SIGINT)
            _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in stderr
    assert "Traceback" not in stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else to try")
def test_a_checkout_that_is_not_writable_says_so(bare: Path) -> None:
    python = Path(f"/usr/bin/python3.{sys.version_info[1]}")
    if not python.exists():
        pytest.skip("there is no Python that every account can run")
    answer = subprocess.run(
        [python, "-S", "manage.py", "demo"],
        cwd=bare,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        user=65534,
        group=65534,
        extra_groups=[],
        check=False,
    )
    assert answer.returncode == 1
    assert "is not writable for this user" in answer.stderr.strip().splitlines()[-1]


def test_the_entry_point_can_be_read_by_pythons_that_are_too_old() -> None:
    ast.parse((CHECKOUT / "manage.py").read_text(), feature_version=(3, 4))


def test_a_python_that_is_too_old_is_told_so() -> None:
    old = next((path for name in ("3.10", "3.9", "3.8") if (path := shutil.which(f"python{name}"))), None)
    if old is None or subprocess.run([old, "-c", ""], check=False, capture_output=True).returncode:
        pytest.skip("there is no older Python here")
    answer = subprocess.run(
        [old, "manage.py", "demo"], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 1
    assert "needs Python 3.11 or later" in answer.stderr
