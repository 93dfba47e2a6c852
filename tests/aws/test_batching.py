"""Calls that several wait for: who hears what, and after how many calls."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alb_reconcile.aws.batching import Batch
from alb_reconcile.aws.client import Aws
from alb_reconcile.model.errors import AwsError, InterruptedRun
from alb_reconcile.sandbox.strict import VirtualClock
from tests.virtual import run_virtually

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Refuse = Callable[[list[str], float], tuple[str, str] | None]
    """Gets the members of a call and the time; returns the code and the message of AWS's refusal."""

NEVER = "InvalidInstanceID.NotFound", "The instance IDs 'i-3' do not exist"


class Lab:
    """An AWS that refuses calls, and what members heard of it."""

    def __init__(self, refuse: Refuse, *, most: int = 100, retry: Mapping[str, float] | None = None) -> None:
        self.clock = VirtualClock()
        self.calls: list[list[str]] = []
        self.heard: dict[str, str] = {}
        self.at: dict[str, float] = {}
        self._refuse, self._most, self._retry = refuse, most, retry

    def run(self, members: Sequence[str], *, of_all: Sequence[str] = (), stop_at: float = 0, cancel: str = "") -> Lab:
        run_virtually(self.clock, self._session(members, of_all, stop_at, cancel))
        return self

    def _ask(self, service: str, operation: str, params: Mapping[str, Any], /, *, once: bool = False) -> Any:
        asked = list(params["InstanceIds"])
        self.calls.append(asked)
        if refused := self._refuse(asked, self.clock.now()):
            raise AwsError(service, operation, *refused, "req-1")
        return {}

    async def _session(self, members: Sequence[str], of_all: Sequence[str], stop_at: float, cancel: str) -> None:
        aws = Aws(self._ask, max_workers=0)

        async def send(asked: Sequence[str]) -> None:
            await aws.call("ec2", "stop_instances", InstanceIds=list(asked))

        batch = Batch(aws, send, most=self._most, retry=self._retry, of_all=of_all)

        async def wait(member: str) -> None:
            try:
                await batch.add(member)
                self.heard[member] = "done"
            except (AwsError, InterruptedRun) as error:
                self.heard[member] = getattr(error, "code", "interrupted")
            self.at[member] = self.clock.now()

        waiting = {member: asyncio.ensure_future(wait(member)) for member in members}
        if stop_at:
            await asyncio.sleep(stop_at)
            aws.stopping.set()
        if cancel:
            await asyncio.sleep(0.01)
            waiting.pop(cancel).cancel()
        async with asyncio.timeout(5000):
            await asyncio.gather(*waiting.values())


def some(count: int) -> list[str]:
    return [f"i-{number}" for number in range(1, count + 1)]


def failed(lab: Lab) -> set[str]:
    return {member for member, word in lab.heard.items() if word != "done"}


def test_all_who_ask_at_the_same_time_share_calls_and_are_in_one_once() -> None:
    lab = Lab(lambda *_: None, most=5).run([*some(12), "i-1"])
    assert [len(call) for call in lab.calls] == [5, 5, 2]
    assert set(lab.heard.values()) == {"done"}


@pytest.mark.parametrize(
    ("bad", "words", "count", "calls"),
    [
        ({"i-3"}, "{}", 39, 2),  # an id that only begins alike isn't meant
        ({"i-2", "i-4", "i-6"}, "{}", 8, 2),
        ({"i-7"}, "no.", 16, 1 + 2 * 4),  # where nobody is named halves find who it is
    ],
)
def test_who_is_named_hears_of_it_and_the_others_are_sent_again(
    bad: set[str], words: str, count: int, calls: int
) -> None:
    def refuse(asked: list[str], _: float) -> tuple[str, str] | None:
        found = [member for member in asked if member in bad]
        return ("Odd", words.format(f"The instance IDs '{', '.join(found)}' do not exist")) if found else None

    lab = Lab(refuse).run(some(count))
    assert failed(lab) == bad
    assert len(lab.calls) == calls


@pytest.mark.parametrize("code", ["UnauthorizedOperation", "InternalError", "TargetGroupNotFound"])
def test_what_holds_for_all_is_asked_once(code: str) -> None:
    lab = Lab(lambda *_: (code, "no.")).run(some(16), of_all=["TargetGroupNotFound"])
    assert set(lab.heard.values()) == {code}
    assert len(lab.calls) == 1


def test_throttled_calls_are_repeated_as_they_are() -> None:
    lab = Lab(lambda *_: None)
    began = lab.clock.now()
    lab._refuse = lambda _, now: ("RequestLimitExceeded", "later.") if now < began + 20 else None
    lab.run(some(6))
    assert set(lab.heard.values()) == {"done"}
    assert {len(call) for call in lab.calls} == {6}


def test_not_yet_is_waited_for_by_those_who_are_named_only() -> None:
    lab = Lab(lambda *_: None, retry={"IncorrectInstanceState": 300})
    began = lab.clock.now()
    ready = {"i-1": began + 3, "i-2": began + 100}

    def refuse(asked: list[str], now: float) -> tuple[str, str] | None:
        """AWS names one at a time."""
        bad = next((member for member in asked if ready.get(member, 0) > now), "")
        return ("IncorrectInstanceState", f"The instance '{bad}' is not in a state.") if bad else None

    lab._refuse = refuse
    lab.run(some(8))
    assert set(lab.heard.values()) == {"done"}
    assert lab.at["i-2"] - began >= 100
    assert lab.at["i-1"] - began < 10, "it doesn't wait for the other"
    assert max(lab.at[member] for member in some(8)[2:]) - began < 1


@pytest.mark.parametrize("message", ["The instance 'i-3' is not in a state.", "no."])
def test_not_yet_ends_after_its_time_out_or_with_an_interruption(message: str) -> None:
    """Also where nobody is named."""

    def refuse(asked: list[str], _: float) -> tuple[str, str] | None:
        return ("Odd", message) if "i-3" in asked else None

    lab = Lab(refuse, retry={"Odd": 60})
    began = lab.clock.now()
    lab.run(some(8))
    assert failed(lab) == {"i-3"}
    assert lab.at["i-3"] - began < 100
    stopped = Lab(refuse, retry={"Odd": 600}).run(some(8), stop_at=30)
    assert stopped.heard.keys() == set(some(8))
    assert stopped.heard["i-3"] == "interrupted"


def test_an_interruption_before_the_call() -> None:
    lab = Lab(lambda *_: None).run(some(4), stop_at=0.01)
    assert set(lab.heard.values()) == {"interrupted"}
    assert not lab.calls


def test_who_goes_away_keeps_nobody_waiting() -> None:
    lab = Lab(lambda asked, _: NEVER if "i-3" in asked else None).run(some(4), cancel="i-3")
    assert lab.heard == dict.fromkeys(["i-1", "i-2", "i-4"], "done")


@settings(max_examples=60, deadline=None, database=None, derandomize=True)
@given(
    st.sets(st.integers(1, 30), max_size=4), st.dictionaries(st.integers(1, 30), st.integers(1, 90), max_size=3),
    st.sampled_from(["one", "all", "none"]), st.integers(1, 30),
)  # fmt: skip
def test_each_hears_what_is_said_of_it_alone(bad: set[int], later: dict[int, int], words: str, most: int) -> None:
    """Whoever else is in its call, and however AWS says it."""
    lab = Lab(lambda *_: None, most=most, retry={"Later": 300})
    began = lab.clock.now()

    def refuse(asked: list[str], now: float) -> tuple[str, str] | None:
        for code, meant in (
            ("Never", {f"i-{number}" for number in bad}),
            ("Later", {f"i-{number}" for number, seconds in later.items() if began + seconds > now}),
        ):
            if found := [member for member in asked if member in meant]:
                return code, {"one": f"'{found[0]}'", "all": f"'{', '.join(found)}'", "none": "no"}[words]
        return None

    lab._refuse = refuse
    lab.run(some(30))
    assert lab.heard == {f"i-{number}": "Never" if number in bad else "done" for number in range(1, 31)}


@pytest.mark.parametrize(
    ("coming", "calls"),
    [(3.0, [["i-1", "i-2", "i-3"]]), (30.0, [["i-1"], ["i-2"], ["i-3"]])],
    ids=["soon", "late"],
)
def test_members_that_are_expected_are_waited_for_but_not_for_long(coming: float, calls: list[list[str]]) -> None:
    """The last of three comes after so many seconds, and the second after half of them."""
    clock, made, heard = VirtualClock(), list[list[str]](), dict[str, float]()

    async def session() -> None:
        aws = Aws(lambda *_, **params: {}, max_workers=0)
        left = ["i-1", "i-2", "i-3"]

        async def send(asked: Sequence[str]) -> None:
            made.append(list(asked))

        batch = Batch(aws, send, most=100)

        async def join(member: str, after: float) -> None:
            await asyncio.sleep(after)
            left.remove(member)
            began = clock.now()
            await batch.add(member, lambda: bool(left))
            heard[member] = clock.now() - began

        await asyncio.gather(join("i-1", 0), join("i-2", coming / 2), join("i-3", coming))

    run_virtually(clock, session())
    assert made == calls
    assert max(heard.values()) <= 5.6
    assert heard["i-3"] < 1, "nothing is waited for once all are there"


def test_a_run_that_is_stopped_waits_for_no_further_member() -> None:
    clock, heard = VirtualClock(), list[object]()

    async def session() -> None:
        aws = Aws(lambda *_, **params: {}, max_workers=0)
        batch = Batch(aws, lambda _: aws.call("ec2", "stop_instances"), most=100)
        waiting = asyncio.ensure_future(batch.add("i-1", lambda: True))
        await asyncio.sleep(1)
        aws.stopping.set()
        heard.extend(await asyncio.gather(waiting, return_exceptions=True))

    run_virtually(clock, session())
    assert isinstance(heard[0], InterruptedRun)
