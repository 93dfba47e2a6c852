"""What is interrupted and delayed: ways of the demo from one spec to another, and how to tell that all went well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from alb_reconcile.model.errors import PlanError, RefusedError
from tests.harness import Spec, demo
from tests.properties.eyes import belongings
from tests.properties.watched import portrait

if TYPE_CHECKING:
    from tests.properties.watched import WatchedWorld

GROUP = "target_group.web"
LAST_STATES = 600
"""Seconds after which whatever was ended is gone, such as the network interfaces of a load balancer, though nobody waited for it."""


def scaled(count: int) -> Spec:
    """The demo with that many instances."""
    spec = demo()
    spec["instances"]["web"]["count"] = count
    return spec


def rolled(**rollout: Any) -> Spec:
    """The demo with other user data, which replaces its instances."""
    spec = demo()
    spec["instances"]["web"]["user_data"] = "#!/bin/sh\nexec web-api --new\n"
    spec["instances"]["web"]["rollout"] |= rollout
    return spec


def many(**more: Any) -> Spec:
    """The demo with six instances, three a subnet, which two calls launch."""
    spec = scaled(6)
    spec["instances"]["web"] |= {"rollout": {"max_surge": 3}, **more}
    return spec


def regrouped() -> Spec:
    """The demo on another port, which replaces its target group and the rule that lets requests in."""
    spec = demo()
    spec["target_groups"]["web"]["port"] = 8080
    spec["security_groups"]["web"]["ingress"][0]["port"] = 8080
    return spec


def with_rule() -> Spec:
    """The demo with another path, for a group of its own."""
    spec = demo()
    spec["target_groups"]["api"] = {**spec["target_groups"]["web"]}
    rule = {"priority": 10, "conditions": [{"path_pattern": "/v2/*"}], "action": {"forward": "api"}}
    spec["load_balancers"]["public"]["listeners"]["http"]["rules"] = {"v2": rule}
    return spec


def crowded() -> Spec:
    """The demo with two rules, another health check and attributes, and more rules of security groups."""
    spec = with_rule()
    rules = spec["load_balancers"]["public"]["listeners"]["http"]["rules"]
    rules["v3"] = {"priority": 20, "conditions": [{"path_pattern": "/v3/*"}], "action": {"forward": "api"}}
    spec["security_groups"]["web"]["ingress"].append({"protocol": "tcp", "port": 22, "cidr_block": "10.0.0.0/8"})
    return spec


def in_place() -> Spec:
    """The same with other settings nearly everywhere, none of which replaces anything but a rule of a security group."""
    spec = crowded()
    spec["tags"]["service"] = "other"
    spec["vpcs"]["main"]["enable_dns_hostnames"] = False
    spec["subnets"]["public-b"]["map_public_ip_on_launch"] = False
    spec["route_tables"]["public"]["routes"].append(
        {"destination_cidr_block": "192.0.2.0/24", "internet_gateway": "main"}
    )
    spec["security_groups"]["extra"] = {"description": "more", "ingress": []}
    spec["security_groups"]["web"]["ingress"][-1]["port"] = 2222
    spec["security_groups"]["web"]["egress"] = [{"protocol": "tcp", "port": 443, "cidr_block": "0.0.0.0/0"}]
    spec["instances"]["web"]["security_groups"] = ["web", "extra"]
    spec["instances"]["web"]["metadata_options"] = {"http_tokens": "required", "http_put_response_hop_limit": 3}
    spec["target_groups"]["web"]["health_check"]["interval_seconds"] = 12
    spec["target_groups"]["web"]["attributes"] |= {"stickiness.enabled": True}
    balancer = spec["load_balancers"]["public"]
    balancer["attributes"] |= {"idle_timeout.timeout_seconds": 90}
    balancer["security_groups"] = ["load-balancer", "extra"]
    listener = balancer["listeners"]["http"]
    listener["default_action"] = {
        "forward": {"target_groups": [{"target_group": "web", "weight": 1}, {"target_group": "api", "weight": 0}]}
    }
    v2, v3 = listener["rules"]["v2"], listener["rules"]["v3"]
    v2["priority"], v3["priority"] = 20, 10
    v3["conditions"] = [{"path_pattern": "/v3.1/*"}]
    return spec


def drift(world: WatchedWorld) -> None:
    """A rule too many, a missing association, a changed health check and port, a stopped and a terminated instance."""
    ids = {str(item.address): item.id for item in world.discover(demo()).resources}
    ec2, elb = world.client("ec2"), world.client("elbv2")
    ec2.authorize_security_group_ingress(
        GroupId=ids["security_group.web"], IpProtocol="tcp", FromPort=3389, ToPort=3389, CidrIp="0.0.0.0/0"
    )
    table = ec2.describe_route_tables(RouteTableIds=[ids["route_table.public"]])["RouteTables"][0]
    ec2.disassociate_route_table(AssociationId=table["Associations"][0]["RouteTableAssociationId"])
    elb.modify_target_group(TargetGroupArn=ids["target_group.web"], HealthCheckPath="/elsewhere")
    elb.modify_listener(ListenerArn=ids["listener.public/http"], Port=8080)
    ec2.stop_instances(InstanceIds=[ids["instance.web-1"]])
    ec2.terminate_instances(InstanceIds=[ids["instance.web-2"]])


@dataclass(frozen=True)
class Way:
    """From one spec, or nothing, to another, or nothing; with the healthy targets that there must be throughout."""

    before: Callable[[], Spec] | None
    after: Callable[[], Spec] | None
    floor: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    prepare: Callable[[], None] = lambda: None
    """Makes what the specs only name."""
    rest: float = 0.0
    """Seconds for which AWS takes no further change of what there is."""
    hidden: float = 0.0
    """Seconds for which AWS shows nobody what is new."""
    eyes: frozenset[str] = frozenset()
    """What is looked at before each call besides (`Eyes`)."""

    @property
    def target(self) -> Spec:
        """The spec of the run."""
        spec = self.after or self.before
        assert spec is not None
        return spec()

    @property
    def run_options(self) -> dict[str, Any]:
        """How `World.apply` is called for it."""
        return {"destroy": self.after is None, **self.options}


CLOSE: dict[str, Any] = {"allow": {"close": 1}}
"""For a rule that another host has made meanwhile, of another spec."""
WAYS = {
    "create": Way(None, demo),
    "roll": Way(demo, rolled, floor=2, options=CLOSE),
    "roll beside": Way(demo, lambda: rolled(strategy="blue_green", keep="0s"), floor=2, options=CLOSE),
    "roll in gaps": Way(demo, lambda: rolled(max_surge=0, max_unavailable=1), floor=1),
    "destroy": Way(demo, None),
    "another group": Way(demo, regrouped, floor=2, options=CLOSE),
    "a new rule": Way(demo, with_rule, floor=2),
    "scale out": Way(demo, lambda: scaled(4), floor=2, options=CLOSE),
    "scale in": Way(lambda: scaled(4), lambda: scaled(1), floor=1),
}
MANY = {
    "create many": Way(None, many),
    "roll many": Way(many, lambda: many(user_data="#!/bin/sh\nexec web-api --new\n"), floor=6),
}
"""What is made and replaced together."""
ALL = {**WAYS, **MANY, "in place": Way(crowded, in_place, floor=2)}


def look_of(world: WatchedWorld, way: Way) -> dict[str, Any]:
    """The portrait of the stack at the end of the way, and what belongs to it."""
    return (portrait(world, way.target) if way.after else {}) | belongings(world)


def census(world: WatchedWorld) -> Counter[str]:
    """How many of each sort there are in the account, whoever's they are."""
    return Counter(sort_of(key) for key in world.strict.inventory())


def sort_of(physical_id: str) -> str:
    """What it is, as its id or ARN says."""
    return physical_id.split(":")[5].split("/")[0] if physical_id.startswith("arn:") else physical_id.split("-")[0]


def finish(world: WatchedWorld, way: Way, tries: int) -> bool:
    """Run again until all is as wanted. Returns whether anything was left to do.

    Raises AssertionError with what was wrong each time after so many tries.
    """
    wrong: list[str] = []
    writes = False
    for _ in range(tries):
        try:
            result = world.apply(way.target, **way.run_options)
        except (PlanError, RefusedError) as error:
            wrong.append(f"{type(error).__name__}: {error}")
            world.clock.advance(world.strict.lag)
            continue
        writes = writes or bool(result.writes)
        rest = [step.key for step in result.rest.steps] if result.rest else []
        if not (result.failures or rest or result.problems):
            return writes
        wrong.append(f"failures {result.failures}, rest {rest}, problems {result.problems}")
    raise AssertionError("\n".join(wrong))
