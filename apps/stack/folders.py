"""Where the stack keeps things: everything of one profile lies under ``.data/<profile>``.

Two things may have to lie elsewhere: sockets, when the checkout's path is too long for a socket's
address, and what another account must reach, when the checkout lies in a folder closed to it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from apps.stack.errors import StackError
from apps.stack.privileges import Account, can_enter

CHECKOUT = Path(__file__).resolve().parents[2]

SOCKET_PATH_MAX = 107 if sys.platform.startswith("linux") else 103
_POINTER = "elsewhere"
_NOTE = "made-for"
_LONGEST_SOCKET = "/pg/.s.PGSQL.5432"
# PostgreSQL reads its socket folder as a comma-separated list with quotes.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._/+-]+")
_OUTSIDE = (Path("/var/lib"), Path("/var/tmp"), Path("/tmp"))  # noqa: S108  (owner and mode are checked)
_SOCKETS = Path("/tmp")  # noqa: S108  (likewise)


def _short_name(path: Path) -> str:
    """A name for things of *path* that lie elsewhere; the same for the same path and user."""
    digest = hashlib.sha256(f"{os.geteuid()}:{path}".encode()).hexdigest()
    return f"chandlery-{digest[:12]}"


def own_folder(path: Path, *, mode: int = 0o700, account: Account | None = None) -> Path:
    """Create the folder *path* with *mode*, given to *account*; its parent must exist.

    One that exists is taken over only when it is a real folder that belongs to us or to *account*, so
    that nobody else can have put it into a shared place such as /tmp beforehand.

    Raises StackError otherwise, and when it cannot be made.
    """
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        entry = path.lstat()
        owners = {os.geteuid()} | ({account.uid} if account else set())
        if not stat.S_ISDIR(entry.st_mode) or entry.st_uid not in owners:
            raise StackError(
                f"{path} exists and is not a folder of this user (its owner has the number {entry.st_uid}). "
                "Remove it, or run this as its owner."
            ) from None
    except OSError as error:
        raise StackError(f"the folder {path} cannot be made: {error.strerror}") from error
    if account is not None and path.lstat().st_uid != account.uid:
        os.chown(path, account.uid, account.gid)
    if stat.S_IMODE(path.lstat().st_mode) != mode:
        path.chmod(mode)
    return path


@dataclass(frozen=True, kw_only=True)
class Folders:
    """The places of one profile.

    *root* holds data, logs and notes; *sockets* the unix sockets; *shared* is where data lies that
    *account* must reach: *root* itself unless that is closed to it.
    """

    root: Path
    sockets: Path
    shared: Path
    account: Account | None

    def data(self, name: str) -> Path:
        """The folder *name* for data of our own, made when absent."""
        return own_folder(self.root / name)

    def log(self, name: str) -> Path:
        """The path of the log of process *name*."""
        return own_folder(self.root / "log") / f"{name}.log"

    def socket(self, name: str) -> Path:
        """The path of the unix socket *name*."""
        return self.sockets / name

    def remove(self) -> None:
        """Delete all of it, data included."""
        for folder in {self.shared, self.sockets, self.root}:
            shutil.rmtree(folder, ignore_errors=True)


def remove_tree(folder: Path) -> None:
    """Delete *folder* with the profiles that lie directly in it, and what they keep elsewhere."""
    for root in [path.resolve() for path in folder.iterdir() if path.is_dir()]:
        for base in {*_OUTSIDE, _SOCKETS}:
            shutil.rmtree(base / _short_name(root), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def _elsewhere(base: Path, path: Path, *, mode: int) -> Path:
    """A folder in *base* named after *path*, with a note of *path* for `_sweep`."""
    folder = own_folder(base / _short_name(path), mode=mode)
    (folder / _NOTE).write_bytes(os.fsencode(path))
    return folder


def _sweep(base: Path) -> None:
    """Delete the folders in *base* that were made for places that are gone, such as a deleted checkout."""
    for note in base.glob(f"chandlery-*/{_NOTE}"):
        folder = note.parent
        try:
            ours = folder.lstat().st_uid == note.lstat().st_uid == os.geteuid()
            path = Path(os.fsdecode(note.read_bytes()))
        except OSError:
            continue
        in_use = any((folder / name).exists() for name in ("postgres/postmaster.pid", "pg/.s.PGSQL.5432"))
        if ours and not in_use and folder.name == _short_name(path) and not path.exists():
            shutil.rmtree(folder, ignore_errors=True)


def _outside(path: Path, account: Account) -> Path:
    """A folder named after *path* that *account* can enter: in /var/lib, else where temporary files go."""
    for base in _OUTSIDE:
        if can_enter(base, account) and os.access(base, os.W_OK):
            _sweep(base)
            return _elsewhere(base, path, mode=0o711)
    raise StackError(
        f"{path} lies in a folder that the account '{account.name}' may not enter, and PostgreSQL refuses to "
        f"run as root; none of {', '.join(map(str, _OUTSIDE))} can hold its data either. Move the checkout "
        "to a folder that everyone may enter, or run this as an ordinary user."
    )


def binaries_home(account: Account) -> Path:
    """A folder for copies of binaries that *account* must reach, shared by all profiles of this checkout."""
    return _outside(CHECKOUT, account)


def prepare(root: Path, *, account: Account | None = None) -> Folders:
    """Make the folders of the profile at *root* (its parent must exist) and say where they are.

    *account* is who PostgreSQL runs as when that is not us.
    """
    root = own_folder(root, mode=0o711 if account else 0o700).resolve()
    shared = root
    if account is not None and not can_enter(root, account):
        shared = _outside(root, account)
        pointer = root / _POINTER
        if pointer.is_symlink():
            pointer.unlink()
        else:
            # Whatever is there belongs to a profile that was deleted, or to an earlier clone.
            shutil.rmtree(shared)
            shared = _outside(root, account)
        pointer.symlink_to(shared)
    sockets = shared / "s"
    if len(os.fsencode(sockets)) + len(_LONGEST_SOCKET) > SOCKET_PATH_MAX or not _PLAIN_PATH.fullmatch(
        str(sockets)
    ):
        _sweep(_SOCKETS)
        sockets = _elsewhere(_SOCKETS, root, mode=0o711 if account else 0o700)
    else:
        own_folder(sockets, mode=0o711 if account else 0o700)
    return Folders(root=root, sockets=sockets, shared=shared, account=account)


def data_home() -> Path:
    """``.data`` of this checkout, made when absent.

    Raises StackError when the checkout is not writable.
    """
    home = CHECKOUT / ".data"
    if not home.exists() and not os.access(CHECKOUT, os.W_OK):
        raise StackError(
            f"{CHECKOUT} is not writable, and everything the stack keeps lies in its .data folder"
        )
    home.mkdir(mode=0o755, exist_ok=True)
    if not os.access(home, os.W_OK):
        raise StackError(
            f"{home} is not writable for this user: it was made by another one. "
            "Run this as that user, or remove it."
        )
    return home
