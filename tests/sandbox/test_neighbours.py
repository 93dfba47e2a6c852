"""Other users of the machine can't have the sandbox run a program as its owner."""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.sandbox.neighbours import is_of_another_user, users_of

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
LINE = "   0: 0100007F:{port:04X} 0100007F:1F90 01 00000000:00000000 00:00000000 00000000 {uid:5d}        0 12345 1 0 20 4 30 10 -1\n"


def table(tmp_path: Path, uid: int) -> Path:
    found = tmp_path / "tcp"
    found.write_text(HEAD + LINE.format(port=40001, uid=uid + 1) + LINE.format(port=40000, uid=uid), "ascii")
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "sandbox"
    made.mkdir(mode=0o700)
    return made


def test_a_connection_of_another_user(tmp_path: Path, folder: Path) -> None:
    assert is_of_another_user(40000, folder, [table(tmp_path, 54321)])


@pytest.mark.parametrize("uid", [os.getuid(), 0])
def test_a_connection_of_the_owner_or_of_root(tmp_path: Path, folder: Path, uid: int) -> None:
    assert not is_of_another_user(40000, folder, [table(tmp_path, uid)])


def test_users_for_whom_the_folder_was_opened(tmp_path: Path, folder: Path) -> None:
    folder.chmod(0o755)
    assert not is_of_another_user(40000, folder, [table(tmp_path, 54321)])


def test_where_no_table_says_whose_it_is(tmp_path: Path, folder: Path) -> None:
    assert not is_of_another_user(40000, folder, [tmp_path / "none"])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows the table")
def test_the_systems_own_table_shows_a_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert list(users_of(client.getsockname()[1])) == [os.getuid()]
