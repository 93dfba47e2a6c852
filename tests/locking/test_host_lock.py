"""The lock of a stack, within one process: who held it, and what that says of reads made before."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.locking.host import StackLock
from alb_reconcile.model.clock import Clock, Moment
from alb_reconcile.model.errors import HeldError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ALB_RECONCILE_LOCK_DIR", str(tmp_path))
    return tmp_path


def lock() -> StackLock:
    return StackLock("123456789012", "us-east-1", "demo", "")


def moment(seconds: float = 0.0) -> Moment:
    """So many seconds from now."""
    now = Clock(wall=time.time).now()
    return Moment(now.steady + seconds, now.wall + seconds)


def take(found: StackLock, timeout: float = 0.0) -> None:
    asyncio.run(found.acquire("apply", timeout, asyncio.sleep, lambda _: None))


def info(folder: Path) -> Path:
    (found,) = folder.glob("*.json")
    return found


def test_the_first_holder_needs_no_second_look(folder: Path) -> None:
    began = moment()
    mine = lock()
    take(mine)
    assert not mine.was_used_since(began)
    mine.release()


def test_one_who_let_go_before_is_past(folder: Path) -> None:
    take(first := lock())
    first.release()
    began = moment(0.001)
    take(second := lock())
    assert not second.was_used_since(began)
    assert second.was_used_since(moment(-60))
    second.release()


@pytest.mark.parametrize("jump", [-7200, 7200])
def test_a_clock_that_jumps_hides_nobody(folder: Path, monkeypatch: pytest.MonkeyPatch, jump: int) -> None:
    """Somebody holds it after we have read, and the wall clock is set meanwhile."""
    take(first := lock())
    first.release()
    began = moment()
    real = time.time
    monkeypatch.setattr("time.time", lambda: real() + jump)
    take(between := lock())
    between.release()
    take(ours := lock())
    assert ours.was_used_since(began)
    ours.release()


@pytest.mark.parametrize(
    "damage",
    [
        "", "[" * 100_000, '{"command": "apply"}', '{"command":"a","user":"u","pid":1,"since":-1,"released":1}',
        '{"command":"a","user":"u","pid":1,"since":1,"released":1e12}',
        '{"command":"a","user":"u","pid":1,"since":1,"released":1,"steady":NaN}',
        '{"command":"a","user":"u","pid":1,"since":1,"released":1,"more":1}', None,
    ],
)  # fmt: skip
def test_whoever_cant_be_read_may_have_held_it_just_now(folder: Path, damage: str | None) -> None:
    """Killed, a full disk, a damaged file, a file that is gone."""
    take(first := lock())
    first.release()
    if damage is None:
        info(folder).unlink()
    else:
        info(folder).write_text(damage)
    take(second := lock())
    assert second.was_used_since(moment(3600))
    second.release()


def test_a_holder_that_was_killed_may_have_held_it_just_now(folder: Path) -> None:
    take(first := lock())
    first.release()
    told: dict[str, Any] = json.loads(info(folder).read_text())
    info(folder).write_text(json.dumps({**told, "released": None}))
    take(second := lock())
    assert second.was_used_since(moment(3600))
    second.release()


def test_one_that_was_waited_for_has_held_it(folder: Path) -> None:
    """Whatever its file says."""

    async def main() -> bool:
        first, second = lock(), lock()
        await first.acquire("apply", 0, asyncio.sleep, lambda _: None)

        async def meanwhile(_: float) -> None:
            info(folder).write_text("{}")
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("alb_reconcile.locking.host.write_file", _full)
                first.release()

        await second.acquire("destroy", 3600, meanwhile, lambda _: None)
        used = second.was_used_since(moment(3600))
        second.release()
        return used

    assert asyncio.run(main())


def test_a_damaged_file_doesnt_hide_that_it_is_held(folder: Path) -> None:
    take(first := lock())
    info(folder).write_text('{"command":"apply","user":"u","pid":1,"since":"zzz"}')
    with pytest.raises(HeldError, match="is held by another run; nothing was changed"):
        take(lock())
    first.release()


def _full(*_: Any, **__: Any) -> int:
    raise OSError(28, "No space left on device")
