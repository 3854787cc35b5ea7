from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.stack import folders, privileges
from apps.stack.errors import StackError
from apps.stack.folders import SOCKET_PATH_MAX, own_folder, prepare

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root drops privileges")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A short-named folder that every account may enter."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture
def nobody() -> privileges.Account:
    account = privileges.by_name("nobody")
    assert account is not None
    return account


def test_sockets_lie_beside_the_data_when_their_path_is_short(open_folder: Path) -> None:
    places = prepare(open_folder / "demo")
    assert places.sockets == open_folder.resolve() / "demo" / "s"
    assert places.root.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["x" * 90, "with,comma", "with space", "with'quote"])
def test_sockets_move_when_the_path_does_not_suit_them(open_folder: Path, name: str) -> None:
    root = open_folder / name
    places = prepare(root)
    try:
        assert places.root == root.resolve()
        assert len(os.fsencode(places.socket("pg") / ".s.PGSQL.5432")) <= SOCKET_PATH_MAX
        assert places.sockets.stat().st_mode & 0o777 == 0o700
        assert prepare(root).sockets == places.sockets
        assert prepare(open_folder / (name + "y")).sockets != places.sockets
    finally:
        folders.remove_tree(open_folder)
    assert not places.sockets.exists()


def test_a_folder_that_somebody_put_there_before_is_refused(open_folder: Path) -> None:
    (open_folder / "real").mkdir()
    (open_folder / "demo").symlink_to(open_folder / "real")
    with pytest.raises(StackError, match="is not a folder of this user"):
        prepare(open_folder / "demo")


@as_root
def test_a_folder_of_another_user_is_refused(open_folder: Path) -> None:
    (open_folder / "demo").mkdir()
    os.chown(open_folder / "demo", 54321, 54321)
    with pytest.raises(StackError, match="its owner has the number 54321"):
        own_folder(open_folder / "demo")


@as_root
def test_what_another_account_must_reach_stays_inside_when_it_can_go_there(
    open_folder: Path, nobody: privileges.Account
) -> None:
    places = prepare(open_folder / "demo", account=nobody)
    assert places.shared == places.root
    assert privileges.can_enter(places.sockets, nobody)


@as_root
def test_what_another_account_must_reach_lies_elsewhere_when_the_checkout_is_closed(
    open_folder: Path, nobody: privileges.Account
) -> None:
    open_folder.chmod(0o700)
    places = prepare(open_folder / "demo", account=nobody)
    try:
        assert open_folder.stat().st_mode & 0o777 == 0o700, "no mode of a parent folder changes"
        assert not places.shared.is_relative_to(open_folder)
        assert privileges.can_enter(places.sockets, nobody)
        (places.shared / "postgres").mkdir()
        assert prepare(open_folder / "demo", account=nobody).shared == places.shared
        assert (places.shared / "postgres").exists(), "a second start finds its data"
    finally:
        folders.remove_tree(open_folder)
    assert not places.shared.exists()


@as_root
def test_what_lies_elsewhere_for_a_deleted_checkout_is_swept_away(
    open_folder: Path, nobody: privileges.Account
) -> None:
    open_folder.chmod(0o700)
    old, new = open_folder / "old", open_folder / "new"
    for checkout in (old, new):
        checkout.mkdir()
    try:
        left = prepare(old / "demo", account=nobody).shared
        kept = prepare(new / "demo", account=nobody).shared
        assert left.exists()
        shutil.rmtree(old)
        prepare(new / "demo", account=nobody)
        assert not left.exists()
        assert kept.exists()
    finally:
        folders.remove_tree(new)


@as_root
def test_data_elsewhere_do_not_outlive_the_profile_they_belong_to(
    open_folder: Path, nobody: privileges.Account
) -> None:
    open_folder.chmod(0o700)
    root = open_folder / "demo"
    try:
        (prepare(root, account=nobody).shared / "postgres").mkdir()
        shutil.rmtree(root)
        assert not (prepare(root, account=nobody).shared / "postgres").exists()
    finally:
        folders.remove_tree(open_folder)
