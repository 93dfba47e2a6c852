"""What measurements measure on: a network, and a service in it, which are made when one first asks for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import httpx
from botocore.exceptions import ClientError

from tests.account.place import TAG, Tool
from tests.account.service import Service, until_it_answers

NEW: Final = "the new answer"
"""What the rule answers that `rule` makes."""


@dataclass(frozen=True)
class Bench:
    """A run's place to measure in. All that is made here has its tag, and is removed by that."""

    tool: Tool
    run: str
    spec: dict[str, Any]

    @cached_property
    def ec2(self) -> Any:
        return self.tool.place.client("ec2")

    @cached_property
    def elb(self) -> Any:
        return self.tool.place.client("elbv2")

    @property
    def tags(self) -> list[dict[str, str]]:
        return [{"Key": TAG, "Value": self.run}]

    def tagged(self, kind: str) -> list[dict[str, Any]]:
        """The parameter TagSpecifications."""
        return [{"ResourceType": kind, "Tags": self.tags}]

    @cached_property
    def service(self) -> Service:
        """The demo, which answers."""
        made = Service.written(self.tool, self.spec, self.run)
        made.apply()
        until_it_answers(self.tool.place, made.status()[0])
        return made

    @cached_property
    def _status(self) -> tuple[str, dict[str, str]]:
        return self.service.status()

    @property
    def url(self) -> str:
        return self._status[0]

    def id(self, address: str) -> str:
        """The physical id of one of the demo's resources."""
        return self._status[1][address]

    @property
    def listener(self) -> str:
        return self.id("listener.public/http")

    @property
    def instances(self) -> list[str]:
        return [self.id("instance.web-1"), self.id("instance.web-2")]

    @cached_property
    def vpc(self) -> str:
        """A VPC with nothing in it."""
        made = self.ec2.create_vpc(CidrBlock="10.77.0.0/16", TagSpecifications=self.tagged("vpc"))["Vpc"]["VpcId"]
        self.ec2.get_waiter("vpc_available").wait(VpcIds=[made], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        return str(made)

    @cached_property
    def pair(self) -> list[str]:
        """Two subnets of it, in two zones."""
        zones = [item["ZoneName"] for item in self.ec2.describe_availability_zones()["AvailabilityZones"][:2]]
        return self.subnets(self.vpc, dict(zip(("10.77.11.0/24", "10.77.12.0/24"), zones, strict=True)))

    def subnets(self, vpc: str, zones: Mapping[str, str]) -> list[str]:
        """Subnets in a VPC: ranges, each with its zone."""
        make, tags = self.ec2.create_subnet, self.tagged("subnet")
        made = [
            make(VpcId=vpc, CidrBlock=block, AvailabilityZone=zone, TagSpecifications=tags)
            for block, zone in zones.items()
        ]
        return [str(item["Subnet"]["SubnetId"]) for item in made]

    @contextmanager
    def balancer(self, name: str, **more: Any) -> Iterator[dict[str, Any]]:
        """A load balancer in the demo's subnets for the length of the block, or where `more` says."""
        own = {"Subnets": [self.id("subnet.public-a"), self.id("subnet.public-b")]} if "Subnets" not in more else {}
        made = self.elb.create_load_balancer(Name=f"test-{self.run}-{name}", Tags=self.tags, **own, **more)
        found: dict[str, Any] = made["LoadBalancers"][0]
        try:
            yield found
        finally:
            self.elb.delete_load_balancer(LoadBalancerArn=found["LoadBalancerArn"])

    def until_active(self, arn: str) -> float | None:
        """Seconds until a load balancer is active."""

        def state() -> str:
            return str(self.elb.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"][0]["State"]["Code"])

        return self.until(lambda: state() == "active", patience=900, poll=5)

    def until_taken(self, call: Callable[[], Any], *, patience: float = 600, poll: float = 0.5) -> str:
        """For how long AWS refuses a call, and by which codes."""
        told = list[str]()

        def is_taken() -> bool:
            told.append(answer(call).partition(" “")[0])
            return told[-1] == "accepted"

        took = self.until(is_taken, patience=patience, poll=poll)
        refused = ", ".join(dict.fromkeys(text.removeprefix("refused: ") for text in told if text != "accepted"))
        if took is None:
            return f"{refused}, still after {patience:.0f} s"
        return f"{refused}, then accepted after {took:.1f} s" if refused else "accepted at once"

    def sleep(self, seconds: float) -> None:
        """Wait so long of AWS's time."""
        time.sleep(self.tool.place.real(seconds))

    def until(self, holds: Callable[[], object], *, patience: float, poll: float = 2.0) -> float | None:
        """Seconds until something holds; None if it doesn't for so many seconds."""
        began = time.monotonic()
        while not holds():
            if self.tool.place.seconds(time.monotonic() - began) > patience:
                return None
            self.sleep(poll)
        return self.tool.place.seconds(time.monotonic() - began)

    def get(self, path: str = "/", host: str = "") -> httpx.Response:
        """One request on a connection of its own, so that each of the load balancer's nodes is asked."""
        return self._visitor.get(self.url.rstrip("/") + path, headers={"Host": host} if host else {})

    @cached_property
    def _visitor(self) -> httpx.Client:
        return httpx.Client(limits=httpx.Limits(max_keepalive_connections=0), trust_env=False, timeout=30)

    @contextmanager
    def rule(self, *conditions: Mapping[str, Any], priority: int = 1, **more: Any) -> Iterator[str]:
        """A rule for the length of the block that answers by itself, or whatever `more` says. Its ARN."""
        fixed = {"StatusCode": "200", "ContentType": "text/plain", "MessageBody": NEW}
        wanted = {"Actions": [{"Type": "fixed-response", "FixedResponseConfig": fixed}], **more}
        made = self.elb.create_rule(
            ListenerArn=self.listener, Priority=priority, Conditions=list(conditions), Tags=self.tags, **wanted
        )
        arn = made["Rules"][0]["RuleArn"]
        try:
            yield arn
        finally:
            answer(lambda: self.elb.delete_rule(RuleArn=arn))

    @contextmanager
    def leading(self) -> Iterator[Callable[..., None]]:
        """For the length of the block the listener leads where one says: to groups, each with its weight."""
        usual = self.elb.describe_listeners(ListenerArns=[self.listener])["Listeners"][0]["DefaultActions"]

        def lead(*weights: tuple[str, int]) -> None:
            groups = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in weights]
            action = {"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}
            self.elb.modify_listener(ListenerArn=self.listener, DefaultActions=[action])

        try:
            yield lead
        finally:
            self.elb.modify_listener(ListenerArn=self.listener, DefaultActions=usual)

    @contextmanager
    def group(self, **more: Any) -> Iterator[str]:
        """A target group in the service's VPC for the length of the block. Its ARN."""
        vpc, name = self.id("vpc.main"), f"test-{self.run}-{more.get('TargetType', 'instance')}"
        made = self.elb.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId=vpc, Tags=self.tags, **more)
        arn = made["TargetGroups"][0]["TargetGroupArn"]
        try:
            yield arn
        finally:
            answer(lambda: self.elb.delete_target_group(TargetGroupArn=arn))  # else in use; then it goes at the end

    def states(self, group: str) -> dict[str, str]:
        """Health by target."""
        found = self.elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return {item["Target"]["Id"]: item["TargetHealth"]["State"] for item in found}


def answer(call: Callable[[], Any]) -> str:
    """Whether AWS takes a call, or by which code and in what words it refuses it."""
    try:
        call()
    except ClientError as error:
        said = error.response["Error"]
        return f"refused: {said['Code']}" + (f" “{said['Message']}”" if said.get("Message") else "")
    return "accepted"
