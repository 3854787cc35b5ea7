from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from apps.stack.errors import StackError
from apps.stack.privileges import Account, can_enter, can_read, choose

ALICE = Account(name="alice", uid=1000, gid=1000, groups=(1000, 50))
BOB = Account(name="bob", uid=1001, gid=1001, groups=(1001,))
NOBODY = Account(name="nobody", uid=65534, gid=65534, groups=(65534,))


@pytest.mark.parametrize(
    ("euid", "owner", "sudo", "expected"),
    [
        pytest.param(1000, 1000, None, None, id="an ordinary user stays himself"),
        pytest.param(1000, 0, "1001", None, id="an ordinary user stays himself in root's checkout"),
        pytest.param(0, 1000, None, ALICE, id="root becomes the owner of the checkout"),
        pytest.param(0, 1000, "1001", ALICE, id="the owner comes before who called sudo"),
        pytest.param(0, 0, "1001", BOB, id="root's checkout: who called sudo"),
        pytest.param(0, 0, "0", NOBODY, id="root called sudo: nobody"),
        pytest.param(0, 0, None, NOBODY, id="nothing but root: nobody"),
        pytest.param(0, 4711, None, NOBODY, id="an owner whom the system does not list"),
        pytest.param(0, 4711, "1001", BOB, id="an unlisted owner, then who called sudo"),
        pytest.param(0, 0, "not a number", NOBODY, id="a SUDO_UID that is none"),
    ],
)
def test_the_account_to_drop_to(euid: int, owner: int, sudo: str | None, expected: Account | None) -> None:
    accounts = {account.uid: account for account in (ALICE, BOB)}
    chosen = choose(
        euid=euid,
        owner_uid=owner,
        environ={} if sudo is None else {"SUDO_UID": sudo},
        find_uid=accounts.get,
        find_name=lambda name: NOBODY if name == "nobody" else None,
    )
    assert chosen == expected


@pytest.mark.parametrize("nobody", [None, Account(name="nobody", uid=0, gid=0, groups=(0,))])
def test_root_without_any_other_account_is_told_so(nobody: Account | None) -> None:
    with pytest.raises(StackError, match="refuses to run as root"):
        choose(euid=0, owner_uid=0, environ={}, find_uid=lambda _: None, find_name=lambda _: nobody)


@pytest.fixture
def stranger() -> Account:
    """An account that owns nothing here and shares no group."""
    return Account(name="stranger", uid=54321, gid=54321, groups=(54321,))


def test_a_folder_in_a_closed_one_cannot_be_entered(tmp_path: Path, stranger: Account) -> None:
    inner = tmp_path / "closed" / "open"
    inner.parent.mkdir(mode=0o700)
    inner.mkdir()
    inner.chmod(0o755)
    assert not can_enter(inner, stranger)
    assert not can_read(inner, stranger)


def test_the_modes_for_owner_group_and_others_count_each_for_its_own() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        file = folder / "file"
        file.touch()
        uid, gid = file.stat().st_uid, file.stat().st_gid
        owner = Account(name="owner", uid=uid, gid=1, groups=(1,))
        mate = Account(name="mate", uid=54321, gid=1, groups=(1, gid))
        other = Account(name="other", uid=54321, gid=1, groups=(1,))
        for mode, expected in ((0o400, (1, 0, 0)), (0o040, (0, 1, 0)), (0o004, (0, 0, 1))):
            file.chmod(mode)
            assert tuple(map(int, (can_read(file, who) for who in (owner, mate, other)))) == expected


def test_what_does_not_exist_cannot_be_reached(tmp_path: Path, stranger: Account) -> None:
    assert not can_read(tmp_path / "absent", stranger)
    assert not can_enter(tmp_path / "absent", stranger)
