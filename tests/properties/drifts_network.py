"""What somebody can do by hand to a stack's network: VPCs, subnets, gateways, routes, security groups; and to tags."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from alb_reconcile.model import tags
from alb_reconcile.model.address import Address
from tests.kinds import behind
from tests.properties.scene import Deed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alb_reconcile.model.resource import Observed
    from tests.properties.scene import Scene


def detachments(scene: Scene) -> Iterator[Deed]:
    """Gateways detached, which AWS refuses while there are public addresses behind them."""
    for item, _ in scene.of("internet_gateway"):

        def act(item: Observed = item) -> object:
            return scene.ec2("detach_internet_gateway", InternetGatewayId=item.id, VpcId=scene.vpc)

        yield Deed(f"{item.address} detached", act, (str(item.address),))


def _associations(scene: Scene, table: str) -> list[str]:
    if not table.startswith("rtb-"):
        return []
    (found,) = scene.ec2("describe_route_tables", RouteTableIds=[table])["RouteTables"]
    ours = {item.id for item, _ in scene.of("subnet")}
    return [item["RouteTableAssociationId"] for item in found["Associations"] if item.get("SubnetId") in ours]


def associations(scene: Scene) -> Iterator[Deed]:
    """Subnets taken out of their table, moved to a stranger's, and put into another one of ours."""
    for item, wish in scene.of("route_table"):
        wanted: Any = wish and wish.state
        if wanted is None or wanted.subnets is None:
            continue

        def leave(item: Observed = item) -> object:
            return scene.ec2("disassociate_route_table", AssociationId=_associations(scene, item.id)[0])

        def move(item: Observed = item) -> object:
            table = scene.ec2("create_route_table", VpcId=scene.vpc)["RouteTable"]["RouteTableId"]
            association = _associations(scene, item.id)[-1]
            return scene.ec2("replace_route_table_association", AssociationId=association, RouteTableId=table)

        if wanted.subnets:
            yield Deed(f"{item.address} loses a subnet", leave, (str(item.address),))
            yield Deed(f"{item.address} loses a subnet to a stranger's", move, (str(item.address),))

        def take_foreign(item: Observed = item) -> object:
            subnet = scene.ec2("create_subnet", VpcId=scene.vpc, CidrBlock=_free(scene))["Subnet"]["SubnetId"]
            return scene.ec2("associate_route_table", RouteTableId=item.id, SubnetId=subnet)

        yield Deed(f"{item.address} gets a stranger's subnet", take_foreign)


def _free(scene: Scene) -> str:
    block: str = scene.ec2("describe_vpcs", VpcIds=[scene.vpc])["Vpcs"][0]["CidrBlock"]
    return block.replace(".0.0/16", ".250.0/24")


def routes(scene: Scene) -> Iterator[Deed]:
    """Routes deleted, led elsewhere, and added."""
    for item, wish in scene.of("route_table"):
        if wish is None:
            continue
        wanted: Any = wish.state
        address, declared = str(item.address), wanted.routes
        stray = () if declared is None or wish.lifecycle.keep_others else (address,)

        def add(item: Observed = item, **to: str) -> object:
            return scene.ec2("create_route", RouteTableId=item.id, GatewayId=_gateway(scene), **to)

        yield Deed(f"{address} gets a route", partial(add, DestinationCidrBlock="192.0.2.0/24"), stray)
        yield Deed(
            f"{address} gets an IPv6 route",
            partial(add, DestinationIpv6CidrBlock="2001:db8::/32"),
            stray,
        )
        for route in declared or ():
            to = route.destination

            def delete(item: Observed = item, to: str = to) -> object:
                return scene.ec2("delete_route", RouteTableId=item.id, DestinationCidrBlock=to)

            def lead(item: Observed = item, to: str = to) -> object:
                subnet = scene.subnet()
                other = scene.ec2("create_network_interface", SubnetId=subnet)["NetworkInterface"]
                return scene.ec2(
                    "replace_route", RouteTableId=item.id, DestinationCidrBlock=to,
                    NetworkInterfaceId=other["NetworkInterfaceId"],
                )  # fmt: skip

            yield Deed(f"{address} loses {to}", delete, (address,))
            yield Deed(f"{address} leads {to} elsewhere", lead, (address,))


def _gateway(scene: Scene) -> str:
    gateways = [item.id for item, _ in scene.of("internet_gateway")]
    return gateways[0]  # an IndexError where there is none


def permissions(scene: Scene) -> Iterator[Deed]:
    """Rules of security groups added and revoked."""
    for item, _ in scene.of("security_group"):
        rules = Address("security_group_rules", item.address.name)
        carrier, own = scene.desired.get(item.address), scene.desired.get(rules)
        for way in ("ingress", "egress"):
            declared = getattr(own.state, way) if own else None
            kept = carrier is not None and carrier.lifecycle.keep_others
            stray = () if declared is None or kept else (str(rules),)
            for number, source in enumerate(_sources(scene)):

                def add(item: Observed = item, way: str = way, source: Any = source) -> object:
                    return _permit(scene, "authorize", way, item.id, {**_PORT, **source})

                yield Deed(f"{rules} {way} gets a stray rule {number}", add, stray)
            if declared:

                def revoke(item: Observed = item, way: str = way) -> object:
                    ours = [row for row in _present(scene, item.id, way) if row.get("FromPort") != _PORT["FromPort"]]
                    return _permit(scene, "revoke", way, item.id, ours[-1])

                yield Deed(f"{rules} {way} loses a rule", revoke, (str(rules),))


_PORT = {"IpProtocol": "tcp", "FromPort": 3389, "ToPort": 3389}


def _sources(scene: Scene) -> list[dict[str, Any]]:
    group = next(item.id for item, _ in scene.of("security_group"))
    return [
        {"IpRanges": [{"CidrIp": "192.0.2.0/24"}]},
        {"Ipv6Ranges": [{"CidrIpv6": "2001:db8::/32"}]},
        {"UserIdGroupPairs": [{"GroupId": group}]},
    ]


def _permit(scene: Scene, verb: str, way: str, group: str, permission: dict[str, Any]) -> object:
    return scene.ec2(f"{verb}_security_group_{way}", GroupId=group, IpPermissions=[permission])


def _present(scene: Scene, group: str, way: str) -> list[dict[str, Any]]:
    (found,) = scene.ec2("describe_security_groups", GroupIds=[group])["SecurityGroups"]
    rules: list[dict[str, Any]] = found["IpPermissions" if way == "ingress" else "IpPermissionsEgress"]
    for rule in rules:
        for pair in rule.get("UserIdGroupPairs", ()):
            pair.pop("UserId", None)
    return rules


def changed_tags(scene: Scene) -> Iterator[Deed]:
    """Tags that the spec declares changed and removed, protection turned, and foreign ones added."""
    for item, wish in _tagged(scene):
        address = str(item.address)
        for key in sorted({"Name", *wish.tags} & item.tags.keys()):
            yield Deed(
                f"{address} tag {key} changed",
                partial(_tag, scene, item, key, "other"),
                (address,),
            )
        if tags.PREVENT_DESTROY in item.tags:
            yield Deed(
                f"{address} protection turned",
                partial(_tag, scene, item, tags.PREVENT_DESTROY, "false"),
                (address,),
            )
        yield Deed(f"{address} gets a foreign tag", partial(_tag, scene, item, "cost", "7"))


def removed_tags(scene: Scene) -> Iterator[Deed]:
    """Tags removed; not those of ownership, by which somebody lets a resource go."""
    for item, wish in _tagged(scene):
        for key in sorted({"Name", tags.PREVENT_DESTROY, tags.IMAGE, tags.USER_DATA, *wish.tags} & item.tags.keys()):
            remove = partial(behind.untag, scene.account, item.id, [key])
            yield Deed(f"{item.address} tag {key} removed", remove, (str(item.address),))


def _tagged(scene: Scene) -> Iterator[tuple[Observed, Any]]:
    for item in scene.found:
        if item.state.service and item.address in scene.desired:
            yield item, scene.desired[item.address]


def _tag(scene: Scene, item: Observed, key: str, value: str) -> None:
    behind.tag(scene.account, item.id, {key: value})
