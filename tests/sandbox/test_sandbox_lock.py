"""The lock of a sandbox's folder."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.sandbox import client

if TYPE_CHECKING:
    from pathlib import Path


def test_another_users_is_held_without_writing_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found: who may only read the folder of a sandbox that runs couldn't use it."""

    monkeypatch.setenv("ALB_RECONCILE_SANDBOX_DIR", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda place, mode: (place, mode) != (tmp_path, os.W_OK))
    with pytest.raises(client.SandboxError, match="let its owner chmod 755 it"), client._locked():
        pass
    (tmp_path / "sandbox.lock").touch()
    with client._locked(), (tmp_path / "sandbox.lock").open("rb") as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
