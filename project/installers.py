"""Ways to put the requirements into a virtual environment, tried in the order of their speed."""

from __future__ import annotations

import configparser
import hashlib
import html.parser
import importlib.metadata
import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

Say = Callable[[str], None]
_WHEEL = re.compile(r"pip-(\d+(?:\.\d+)+)-py3-none-any\.whl")
_PIP_WITH_PYTHON_OPTION = (22, 3)
_PYPI = "https://pypi.org/simple"
_FORMATS = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"
_BROKEN = re.compile("after connection broken by '(.{1,300}?)': /")
_NETWORK = re.compile(
    r"(connection|timed? ?out|resolve|resolution|unreachable|dns error|ssl|certificate|proxy|could not fetch|"
    r"failed to fetch|error sending request|http status|40[0-9] |50[0-9] )",
    re.IGNORECASE,
)


class InstallFailed(Exception):
    """Nothing could install the requirements; the text is one line for the person at the terminal."""


def settings(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """How pip is configured: its files, from the least to the most important, then its variables.

    Keys are pip's long options with dashes, such as ``index-url``.
    """
    home = Path(environ.get("HOME", "/nonexistent"))
    config_home = Path(environ.get("XDG_CONFIG_HOME", home / ".config"))
    files = [Path("/etc/pip.conf"), home / ".pip" / "pip.conf", config_home / "pip" / "pip.conf"]
    files += [Path(sys.prefix) / "pip.conf", Path(environ.get("PIP_CONFIG_FILE", os.devnull))]
    found: dict[str, str] = {}
    for path in files:
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue
        for section in ("global", "install"):
            if parser.has_section(section):
                found |= {key.replace("_", "-"): value for key, value in parser.items(section)}
    for key, value in environ.items():
        if key.startswith("PIP_"):
            found[key[4:].lower().replace("_", "-")] = value
    return found


def environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What pip and uv run with: pip's index and certificates also for uv, and nothing that redirects them."""
    dropped = {"PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_REQUIRE_VIRTUALENV"}
    clean = {key: value for key, value in environ.items() if key not in dropped}
    configured = settings(environ)
    clean |= {"PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    if "index-url" in configured:
        clean.setdefault("UV_DEFAULT_INDEX", configured["index-url"].strip())
    if "cert" in configured:
        clean.setdefault("SSL_CERT_FILE", configured["cert"].strip())
    return clean


def _run(arguments: Sequence[str | Path]) -> str | None:
    """Run a program silently: None when it succeeded, else what it said."""
    try:
        answer = subprocess.run(
            arguments,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
    except OSError as error:
        return str(error)
    output = answer.stdout.decode("utf-8", errors="replace")
    return None if answer.returncode == 0 else output or f"status {answer.returncode}"


def reason(output: str) -> str:
    """The line of *output* that says most about why an installation failed."""
    if broken := _BROKEN.search(output):
        # pip itself ends with "No matching distribution found", as if the index had none.
        return f"the package index cannot be reached: {re.sub('<[^>]*>: ', '', broken[1])}"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for wanted in (_NETWORK, re.compile("^error", re.IGNORECASE)):
        for line in lines:
            if wanted.search(line):
                return line[:300]
    return lines[-1][:300] if lines else "no reason given"


class _Links(html.parser.HTMLParser):
    """Collects the addresses of an index page in HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        href = attributes.get("href")
        if tag == "a" and href and "data-yanked" not in attributes:
            self.found.append(href)


def newest_wheel(page: bytes, kind: str, base: str) -> tuple[str, str, str]:
    """File name, address and sha256 of the newest pip wheel on an index page of content type *kind*.

    Raises InstallFailed when it lists none with a sha256.
    """
    wheels: dict[tuple[int, ...], tuple[str, str, str]] = {}
    if "json" in kind:
        files = [entry for entry in json.loads(page)["files"] if not entry.get("yanked")]
        offers = [(entry["url"], entry.get("hashes", {}).get("sha256", "")) for entry in files]
    else:
        links = _Links()
        links.feed(page.decode("utf-8", errors="replace"))
        offers = []
        for href in links.found:
            address, _, fragment = href.partition("#")
            offers.append((address, fragment.removeprefix("sha256=") if "sha256=" in fragment else ""))
    for address, digest in offers:
        name = urllib.parse.unquote(address.rpartition("/")[2])
        if digest and (match := _WHEEL.fullmatch(name)):
            version = tuple(map(int, match[1].split(".")))
            wheels[version] = (name, urllib.parse.urljoin(base, address), digest)
    if not wheels:
        raise InstallFailed(f"{base} lists no pip wheel")
    return wheels[max(wheels)]


def _get(address: str, certificates: str | None) -> tuple[bytes, str, str]:
    """Content, content type and final address of *address*."""
    request = urllib.request.Request(address, headers={"Accept": _FORMATS})  # noqa: S310  (pip's own index)
    context = ssl.create_default_context(cafile=certificates)
    with urllib.request.urlopen(request, timeout=60, context=context) as answer:  # noqa: S310
        return answer.read(), answer.headers.get("Content-Type", ""), answer.url


def download_pip(folder: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """pip's newest wheel from the index that pip is configured for, its sha256 checked, put into *folder*."""
    configured = settings(environ)
    index = configured.get("index-url", _PYPI).strip().rstrip("/")
    certificates = configured.get("cert") or environ.get("SSL_CERT_FILE")
    try:
        name, address, digest = newest_wheel(*_get(f"{index}/pip/", certificates))
        content = _get(address, certificates)[0]
    except (OSError, ValueError, KeyError) as error:
        raise InstallFailed(f"pip cannot be fetched from {index}: {error}") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise InstallFailed(f"{address} is not what its index promises: its sha256 differs")
    wheel = folder / name
    wheel.write_bytes(content)
    return wheel


def _outer_pip() -> tuple[int, ...]:
    """The version of this interpreter's own pip; empty when it has none."""
    try:
        version = importlib.metadata.version("pip")
    except importlib.metadata.PackageNotFoundError:
        return ()
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def find_pip(python: Path, folder: Path, say: Say) -> list[str | Path]:
    """The beginning of a command line that runs pip for the virtual environment of *python*.

    Its own pip, the one of this interpreter, the one that ensurepip unpacks, or else one that is downloaded
    into *folder*.
    """
    own: list[str | Path] = [python, "-I", "-m", "pip"]
    if _run([*own, "--version"]) is None:
        return own
    if _outer_pip() >= _PIP_WITH_PYTHON_OPTION:
        return [sys.executable, "-m", "pip", "--python", python]
    if _run([python, "-I", "-m", "ensurepip"]) is None:
        return own
    say("this Python has neither pip nor ensurepip: fetching pip's own wheel")
    wheel = download_pip(folder)
    return [python, wheel / "pip"]


def install(python: Path, requirements: Path, *, say: Say) -> None:
    """Put *requirements* into the virtual environment of *python*: by uv, else by pip.

    Raises InstallFailed when neither can.
    """
    with tempfile.TemporaryDirectory(prefix="chandlery-setup-") as folder:
        pip = find_pip(python, Path(folder), say)
        uv = python.with_name("uv")
        common: list[str | Path] = ["pip", "install", "--python", python, "-r", requirements]
        say("fetching uv, the faster installer")
        failure = _run([*pip, "install", "--quiet", "--retries", "1", "uv>=0.5"])
        if failure is None:
            say("installing the requirements with uv")
            failure = _run([uv, *common])
            if failure is None:
                return
            say(f"uv failed ({reason(failure)}): trying it without its cache")
            failure = _run([uv, "--no-cache", *common])
            if failure is None:
                return
        say(f"without uv ({reason(failure)}): installing with pip, which may take a minute")
        failure = _run([*pip, "install", "--quiet", "--retries", "1", "-r", requirements])
        if failure is not None:
            raise InstallFailed(f"the requirements cannot be installed: {reason(failure)}")
