from __future__ import annotations

from pathlib import Path

import pytest

from apps.stack import credentials
from apps.stack.errors import StackError


def test_credentials_are_made_once_and_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    made = credentials.load(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert credentials.load(path) == made
    assert [entry.name for entry in tmp_path.iterdir()] == ["credentials.json"]


def test_two_demos_do_not_have_the_same_credentials(tmp_path: Path) -> None:
    first, second = (credentials.load(tmp_path / name) for name in ("a.json", "b.json"))
    assert first.secret_key != second.secret_key
    assert first.admin_password != second.admin_password


def test_a_file_that_holds_something_else_is_named_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    path.write_text('{"secret_key": "x"}')
    with pytest.raises(StackError, match=r"credentials\.json does not hold"):
        credentials.load(path)
    assert path.read_text() == '{"secret_key": "x"}'
