"""The question before a change, while the world goes on: the lease is kept, or lost; signals; and who can't answer."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.aws.client import Aws
from alb_reconcile.cli.session.confirmation import confirm
from alb_reconcile.cli.session.signals import stop_on_signals
from alb_reconcile.locking.hold import held
from alb_reconcile.model.errors import HeldError, InterruptedRun, RefusedError
from tests.locking.lab import LEASED, PLACE, Lab
from tests.locking.test_lease_store import GOOD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass
class Person:
    """Who sits at the terminal, and answers when a test wants it."""

    answer: str | Exception = "yes"
    typed: threading.Event = field(default_factory=threading.Event)
    asked: threading.Event = field(default_factory=threading.Event)

    def isatty(self) -> bool:
        return True

    def read(self, _: str) -> str:
        self.asked.set()
        self.typed.wait(30)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Iterator[Person]:
    found = Person()
    monkeypatch.setattr("sys.stdin", found)
    monkeypatch.setattr("builtins.input", found.read)
    yield found
    found.typed.set()


async def ask(aws: Aws) -> None:
    await confirm(aws, "Type yes: ", "yes", yes=False)


async def run(aws: Aws, meanwhile: Callable[[], object]) -> None:
    """A run that asks; a second later something happens."""
    async with held(aws, LEASED, "apply", 0, print):
        asyncio.get_running_loop().call_later(1, meanwhile)
        await ask(aws)


async def test_the_lease_is_kept_while_it_is_open(lab: Lab, person: Person) -> None:
    """For three hours."""
    aws = Aws(lab.s3, max_workers=0)
    async with held(aws, LEASED, "apply", 0, print):
        asking = asyncio.ensure_future(ask(aws))
        await asyncio.sleep(3 * 3600)
        with pytest.raises(HeldError):
            await lab.runner().lease.acquire(0)
        assert not asking.done()
        person.typed.set()
        await asking
        await aws.call("ec2", "create_tags")
    assert lab.stored["released"]


async def test_where_it_is_lost_meanwhile_nothing_begins(
    lab: Lab, person: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody has to answer first."""
    aws = Aws(lab.s3, max_workers=0)
    with pytest.raises(HeldError, match="took it over; nothing was changed"):
        await run(aws, lambda: lab.s3.put(PLACE.key, json.dumps(GOOD).encode()))
    assert not aws.changed
    assert person.asked.is_set()
    assert not person.typed.is_set()
    assert capsys.readouterr().err.endswith("\n")


async def test_an_answer_after_a_freeze_is_held_against_the_lease_first(lab: Lab, person: Person) -> None:
    """The loop stood still as well: its renewal wakes up later than the answer is there."""
    runner = await lab.holder()
    runner.freeze()
    await asyncio.sleep(300)
    lab.s3.put(PLACE.key, json.dumps(GOOD).encode())
    person.typed.set()
    with pytest.raises(InterruptedRun, match="took it over"):
        await ask(runner.aws)
    await runner.lease.release()


def handlers_of(aws: Aws, monkeypatch: pytest.MonkeyPatch, *, nohup: bool = False) -> dict[int, Callable[[], None]]:
    """What is installed, whether or not the tests themselves run under nohup."""
    found: dict[int, Callable[[], None]] = {}
    real, hang_up = signal.getsignal, signal.SIG_IGN if nohup else signal.SIG_DFL
    monkeypatch.setattr("signal.getsignal", lambda number: hang_up if number == signal.SIGHUP else real(number))
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "add_signal_handler", found.__setitem__, raising=False)
    stop_on_signals(aws)
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_signals_end_it_and_give_the_lease_back(
    lab: Lab, person: Person, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    aws = Aws(lab.s3, max_workers=0)
    handlers = handlers_of(aws, monkeypatch)
    with pytest.raises(InterruptedRun) as interrupted:
        await run(aws, handlers[number])
    assert str(interrupted.value) == "interrupted; nothing was changed"
    assert interrupted.value.exit_code == 130
    assert lab.stored["released"]


async def test_a_hang_up_that_is_told_twice_ends_it_once(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls under way are waited for; only a person who asks twice means at once."""
    ended: list[Any] = []
    monkeypatch.setattr("os._exit", ended.append)
    aws = Aws(lab.s3, max_workers=0)
    handlers = handlers_of(aws, monkeypatch)
    handlers[signal.SIGHUP]()
    handlers[signal.SIGHUP]()
    assert aws.stopping.is_set()
    assert not ended
    handlers[signal.SIGTERM]()
    assert ended == [130]


async def test_nohup_is_respected(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    assert signal.SIGHUP not in handlers_of(Aws(lab.s3, max_workers=0), monkeypatch, nohup=True)


@pytest.mark.parametrize("yes", [True, False])
async def test_a_run_that_is_being_stopped_isnt_asked(lab: Lab, person: Person, yes: bool) -> None:
    """Ctrl-C during the reads."""
    aws = Aws(lab.s3, max_workers=0)
    aws.stopping.set()
    with pytest.raises(InterruptedRun, match=r"^interrupted; nothing was changed$"):
        await confirm(aws, "Type yes: ", "yes", yes=yes)
    assert not person.asked.is_set()


@pytest.mark.parametrize(
    "answer",
    ["", "no", "YES", EOFError(), OSError(5, "Input/output error"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x")],
    ids=repr,
)  # fmt: skip
async def test_whatever_isnt_the_word_is_a_no(lab: Lab, person: Person, answer: str | Exception) -> None:
    person.answer = answer
    person.typed.set()
    aws = Aws(lab.s3, max_workers=0)
    waiting = asyncio.ensure_future(asyncio.sleep(1e9))  # the virtual loop wants somebody who is due
    with pytest.raises(RefusedError, match="not confirmed; nothing was changed"):
        await ask(aws)
    waiting.cancel()
