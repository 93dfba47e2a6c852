"""Who looks at the targets' health while a stack changes, as its user can."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.processes import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.tool import Account

LOOK = 0.5
"""Seconds between two looks at target health."""
ADDRESS = "alb-reconcile:address"


@dataclass(frozen=True)
class Sight:
    """Target health at one time: the states of each group's targets by instance, and the groups that get requests.

    Times by time.monotonic(), before the first and after the last question. Groups are named by their address and
    the end of their ARN.
    """

    began: float
    ended: float
    states: Mapping[str, Mapping[str, str]]
    serving: frozenset[str]

    def healthy(self, group: str) -> int:
        """How many targets of it are healthy."""
        return sum(state == "healthy" for state in self.states.get(group, {}).values())


class Watch:
    """Looks at a stack's target health twice a second, as its user can."""

    def __init__(self, account: Account, stack: str) -> None:
        self._elb, self._stack = account.elb, stack
        self.sights: list[Sight] = []
        self._names: dict[str, tuple[str, str]] = {}
        self._over = threading.Event()
        self._problem: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="watch")

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if self._problem is not None:
            raise self._problem

    def low(self) -> int:
        """The fewest healthy targets that any group had that got requests."""
        assert len(self.sights) > 3, "nobody looked"
        return min(sight.healthy(group) for sight in self.sights for group in sight.serving)

    def hurried(self, drain: float) -> dict[str, float]:
        """Targets that left a group while it got requests, and sooner than they can have drained: seconds by instance.

        The sandbox's load balancers know at once when an instance is stopped, so no request shows who didn't wait for
        draining; on AWS requests would.
        """
        found: dict[str, float] = {}
        seen: dict[tuple[str, str], float] = {}
        for sight in self.sights:
            seen = {key: at for key, at in seen.items() if key[0] in sight.serving}
            states = {
                (group, name): state for group in sight.serving for name, state in sight.states.get(group, {}).items()
            }
            for key in [key for key in seen if states.get(key, "unused") == "unused"]:
                took = sight.ended - seen.pop(key)
                if took < drain:
                    found[key[1]] = took
            seen |= dict.fromkeys((key for key, state in states.items() if state == "healthy"), sight.began)
        return found

    def next(self) -> Sight:
        """A look that begins from now on."""
        now = time.monotonic()
        until(lambda: not self._thread.is_alive() or (self.sights[-1:] and self.sights[-1].began > now))
        return self.sights[-1]

    def _run(self) -> None:
        try:
            while not self._over.wait(LOOK):
                sight = self._look()
                if sight:
                    self.sights.append(sight)
        except BaseException as error:  # told to whoever leaves the block, in the test's own thread
            self._problem = error

    def _look(self) -> Sight | None:
        """Nothing if the groups were others afterwards: then what is healthy and what serves don't belong together."""
        began, arns, serving = time.monotonic(), self._groups(), self._serving()
        states = {}
        for arn, name in arns.items():
            try:
                found = self._elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
            except self._elb.exceptions.TargetGroupNotFoundException:
                return None
            states[name] = {item["Target"]["Id"]: item["TargetHealth"]["State"] for item in found}
        if serving != self._serving():
            return None
        names = frozenset(arns.get(arn, arn) for arn in serving)
        return Sight(began, time.monotonic(), states, names)

    def _groups(self) -> dict[str, str]:
        """The stack's target groups: what tells them apart, by ARN."""
        arns = [item["TargetGroupArn"] for item in self._elb.describe_target_groups()["TargetGroups"]]
        new = [arn for arn in arns if arn not in self._names]
        if new:
            for item in self._elb.describe_tags(ResourceArns=new)["TagDescriptions"]:
                tags = {tag["Key"]: tag["Value"] for tag in item["Tags"]}
                name = f"{tags.get(ADDRESS, '')}@{item['ResourceArn'][-8:]}"
                self._names[item["ResourceArn"]] = (tags.get("alb-reconcile:stack", ""), name)
        return {arn: self._names[arn][1] for arn in arns if self._names.get(arn, ("",))[0] == self._stack}

    def _serving(self) -> frozenset[str]:
        """The ARNs of the groups that the stack's rules send requests to."""
        found = set()
        for balancer in self._elb.describe_load_balancers()["LoadBalancers"]:
            if not balancer["LoadBalancerName"].startswith(f"{self._stack}-"):
                continue
            arn = balancer["LoadBalancerArn"]
            for item in self._elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]:
                for rule in self._elb.describe_rules(ListenerArn=item["ListenerArn"])["Rules"]:
                    found |= {group for action in rule["Actions"] for group in _receiving(action)}
        return frozenset(found)


def _receiving(action: Mapping[str, Any]) -> Iterator[str]:
    groups = action.get("ForwardConfig", {}).get("TargetGroups", [])
    for item in groups:
        if item.get("Weight", 1) or len(groups) == 1:
            yield item["TargetGroupArn"]
