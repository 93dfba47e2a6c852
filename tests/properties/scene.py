"""Stacks of several shapes that somebody changes by hand: each is made once, and put back as it was as often as needed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import yaml

from alb_reconcile.sandbox.strict import StrictAws, VirtualClock
from tests import direct
from tests.harness import REGION, SPECS, Spec, demo, load, shop
from tests.kinds.example import example_of
from tests.kinds.hand import prepare, rich
from tests.properties import examples
from tests.properties.watched import FOREIGN, WatchedWorld

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alb_reconcile.model.address import Address
    from alb_reconcile.model.resource import Desired, Observed

ANSWER = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}
STRANGERS = (*FOREIGN.values(), "subnet-0f0e0d0c0b0a09081", "subnet-0f0e0d0c0b0a09082")
"""What stands in specs for what somebody else owns."""


@dataclass(frozen=True)
class Deed:
    """Something that somebody can do. `shown_at`: the steps' addresses of which one must be in the plan then; none for
    what the spec doesn't manage."""

    words: str
    act: Callable[[], Any] = field(compare=False)
    shown_at: tuple[str, ...] = ()


class Account(WatchedWorld):
    """An account that goes back to what it was. Target health isn't sampled: that is for other tests."""

    def sample(self, operation: str = "") -> None:
        """Don't look."""


class Scene:
    """A stack as it was made, to be disturbed."""

    def __init__(self, account: Account, spec: Spec) -> None:
        self.account = account
        self.spec = account.localized(spec)
        account.converge(self.spec)
        account.clock.advance(3600)
        self._kept = account.moment()
        self.desired: dict[Address, Desired] = dict(load(self.spec).desired)
        self.found = sorted(account.discover(self.spec).resources, key=lambda item: str(item.address))

    def reset(self) -> None:
        """Undo everything."""
        self.account.go_back(self._kept)

    def of(self, kind: str) -> Iterator[tuple[Observed, Desired | None]]:
        """What there was of a kind, and what the spec wants of it."""
        for item in self.found:
            if item.address.kind == kind:
                yield item, self.desired.get(item.address)

    def id(self, address: str) -> str:
        """The id of what was at an address."""
        return next(item.id for item in self.found if str(item.address) == address)

    @cached_property
    def vpc(self) -> str:
        """The network that the stack is in."""
        named = (getattr(item.state, "vpc", None) for item in self.found)
        return next((str(name) for name in named if name), "") or next(self.of("vpc"))[0].id

    def subnet(self) -> str:
        """A subnet there. Raises LookupError if there is none."""
        rows = self.ec2("describe_subnets", Filters=[{"Name": "vpc-id", "Values": [self.vpc]}])["Subnets"]
        return str(rows[0]["SubnetId"])

    @staticmethod
    def ec2(operation: str, **params: Any) -> dict[str, Any]:
        """What somebody does in EC2."""
        return direct.call("ec2", operation, params)

    @staticmethod
    def elb(operation: str, **params: Any) -> dict[str, Any]:
        """What somebody does in ELBv2."""
        return direct.call("elbv2", operation, params)


@contextmanager
def scene(shape: str) -> Iterator[Scene]:
    """A stack of that shape, or a kind's example, in an account of its own."""
    clock = VirtualClock()
    with StrictAws(clock=clock.now) as strict:
        account = Account(strict, clock)
        account.add_strangers()
        if shape in SHAPES:
            prepare()
            add_subnets(account)
            yield Scene(account, SHAPES[shape]())
        else:
            examples.prepare(shape)
            yield Scene(account, example_of(shape).spec)


def add_subnets(account: WatchedWorld) -> None:
    """Subnets in the strangers' network, with a way out."""
    vpc = next(own for own, name in account.strangers.items() if name == FOREIGN["vpc"])
    for number, zone in enumerate("ab"):
        subnet = direct.call(
            "ec2", "create_subnet",
            {"VpcId": vpc, "CidrBlock": f"10.9.{number}.0/24", "AvailabilityZone": REGION + zone},
        )["Subnet"]["SubnetId"]  # fmt: skip
        account.strangers[subnet] = STRANGERS[-2 + number]


def rule(priority: int, path: str, action: dict[str, Any]) -> dict[str, Any]:
    """A rule of a listener."""
    return {"priority": priority, "conditions": [{"path_pattern": path}], "action": action}


def full() -> Spec:
    """The demo with every property declared that can drift, rules, and protection."""
    spec = rich()
    listener = spec["load_balancers"]["public"]["listeners"]["http"]
    listener["rules"] = {
        "soon": rule(10, "/soon/*", {"fixed_response": {"status_code": 503}}),
        "old": rule(20, "/old/*", {"redirect": {"status_code": "HTTP_301", "path": "/new"}}),
        "web": rule(30, "/web/*", {"forward": "web"}),
    }
    for entry in (spec["vpcs"]["main"], spec["load_balancers"]["public"], listener):
        entry["prevent_destroy"] = True
    spec["load_balancers"]["public"]["attributes"] |= {"idle_timeout.timeout_seconds": 90}
    spec["security_groups"]["web"]["ingress"][0]["description"] = "from the front"
    return spec


def secure() -> Spec:
    """specs/https.yaml: two listeners, weights, two groups of instances."""
    return shop(FOREIGN["certificate"])


def foreign() -> Spec:
    """specs/existing-vpc.yaml: a service in somebody else's network."""
    text = (SPECS / "existing-vpc.yaml").read_text().replace("${REGION:-us-east-1}", REGION)
    text = text.replace("${INSTANCE_PROFILE:-orders-api}", "web")
    spec: Spec = yaml.safe_load(text)  # with ids instead of its look-ups, which tests/kinds/test_lookups.py tries
    subnets, groups = list(STRANGERS[-2:]), [FOREIGN["security_group"]]
    spec["security_groups"]["load-balancer"]["vpc"] = spec["target_groups"]["api"]["vpc"] = FOREIGN["vpc"]
    spec["instances"]["api"] |= {"subnets": subnets, "security_groups": groups}
    spec["load_balancers"]["internal"]["subnets"] = list(subnets)
    return spec


def wide() -> Spec:
    """Three instances, changed in place, in two target groups behind two listeners; some things that nothing uses."""
    spec = demo()
    spec["subnets"]["spare"] = {
        "cidr_block": "10.0.3.0/24",
        "availability_zone": "a",
        "map_public_ip_on_launch": False,
    }
    spec["route_tables"]["spare"] = {"subnets": ["spare"], "routes": []}
    spec["security_groups"]["spare"] = {"description": "spare", "ingress": [], "egress": []}
    spec["instances"]["web"] |= {
        "count": 3,
        "type_change": "in-place",
        "state": "running",
        "rollout": {"max_unavailable": 1},
    }
    spec["instances"]["web"]["tags"] = {"role": "web"}
    group = spec["target_groups"]["web"]
    spec["target_groups"]["api"] = {**group, "port": 8080, "name": "api", "target_type": "ip"}
    spec["target_groups"]["spare"] = {"protocol": "HTTP", "port": 9000, "targets": ["web"]}
    spec["security_groups"]["web"]["ingress"].append(
        {"protocol": "tcp", "port": 8080, "security_group": "load-balancer"}
    )
    listeners = spec["load_balancers"]["public"]["listeners"]
    listeners["alt"] = {
        "protocol": "HTTP", "port": 8080, "default_action": {"fixed_response": {"status_code": 404}},
        "rules": {
            "api": rule(1, "/api/*", {"forward": "api"}),
            "both": rule(2, "/both/*", {"forward": {"target_groups": [{"target_group": "api", "weight": 3}, {"target_group": "web", "weight": 1}]}}),
        },
    }  # fmt: skip
    return spec


def keeping() -> Spec:
    """The demo, where strangers may stay, with a target group whose targets others manage, and instances in any state."""
    spec = full()
    for section, name in (
        ("route_tables", "public"), ("security_groups", "web"), ("security_groups", "load-balancer"), ("target_groups", "web"), ("load_balancers", "public"),
    ):  # fmt: skip
        spec[section][name]["others"] = "keep"
    spec["load_balancers"]["public"]["listeners"]["http"]["others"] = "keep"
    spec["instances"]["web"]["state"] = "any"
    spec["target_groups"]["theirs"] = {"protocol": "HTTP", "port": 7000}
    return spec


def bare() -> Spec:
    """A network and nothing in it, so that AWS lets everything be deleted."""
    spec = {key: value for key, value in demo().items() if key not in ("instances", "target_groups", "load_balancers")}
    spec["security_groups"]["third"] = {
        "description": "third",
        "egress": [{"protocol": "all", "cidr_block": "0.0.0.0/0"}],
    }
    return spec


SHAPES: dict[str, Callable[[], Spec]] = {
    "full": full, "secure": secure, "foreign": foreign, "wide": wide, "keeping": keeping, "bare": bare,
}  # fmt: skip
