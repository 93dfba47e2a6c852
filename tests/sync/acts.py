"""What somebody does by hand to the stack of these tests, and what `status` says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alb_reconcile.api.serving import not_ready
from alb_reconcile.api.status import look
from tests.harness import load
from tests.kinds.hand import Faults

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Hand

DEFAULT = "0.0.0.0/0"
FIXED = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}]
SSH = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": DEFAULT}]}]
BOTH = ("web-1", "web-2")


def terminate(hand: Hand, *names: str) -> None:
    hand.ec2.terminate_instances(InstanceIds=[hand[f"instance.{name}"] for name in names])
    hand.wait(600)


def stop(hand: Hand, *names: str) -> None:
    hand.ec2.stop_instances(InstanceIds=[hand[f"instance.{name}"] for name in names])
    hand.wait(120)


def make_ill(hand: Hand, *names: str) -> None:
    for name in names:
        hand.world.strict.set_target_unhealthy(hand["target_group.web"], hand[f"instance.{name}"])
    hand.wait(300)


def deregister(hand: Hand, *names: str) -> None:
    targets = [{"Id": hand[f"instance.{name}"], "Port": 80} for name in names or BOTH]
    hand.elb.deregister_targets(TargetGroupArn=hand["target_group.web"], Targets=targets)
    hand.wait(600)


def register_stranger(hand: Hand, subnet: str = "") -> str:
    """Another instance joins the targets."""
    stranger = hand.stranger_in(subnet or hand["subnet.public-a"])
    hand.elb.register_targets(TargetGroupArn=hand["target_group.web"], Targets=[{"Id": stranger, "Port": 80}])
    return stranger


def change_check(hand: Hand, path: str = "/by-hand") -> None:
    hand.elb.modify_target_group(TargetGroupArn=hand["target_group.web"], HealthCheckPath=path)


def delete_balancer(hand: Hand) -> None:
    (found,) = hand.elb.describe_load_balancers()["LoadBalancers"]
    hand.elb.delete_load_balancer(LoadBalancerArn=found["LoadBalancerArn"])
    hand.wait(600)


def dns_name(hand: Hand) -> str:
    (balancer,) = hand.elb.describe_load_balancers()["LoadBalancers"]
    return str(balancer["DNSName"])


def delete_listener(hand: Hand) -> None:
    hand.elb.delete_listener(ListenerArn=hand["listener.public/http"])
    hand.wait(300)


def add_listener(hand: Hand, port: int = 8080) -> str:
    made = hand.elb.create_listener(
        LoadBalancerArn=hand["load_balancer.public"], Protocol="HTTP", Port=port, DefaultActions=FIXED
    )
    return str(made["Listeners"][0]["ListenerArn"])


def add_rule(hand: Hand, listener: str = "", actions: Any = FIXED, **more: Any) -> None:
    condition = {"Field": "path-pattern", "Values": ["/stray"]}
    arn = listener or hand["listener.public/http"]
    hand.elb.create_rule(ListenerArn=arn, Priority=7, Conditions=[condition], Actions=actions, **more)


def let_in(hand: Hand, group: str, permissions: Any = SSH) -> None:
    hand.ec2.authorize_security_group_ingress(GroupId=hand[f"security_group.{group}"], IpPermissions=permissions)


def revoke(hand: Hand, group: str) -> None:
    """All that it lets in."""
    (found,) = hand.ec2.describe_security_groups(GroupIds=[hand[f"security_group.{group}"]])["SecurityGroups"]
    hand.ec2.revoke_security_group_ingress(GroupId=found["GroupId"], IpPermissions=found["IpPermissions"])


def delete_route(hand: Hand) -> None:
    hand.ec2.delete_route(RouteTableId=hand["route_table.public"], DestinationCidrBlock=DEFAULT)


def disassociate(hand: Hand, most: int = 2) -> None:
    (table,) = hand.ec2.describe_route_tables(RouteTableIds=[hand["route_table.public"]])["RouteTables"]
    for item in table["Associations"][:most]:
        hand.ec2.disassociate_route_table(AssociationId=item["RouteTableAssociationId"])


def delete_table(hand: Hand) -> None:
    disassociate(hand)
    hand.ec2.delete_route_table(RouteTableId=hand["route_table.public"])


def stopped_half_way(hand: Hand, spec: Spec, *operations: str, destroy: bool = False) -> None:
    """An `apply` in which AWS refuses these calls."""
    faults = Faults(hand.world)
    for name in operations:
        faults.refuse(name, "UnauthorizedOperation", times=20)
    assert hand.world.apply(spec, destroy=destroy).failures
    faults.refusals.clear()


def told_by_status(hand: Hand, spec: Spec) -> list[str]:
    found: Any = hand.world._run(lambda aws: look(aws, load(spec).target()))
    return not_ready(*found)
