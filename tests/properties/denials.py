"""Where actions are denied: in the life of each kind's example, where its entry is taken away, and on ways that call what nothing of
that does."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from alb_reconcile.engine.blockers import IAM_ACTIONS as BLOCKERS
from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds._rare import IAM_ACTIONS as RARE
from tests.harness import Spec, by_hand, demo
from tests.kinds.example import example_of, path_of, place_of
from tests.kinds.hand import edited
from tests.kinds.test_authentication import COGNITO, SECRET, behind, oidc
from tests.kinds.test_authentication import put as put_parameter
from tests.kinds.test_encryption import CONTROL, ENFORCED, PLAIN
from tests.kinds.test_instance_options import LAUNCHED, STOPPED, web
from tests.kinds.test_instance_profile import TRUST, opened, with_profile
from tests.kinds.test_listener import answer, upload_certificates
from tests.kinds.test_load_balancer import ACLS, make_web_acls
from tests.kinds.test_log_bucket import DELIVERY, logging, somebodys
from tests.kinds.test_persistent_volumes import kept
from tests.kinds.test_route_table import split
from tests.kinds.test_targets_by_function import make_function, with_function
from tests.kinds.test_vpc_endpoint import ssm
from tests.properties.examples import loads
from tests.properties.scenarios import Way
from tests.properties.scenes import ALLOW, ways_of
from tests.properties.test_lives import STAYS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.properties.watched import WatchedWorld

KINDS = load_kinds()
ELB = "elasticloadbalancing"
BACK, ALONE = "change back", "entry taken away"
NOT_ASKED = {
    "kms:CreateGrant": "AWS asks for it itself, for a disk that a customer's key encrypts",
    "kms:Decrypt": "the same, and for a client secret",
    "kms:DescribeKey": "the same, for a disk",
    "kms:GenerateDataKeyWithoutPlaintext": "the same, for a disk",
    "kms:ReEncryptFrom": "the same, for a disk",
    "kms:ReEncryptTo": "the same, for a disk",
    "s3:GetObjectVersion": "AWS asks for it where a version of a file is named; here it is s3:GetObject, whatever is named",
}
"""Actions that kinds state and nothing here asks for (`tests/kinds/authorization.py`), each with the reason."""


@dataclass(frozen=True)
class Part:
    """A way on which actions of a kind are denied."""

    kind: str
    way: Way
    actions: frozenset[str] = frozenset()
    """Those for which it is here: no example's life calls them."""
    prepare: Callable[[], None] = lambda: None
    """Makes what the specs only name."""
    by_hand: Callable[[WatchedWorld], None] = field(default=lambda world: None)
    """What somebody does before the run."""

    def begin(self, world: WatchedWorld) -> None:
        """Let there be what there is before the run."""
        self.prepare()
        if self.way.before:
            world.converge(self.way.before(), **self.way.options)
        self.by_hand(world)
        world.clock.advance(example_of(self.kind).rest)

    @property
    def denied(self) -> frozenset[str]:
        """What is denied, as far as it is called."""
        return stated(self.kind) | self.actions


def stated(kind: str) -> frozenset[str]:
    """The actions that a kind states."""
    found = KINDS[kind].iam_actions
    return frozenset({*found.read, *found.look, *found.create, *found.update, *found.delete})


def every_action() -> frozenset[str]:
    """All that any policy allows, but for look-ups and leases."""
    return frozenset({*BLOCKERS, *RARE}.union(*map(stated, KINDS)))


def parts_of(kind: str) -> dict[str, Part]:
    """The life of its example, the change undone, its entry taken away, and ways of its own."""
    ways, example = ways_of(kind), example_of(kind)
    if change := ways.get("change"):
        ways[BACK] = Way(change.after, change.before, options=change.options)
    without = without_entry(kind)
    if loads(without) and kind not in STAYS:
        options = {"allow": {**ALLOW, **example.allow}}
        ways[ALONE] = Way(lambda: example.spec, lambda: without, options=options)
    found = {name: Part(kind, way, prepare=example.prepare) for name, way in ways.items()}
    for (own, name), action in _CALLED.items():
        if own == kind:
            found[name] = replace(found[name], actions=frozenset({action}))
    return found | {name: part for name, part in FURTHER.items() if part.kind == kind}


def without_entry(kind: str) -> Spec:
    """A kind's example without what it is an example of."""
    example = example_of(kind)
    spec = copy.deepcopy(example.spec)
    if kind in _NONE:
        for path, value in _NONE[kind].items():
            spec = edited(spec, path, value)
        return spec
    *above, name = path_of(spec, example.address)
    del place_of(spec, above)[name]
    return spec


_NONE: Mapping[str, Mapping[str, Any]] = {
    "registration": {"target_groups/web/targets": []},
    "security_group_rules": {"security_groups/web/ingress": [], "security_groups/web/egress": []},
    "elastic_ip_association": {"instances/web/elastic_ip": None, "elastic_ips/main": None},
}
"""What says in an example that there is none, where no entry is one."""
_CALLED = {
    ("listener", ALONE): f"{ELB}:DeleteListener",
    ("rule", ALONE): f"{ELB}:DeleteRule",
    ("registration", ALONE): f"{ELB}:DeregisterTargets",
    ("elastic_ip_association", ALONE): "ec2:DisassociateAddress",
    ("instance", BACK): "ec2:StartInstances",
    ("nat_gateway", BACK): "ec2:UnassignPrivateNatGatewayAddress",
}
"""What is called where one goes without what it is in, or where its change is undone; and isn't in its life."""


def _id_of(world: WatchedWorld, spec: Spec, address: str) -> str:
    return next(item.id for item in world.discover(spec).resources if str(item.address) == address and not item.is_gone)


def _logins() -> Spec:
    """HTTPS behind a login, whose client secret SSM has, and two rules: Secrets Manager has that of one, the other has a user pool."""
    spec = behind(oidc(ssm="/web/oidc"))
    rules = spec["load_balancers"]["public"]["listeners"]["https"]["rules"]
    for number, (name, action) in enumerate(
        (("b", oidc(secretsmanager="web/oidc")), ("c", {"authenticate_cognito": COGNITO}))
    ):
        condition = [{"path_pattern": f"/{name}"}]
        rules[name] = {"priority": 10 + number, "conditions": condition, "action": {**action, **answer(404)}}
    return spec


def _keep_secrets() -> None:
    upload_certificates()
    put_parameter()
    by_hand("secretsmanager").create_secret(Name="web/oidc", SecretString=SECRET)


def _other_secrets(_: WatchedWorld) -> None:
    put_parameter("the next one")
    by_hand("secretsmanager").put_secret_value(SecretId="web/oidc", SecretString="the next one")


def _addresses(count: int) -> Spec:
    """An instance with so many IPv6 addresses."""
    spec = copy.deepcopy(example_of("registration").spec)
    spec["vpcs"]["main"]["amazon_provided_ipv6_cidr_block"] = True
    spec["subnets"]["a"]["ipv6_cidr_block"] = 0
    spec["instances"]["app"]["ipv6_address_count"] = count
    return spec


def _described(text: str) -> Spec:
    rule = {"protocol": "tcp", "port": 80, "cidr_block": "10.0.0.0/8", "description": text}
    spec = edited(example_of("security_group_rules").spec, "security_groups/web/ingress", [rule])
    return edited(spec, "security_groups/web/egress", [rule])


def _let_in_another_account(world: WatchedWorld) -> None:
    group = _id_of(world, example_of("security_group_rules").spec, "security_group.web")
    pair = {"GroupId": group, "UserId": "999999999999"}
    permission = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "UserIdGroupPairs": [pair]}
    world.client("ec2").authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])


def _lead_elsewhere(world: WatchedWorld) -> None:
    ec2 = world.client("ec2")
    subnet, table = (_id_of(world, demo(), address) for address in ("subnet.public-a", "route_table.public"))
    interface = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    ec2.replace_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", NetworkInterfaceId=interface)


def _leave_the_role(world: WatchedWorld) -> None:
    iam = world.client("iam")
    for item in iam.list_instance_profiles()["InstanceProfiles"]:
        name = item["InstanceProfileName"]
        iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=name)
        iam.delete_instance_profile(InstanceProfileName=name)


def _open_the_role(_: WatchedWorld) -> None:
    opened(trust={**TRUST, "Statement": [{**TRUST["Statement"][0], "Principal": {"AWS": "*"}}]})


def _walled(acl: str) -> Spec:
    return edited(demo(), "load_balancers/public/web_acl", acl)


def _tenancy(value: str) -> Spec:
    return edited(PLAIN, "vpcs/main/instance_tenancy", value)


def _function() -> None:
    make_function("orders")


def _logs_of_others() -> None:
    somebodys({"Version": "2012-10-17", "Statement": DELIVERY})


_IN_PLACE = {"count": 1, "type_change": "in-place", "rollout": {"max_unavailable": 1}}
_SAY = frozenset(
    {"ssm:DescribeParameters", "ssm:GetParameter", "secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"}
)
_ALLOWED = {"allow": ALLOW}


def _ec2(*names: str) -> frozenset[str]:
    return frozenset(f"ec2:{name}" for name in names)


FURTHER: Mapping[str, Part] = {
    "logins": Part(
        "listener", Way(None, _logins), _SAY | {"cognito-idp:DescribeUserPoolClient"}, prepare=_keep_secrets
    ),
    "other secrets": Part("rule", Way(_logins, _logins), _SAY, prepare=_keep_secrets, by_hand=_other_secrets),
    "a function": Part(
        "registration", Way(None, with_function),
        frozenset({"lambda:AddPermission", "lambda:GetFunctionConfiguration", "lambda:GetPolicy"}), prepare=_function,
    ),
    "a function goes": Part(
        "registration", Way(with_function, demo, options=_ALLOWED), frozenset({"lambda:RemovePermission"}), prepare=_function,
    ),
    "in place": Part(
        "instance", Way(lambda: web(**LAUNCHED, count=1), lambda: web(**STOPPED, **_IN_PLACE)),
        _ec2("ModifyInstancePlacement", "ModifyInstanceCapacityReservationAttributes", "ModifyInstanceCpuOptions",
            "ModifyInstanceNetworkPerformanceOptions"),
    ),
    "an image": Part("instance", Way(None, demo), frozenset({"ssm:GetParameters"})),
    "more addresses": Part("instance", Way(lambda: _addresses(1), lambda: _addresses(3)), _ec2("AssignIpv6Addresses")),
    "fewer addresses": Part("instance", Way(lambda: _addresses(3), lambda: _addresses(1)), _ec2("UnassignIpv6Addresses")),
    "a profile": Part("instance", Way(demo, with_profile), _ec2("AssociateIamInstanceProfile")),
    "a volume": Part("instance", Way(None, kept), _ec2("CreateVolume", "AttachVolume")),
    "its role is there": Part(
        "instance_profile", Way(lambda: example_of("instance_profile").spec, lambda: example_of("instance_profile").spec),
        frozenset({"iam:ListRoleTags"}), by_hand=_leave_the_role,
    ),
    "its role is open": Part(
        "instance_profile", Way(lambda: example_of("instance_profile").spec, lambda: example_of("instance_profile").spec),
        frozenset({"iam:UpdateAssumeRolePolicy"}), by_hand=_open_the_role,
    ),
    "logs of its own": Part("log_bucket", Way(logging, None, options=_ALLOWED), frozenset({"s3:DeleteObject"})),
    "logs elsewhere": Part(
        "load_balancer", Way(None, lambda: logging("our-logs")), frozenset({"s3:GetBucketLocation"}), prepare=_logs_of_others,
    ),
    "no web ACL": Part(
        "load_balancer", Way(lambda: _walled(ACLS[0]), lambda: _walled("none"), options={"allow": {"remove-authentication": 1}}),
        frozenset({"wafv2:DisassociateWebACL"}), prepare=make_web_acls,
    ),
    "a route leads elsewhere": Part("route_table", Way(demo, demo), _ec2("ReplaceRoute"), by_hand=_lead_elsewhere),
    "another table": Part(
        "route_table", Way(lambda: split(["public-a", "public-b"], []), lambda: split(["public-a"], ["public-b"])),
        _ec2("ReplaceRouteTableAssociation"),
    ),
    "descriptions": Part(
        "security_group_rules", Way(lambda: _described("a"), lambda: _described("b")),
        _ec2("UpdateSecurityGroupRuleDescriptionsIngress", "UpdateSecurityGroupRuleDescriptionsEgress"),
    ),
    "another account's group": Part(
        "security_group_rules", Way(lambda: example_of("security_group_rules").spec, lambda: example_of("security_group_rules").spec),
        _ec2("DescribeSecurityGroupRules"), by_hand=_let_in_another_account,
    ),
    "another region's service": Part(
        "vpc_endpoint", Way(None, lambda: ssm(service_region="eu-west-1")), frozenset({"vpce:AllowMultiRegion"}),
    ),
    "encryption": Part("vpc", Way(lambda: PLAIN, lambda: ENFORCED), _ec2("CreateVpcEncryptionControl")),
    "no encryption": Part(
        "vpc", Way(lambda: ENFORCED, lambda: edited(PLAIN, CONTROL, {})), _ec2("DeleteVpcEncryptionControl"),
    ),
    "tenancy": Part("vpc", Way(lambda: _tenancy("dedicated"), lambda: _tenancy("default")), _ec2("ModifyVpcTenancy")),
    "a network goes": Part("vpc", Way(demo, None, options=_ALLOWED), frozenset(BLOCKERS)),
}  # fmt: skip
"""By name. An entry that is taken away is in `parts_of`."""
