"""What somebody can do by hand to what serves: instances, targets, load balancers, listeners, rules."""

from __future__ import annotations

from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, Any

from alb_reconcile.kinds.instance import LaunchedWith
from alb_reconcile.kinds.registration import Registered
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address
from tests.harness import REGION
from tests.kinds.hand import LINUX_1
from tests.properties.scene import ANSWER, Deed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alb_reconcile.model.resource import Desired, Observed
    from tests.properties.scene import Scene

OTHER_STACK = [{"Key": tags.STACK, "Value": "other"}]


def instance_states(scene: Scene) -> Iterator[Deed]:
    """Instances terminated and stopped."""
    for item, wish in scene.of("instance"):
        address = str(item.address)
        wanted: Any = wish and wish.state
        stopped = (address,) if wanted and wanted.state is not None else ()
        yield Deed(
            f"{address} terminated",
            partial(scene.ec2, "terminate_instances", InstanceIds=[item.id]),
            (address,),
        )
        yield Deed(f"{address} stopped", partial(scene.ec2, "stop_instances", InstanceIds=[item.id]), stopped)


def instance_properties(scene: Scene) -> Iterator[Deed]:
    """Security groups, profiles, types and disks of instances changed."""
    for item, wish in scene.of("instance"):
        if wish is None:
            continue
        address = str(item.address)
        state: Any = wish.state

        def regroup(item: Observed = item) -> object:
            group = scene.ec2("create_security_group", GroupName=f"by-hand-{item.id}", Description="x", VpcId=scene.vpc)
            return scene.ec2("modify_instance_attribute", InstanceId=item.id, Groups=[group["GroupId"]])

        is_managed = state.security_groups is not None
        yield Deed(f"{address} in another security group", regroup, (address,) if is_managed else ())

        def retype(item: Observed = item) -> object:
            scene.ec2("stop_instances", InstanceIds=[item.id])
            scene.account.clock.advance(60)
            scene.ec2("modify_instance_attribute", InstanceId=item.id, InstanceType={"Value": "t3.large"})
            found = scene.ec2("start_instances", InstanceIds=[item.id])
            scene.account.clock.advance(60)
            return found

        yield Deed(f"{address} of another type", retype, (address,))

        yield from _options(scene, item, state)
        if state.iam_instance_profile:

            def strip(item: Observed = item) -> object:
                return scene.ec2("disassociate_iam_instance_profile", AssociationId=_profile(scene, item))

            def give_another(item: Observed = item) -> object:
                return scene.ec2(
                    "replace_iam_instance_profile_association",
                    AssociationId=_profile(scene, item),
                    IamInstanceProfile={"Name": "other"},
                )

            yield Deed(f"{address} without its profile", strip, (address,))
            yield Deed(f"{address} with another profile", give_another, (address,))


def _options(scene: Scene, item: Observed, state: Any) -> Iterator[Deed]:
    """Its disk, which only grows."""
    address = str(item.address)

    def grow() -> object:
        volumes = item.detail(LaunchedWith).volumes
        volume = volumes.ids[volumes.root]
        return scene.ec2("modify_volume", VolumeId=volume, Size=50)

    is_sized = "volume_size" in (state.root_volume or {})
    yield Deed(f"{address} with a larger disk", grow, (address,) if is_sized else ())


def _profile(scene: Scene, item: Observed) -> str:
    found = scene.ec2(
        "describe_iam_instance_profile_associations", Filters=[{"Name": "instance-id", "Values": [item.id]}]
    )
    return str(found["IamInstanceProfileAssociations"][0]["AssociationId"])


def targets(scene: Scene) -> Iterator[Deed]:
    """Targets taken out, put in, and put in on another port."""
    for item, _ in scene.of("registration"):

        def leave(item: Observed = item) -> object:
            state: Any = item.state
            target = {"Id": item.detail(Registered).id, "Port": state.port}
            return scene.elb("deregister_targets", TargetGroupArn=state.target_group, Targets=[target])

        yield Deed(f"{item.address} deregistered", leave, (str(item.address),))
    instances = [item for item, _ in scene.of("instance")]
    for group, wish in scene.of("target_group"):
        managed = wish is not None and wish.lifecycle.members
        strangers = wish is not None and managed and not wish.lifecycle.keep_others
        name, above = group.address.name, (str(group.address),)

        def join(group: Observed = group, instance: str = "", port: int = 80) -> object:
            state: Any = group.state
            known = instance or _stranger(scene)
            target = {"Id": _address(scene, known) if state.target_type == "ip" else known, "Port": port}
            return scene.elb("register_targets", TargetGroupArn=group.id, Targets=[target])

        unknown = "10." if getattr(group.state, "target_type", "") == "ip" else "i-"
        shown = (f"registration.{name}/{unknown}", *above) if strangers else ()
        yield Deed(f"{group.address} gets a stranger", join, shown)
        for item in instances:
            yield Deed(
                f"{group.address} gets {item.address} on another port",
                partial(join, instance=item.id, port=8099),
                (f"registration.{name}/{item.address.name}:8099", str(item.address), *above) if managed else (),
            )


def _address(scene: Scene, instance: str) -> str:
    (found,) = scene.ec2("describe_instances", InstanceIds=[instance])["Reservations"]
    return str(found["Instances"][0]["PrivateIpAddress"])


def _stranger(scene: Scene) -> str:
    answer = scene.ec2(
        "run_instances", ImageId=LINUX_1, InstanceType="t3.micro", MinCount=1, MaxCount=1, SubnetId=scene.subnet()
    )
    scene.account.clock.advance(30)
    return str(answer["Instances"][0]["InstanceId"])


def balancers(scene: Scene) -> Iterator[Deed]:
    """Load balancers deleted, and put into other security groups and subnets."""
    for item, wish in scene.of("load_balancer"):
        state: Any = item.state
        wanted: Any = wish and wish.state
        address = (str(item.address),)
        yield Deed(
            f"{item.address} deleted",
            partial(scene.elb, "delete_load_balancer", LoadBalancerArn=item.id),
            address,
        )

        def widen(item: Observed = item, state: Any = state) -> object:
            found: str = scene.ec2("describe_vpcs", VpcIds=[scene.vpc])["Vpcs"][0]["CidrBlock"]
            block = found.replace(".0.0/16", ".251.0/24")
            theirs = scene.ec2("create_subnet", VpcId=scene.vpc, CidrBlock=block, AvailabilityZone=f"{REGION}c")
            subnets = [*state.subnets, theirs["Subnet"]["SubnetId"]]
            return scene.elb("set_subnets", LoadBalancerArn=item.id, Subnets=subnets)

        yield Deed(f"{item.address} in another subnet", widen, address)

        def regroup(item: Observed = item) -> object:
            group = scene.ec2("create_security_group", GroupName="by-hand", Description="x", VpcId=scene.vpc)
            return scene.elb("set_security_groups", LoadBalancerArn=item.id, SecurityGroups=[group["GroupId"]])

        is_managed = wanted is not None and wanted.security_groups is not None
        yield Deed(f"{item.address} in another security group", regroup, address if is_managed else ())


def groups(scene: Scene) -> Iterator[Deed]:
    """Target groups deleted, once nothing forwards to them any more."""
    for item, _ in scene.of("target_group"):

        def delete(item: Observed = item) -> object:
            for other in scene.found:
                if item.id in str(getattr(other.state, "default_action", "")):
                    scene.elb("modify_listener", ListenerArn=other.id, DefaultActions=[ANSWER])
                elif item.id in str(getattr(other.state, "action", "")):
                    scene.elb("modify_rule", RuleArn=other.id, Actions=[ANSWER])
            return scene.elb("delete_target_group", TargetGroupArn=item.id)

        yield Deed(f"{item.address} deleted", delete, (str(item.address),))


def listeners(scene: Scene) -> Iterator[Deed]:
    """Listeners changed, deleted and added."""
    certificate = next(own for own in scene.account.strangers if ":certificate/" in own)
    for item, wish in scene.of("listener"):
        state: Any = item.state
        wanted: Any = wish and wish.state
        changes: dict[str, dict[str, Any]] = {"port": {"Port": 7443}, "action": {"DefaultActions": [ANSWER]}}
        if state.protocol == "HTTP":
            changes["protocol"] = {
                "Protocol": "HTTPS",
                "SslPolicy": _OLD,
                "Certificates": [{"CertificateArn": certificate}],
            }
        elif wanted and wanted.ssl_policy:
            changes["policy"] = {"SslPolicy": _OLD}
        for name, change in changes.items():
            yield Deed(
                f"{item.address} {name}",
                partial(scene.elb, "modify_listener", ListenerArn=item.id, **change),
                (str(item.address),),
            )
        yield Deed(
            f"{item.address} deleted",
            partial(scene.elb, "delete_listener", ListenerArn=item.id),
            (str(item.address),),
        )
    for item, wish in scene.of("load_balancer"):

        def add(item: Observed = item, port: int = 9000, **params: Any) -> object:
            return scene.elb(
                "create_listener", LoadBalancerArn=item.id, Protocol="HTTP", Port=port, DefaultActions=[ANSWER], **params
            )  # fmt: skip

        shown = _stray(wish, f"listener.{item.address.name}/:9000", str(item.address))
        yield Deed(f"{item.address} gets a stray listener", add, shown)
        yield Deed(f"{item.address} gets another stack's", partial(add, port=9001, Tags=OTHER_STACK))


_OLD = "ELBSecurityPolicy-2016-08"


def _stray(carrier: Desired | None, *addresses: str) -> tuple[str, ...]:
    return () if carrier is None or carrier.lifecycle.keep_others else addresses


def rules(scene: Scene) -> Iterator[Deed]:
    """Rules changed, deleted and added, with and without somebody else's tags."""
    for item, _ in scene.of("rule"):
        places = (str(item.address), str(Address("listener", item.address.name.rpartition("/")[0])))
        for name, change in (
            ("path", {"Conditions": [_condition("/by-hand")]}),
            (
                "host",
                {"Conditions": [{"Field": "host-header", "HostHeaderConfig": {"Values": ["by-hand.example.com"]}}]},
            ),
            ("action", {"Actions": [{**ANSWER, "FixedResponseConfig": {"StatusCode": "418"}}]}),
        ):
            yield Deed(
                f"{item.address} {name}",
                partial(scene.elb, "modify_rule", RuleArn=item.id, **change),
                places,
            )
        yield Deed(
            f"{item.address} deleted",
            partial(scene.elb, "delete_rule", RuleArn=item.id),
            places,
        )
    for item, wish in scene.of("listener"):

        def add(item: Observed = item, priority: int = 15, **params: Any) -> object:
            return scene.elb(
                "create_rule", ListenerArn=item.id, Priority=priority, Actions=[ANSWER], Conditions=[_condition("/stray")], **params
            )  # fmt: skip

        above = _stray(wish, f"rule.{item.address.name}/#", str(item.address))
        yield Deed(f"{item.address} gets a stray rule", add, above)
        yield Deed(f"{item.address} gets another stack's rule", partial(add, priority=16, Tags=OTHER_STACK))


def priorities(scene: Scene) -> Iterator[Deed]:
    """Rules moved, and swapped with each other."""
    found: list[tuple[Observed, Any]] = [(item, item.state) for item, _ in scene.of("rule")]
    for item, state in found:
        yield Deed(f"{item.address} moved", partial(_order, scene, {item.id: 1000 + state.priority}), _moved(item))
    for (one, first), (two, second) in combinations(found, 2):
        if first.listener == second.listener:
            swapped = {one.id: second.priority, two.id: first.priority}
            yield Deed(f"{one.address} and {two.address} swapped", partial(_order, scene, swapped), _moved(one))


def _order(scene: Scene, wanted: dict[str, int]) -> object:
    rows = [{"RuleArn": arn, "Priority": priority} for arn, priority in wanted.items()]
    return scene.elb("set_rule_priorities", RulePriorities=rows)


def _moved(item: Observed) -> tuple[str, ...]:
    listener = item.address.name.rpartition("/")[0]
    return f"rule_priorities.{listener}", f"listener.{listener}", str(item.address)


def _condition(path: str) -> dict[str, Any]:
    return {"Field": "path-pattern", "PathPatternConfig": {"Values": [path]}}
