"""Which account PostgreSQL runs as: it refuses to run as root.

Nothing here creates an account or changes the mode of a folder that exists.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from apps.stack.errors import StackError


@dataclass(frozen=True, kw_only=True)
class Account:
    """An account of this system to drop to, with all its groups."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]


def by_uid(uid: int) -> Account | None:
    """The account with number *uid*; None when the system does not list it (initdb needs it listed)."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return None
    return _account(entry)


def by_name(name: str) -> Account | None:
    """The account called *name*, or None."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return _account(entry)


def _account(entry: pwd.struct_passwd) -> Account:
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid, groups=groups)


def choose(
    *,
    euid: int,
    owner_uid: int,
    environ: Mapping[str, str],
    find_uid: Callable[[int], Account | None] = by_uid,
    find_name: Callable[[str], Account | None] = by_name,
) -> Account | None:
    """The account to drop to, or None to stay what we are.

    An ordinary user stays himself. Root becomes the owner of the checkout, else whoever called sudo,
    else ``nobody``: the first of them that is not root and that the system lists.

    Raises StackError when root finds none of them.
    """
    if euid != 0:
        return None
    numbers = [owner_uid]
    if environ.get("SUDO_UID", "").isdecimal():
        numbers.append(int(environ["SUDO_UID"]))
    for number in numbers:
        if number != 0 and (account := find_uid(number)) is not None:
            return account
    account = find_name("nobody")
    if account is None or account.uid == 0:
        raise StackError(
            "PostgreSQL refuses to run as root, and this system has no account to run it as: the checkout "
            "belongs to root and there is no account called 'nobody'. Run this as an ordinary user."
        )
    return account


def for_checkout(checkout: Path) -> Account | None:
    """`choose` for this process and *checkout*."""
    return choose(euid=os.geteuid(), owner_uid=checkout.stat().st_uid, environ=os.environ)


def _allows(path: Path, account: Account, bits: int) -> bool:
    """Whether the mode of *path* gives *account* the permission *bits* (4 read, 2 write, 1 enter)."""
    entry = path.stat()
    if entry.st_uid == account.uid:
        shift = 6
    elif entry.st_gid in account.groups or entry.st_gid == account.gid:
        shift = 3
    else:
        shift = 0
    return (stat.S_IMODE(entry.st_mode) >> shift) & bits == bits


def can_read(path: Path, account: Account) -> bool:
    """Whether *account* can reach and read *path* (and list it, when it is a folder), going by modes.

    False when it does not exist.
    """
    try:
        path = path.resolve(strict=True)
        if not all(_allows(parent, account, 1) for parent in path.parents):
            return False
        return _allows(path, account, 5 if path.is_dir() else 4)
    except OSError:
        return False


def can_enter(path: Path, account: Account) -> bool:
    """Whether *account* can reach things inside the folder *path* whose names it knows, going by modes."""
    try:
        path = path.resolve(strict=True)
        return all(_allows(folder, account, 1) for folder in (path, *path.parents))
    except OSError:
        return False
