"""Who may leave a target group, by reads that lag."""

from __future__ import annotations

import asyncio
import copy
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.aws.polling import WaitError, Watch
from alb_reconcile.kinds._health import keep_capacity, target_key
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.instance import KIND as INSTANCE
from alb_reconcile.kinds.known_targets import Staying
from alb_reconcile.kinds.waits import EARLIER_RUN, LAG
from tests.harness import World, demo
from tests.plan.targets import ids

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from alb_reconcile.aws.client import Aws


class Looked:
    """A target of two is to leave, of which one other must stay healthy; reads of the group are answered as a test says."""

    def __init__(self, here: World, answers: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
        here.converge(demo())
        known = ids(here, demo())
        real = here._call
        names = ("target_group.web", "instance.web-1", "instance.web-2")
        self.group, self.leaving, self.other = (known[name] for name in names)

        def call(service: str, operation: str, params: Mapping[str, Any]) -> Any:
            answer = real(service, operation, params)
            if operation == "describe_target_health":
                answer["TargetHealthDescriptions"] = answers(answer["TargetHealthDescriptions"])
            return answer

        here._call = call  # type: ignore[method-assign]

    async def leave(self, run: Run, least: int) -> None:
        run.targets.staying[target_key(self.group, self.leaving, 80)] = Staying(least)
        await keep_capacity(run, self.group, self.leaving, 80, 600)


@pytest.mark.parametrize("shown", [None, "initial"])
def test_a_read_from_before_a_target_was_there_lets_it_leave_only_where_others_stay(
    here: World, shown: str | None
) -> None:
    def before(targets: list[dict[str, Any]]) -> list[dict[str, Any]]:
        first = [item for item in targets if item["Target"]["Id"] == looked.leaving]
        for item in first:
            item["TargetHealth"]["State"] = shown
        return [item for item in targets if shown or item not in first]

    looked = Looked(here, before)
    for least, least_time in ((1, 0), (2, LAG)):
        began = here.clock.now()
        here._run(lambda aws, least=least: looked.leave(Run(aws, "demo"), least))
        assert least_time <= here.clock.now() - began < least_time + 30


def test_whom_this_run_has_terminated_doesnt_stay(here: World) -> None:
    old: list[dict[str, Any]] = []

    def as_it_was(targets: list[dict[str, Any]]) -> list[dict[str, Any]]:
        old[:] = old or targets
        return copy.deepcopy(old)

    looked = Looked(here, as_it_was)

    async def main(aws: Aws) -> None:
        run = Run(aws, "demo")
        await looked.leave(run, 1)
        run = Run(aws, "demo")
        await INSTANCE.call_delete(run, looked.other, {})
        with pytest.raises(WaitError, match="1 other targets must stay, and only 0 are there"):
            await looked.leave(run, 1)

    here._run(main)


def test_whom_a_killed_run_has_taken_out_doesnt_stay(here: World) -> None:
    old: list[dict[str, Any]] = []

    def behind(targets: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return copy.deepcopy(old) if here.clock.now() < began + EARLIER_RUN else targets

    looked = Looked(here, behind)
    old[:] = here.client("elbv2").describe_target_health(TargetGroupArn=looked.group)["TargetHealthDescriptions"]
    targets = [{"Id": looked.other, "Port": 80}]
    here.client("elbv2").deregister_targets(TargetGroupArn=looked.group, Targets=targets)
    began = here.clock.now()

    async def main(aws: Aws) -> None:
        with pytest.raises(WaitError, match="1 other targets must stay, and only 0 are there"):
            await looked.leave(Run(aws, "demo", began=began), 1)

    here._run(main)


@pytest.mark.parametrize("is_own", [False, True])
def test_while_a_run_is_young_only_those_stay_whom_it_registered(here: World, is_own: bool) -> None:
    """Of others a read may be from before an earlier run's last call."""
    looked, began = Looked(here, list), here.clock.now()

    async def main(aws: Aws) -> None:
        run = Run(aws, "demo", began=began)
        if is_own:
            run.targets.bring_in(f"{looked.group}|{looked.other}:80")
        await looked.leave(run, 1)

    here._run(main)
    assert (here.clock.now() - began < 1) is is_own
    assert here.clock.now() - began < EARLIER_RUN + 15


def test_those_who_wait_are_judged_in_the_order_in_which_they_came(here: World) -> None:
    seen: list[str] = []

    def look(name: str, _: object) -> str:
        seen.append(name)
        return ""

    async def wait(aws: Aws) -> None:
        async def fetch(_: set[str]) -> Mapping[str, Any]:
            return {}

        watch = Watch(aws, fetch)

        names = [f"target {number}" for number in range(40)]
        await asyncio.gather(*(watch.until(name, partial(look, name), 60, print) for name in names))
        assert seen == names

    here._run(wait)
