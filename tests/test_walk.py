"""Nobody leaves the tool because a load balancer can do something that a spec can't say.

The walk goes over all that AWS can be told of application load balancers: the input members of ELBv2's Create, Modify, Set and Add
calls, and of the calls that associate a web ACL, in botocore's models. Each must be some key's `x-aws`, or be excluded with AWS's
document and a reason.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from alb_reconcile.model.text import camel
from alb_reconcile.spec.schema import resolved
from tests.test_conformance import model, properties

if TYPE_CHECKING:
    from collections.abc import Iterator

Member = tuple[str, str]
"""A shape, and the name of a member of it."""
VERBS: Final = ("Create", "Modify", "Set", "Add")
ASSOCIATION: Final = ("AssociateWebACL", "DisassociateWebACL", "GetWebACLForResource")
KINDS: Final = ("load_balancer", "listener", "rule", "target_group", "registration", "trust_store")
API: Final = "ELBv2 API Reference"

EXCLUDED: Final[dict[str, tuple[str, str]]] = {
    # what the tool says by itself
    "*.LoadBalancerArn": (f"{API}, CreateListener", "the place of the entry in the file says it"),
    "*.ListenerArn": (f"{API}, CreateRule", "the place of the entry in the file says it"),
    "*.RuleArn": (f"{API}, ModifyRule", "the entry's own, found by its tags"),
    "*.TrustStoreArn": (f"{API}, ModifyTrustStore", "the entry's own, found by its tags"),
    "*.ResourceArn": ("AWS WAF API Reference, AssociateWebACL", "the load balancer's own"),
    "*.ResourceArns": (f"{API}, AddTags", "the entry's own, found by its tags"),
    "*.TargetGroupArn@input": (f"{API}, ModifyTargetGroup", "the entry's own, found by its tags"),
    "CreateLoadBalancer.Type": (f"{API}, CreateLoadBalancer", "application, always: the others are other products"),
    "Action.Type": (f"{API}, Action", "the key of the action says it"),
    "Action.Order": (f"{API}, Action", "what authenticates comes before what routes, and there is one of each at most"),
    "Action.TargetGroupArn": (f"{API}, Action", "an older form of ForwardConfig with one group, which says the same"),
    "RuleCondition.Field": (f"{API}, RuleCondition", "the key of the condition says it"),
    "RuleCondition.Values": (f"{API}, RuleCondition", "an older form of HostHeaderConfig and PathPatternConfig, which says the same"),
    "RuleCondition.RegexValues": (f"{API}, RuleCondition", "another form of the RegexValues of the configs, which says the same"),
    "RuleTransform.Type": (f"{API}, RuleTransform", "the key of the transform says it"),
    "Certificate.IsDefault": (f"{API}, AddListenerCertificates", "'do not set IsDefault': certificate_arn is the default one"),
    "AuthenticateOidcActionConfig.UseExistingClientSecret": (f"{API}, AuthenticateOidcActionConfig", "set where the secret is unchanged"),
    "ModifyCapacityReservation.ResetCapacityReservation": (f"{API}, ModifyCapacityReservation", "minimum_load_balancer_capacity: {} says it"),
    "ModifyIpPools.RemoveIpamPools": (f"{API}, ModifyIpPools", "ipam_pools: {} says it"),
    "ModifyRule.ResetTransforms": (f"{API}, ModifyRule", "transforms: [] says it"),
    "MutualAuthenticationAttributes.TrustStoreAssociationStatus": (
        f"{API}, MutualAuthenticationAttributes", "'Indicates a shared trust stores association status': AWS's answer, not a setting",
    ),
    "RulePriorityPair.RuleArn": (f"{API}, SetRulePriorities", "the entry's own, found by its tags"),
    "RulePriorityPair.Priority": (f"{API}, SetRulePriorities", "a rule's priority says it"),
    "Matcher.GrpcCode": (f"{API}, Matcher", "matcher says it, where the protocol version is GRPC"),
    # what ALBs don't have
    "SubnetMapping.SubnetId": (f"{API}, CreateLoadBalancer", "subnets says the same: ALBs take no more of a mapping than the subnet"),
    "SubnetMapping.AllocationId": (f"{API}, SubnetMapping", "[Network Load Balancers]; ALBs: 'You can't specify Elastic IP addresses'"),
    "SubnetMapping.PrivateIPv4Address": (f"{API}, SubnetMapping", "[Network Load Balancers]"),
    "SubnetMapping.IPv6Address": (f"{API}, SubnetMapping", "[Network Load Balancers]"),
    "SubnetMapping.SourceNatIpv6Prefix": (f"{API}, SubnetMapping", "[Network Load Balancers with UDP listeners]"),
    "*.EnablePrefixForIpv6SourceNat": (f"{API}, CreateLoadBalancer", "[Network Load Balancers with UDP listeners]"),
    "SetSecurityGroups.EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic": (
        f"{API}, SetSecurityGroups", "'for traffic sent to a Network Load Balancer through AWS PrivateLink'",
    ),
    "*.AlpnPolicy": (f"{API}, CreateListener", "[TLS listeners], which only Network Load Balancers have"),
    "SourceIpConditionConfig.IpAddressType": (f"{API}, SourceIpConditionConfig", "'The IP address type for Network Load Balancers'"),
    "ClientCertificateIdentityFilter.Field": (f"{API}, MutualAuthenticationAttributes", "[Network Load Balancers]"),
    "ClientCertificateIdentityFilter.Action": (f"{API}, MutualAuthenticationAttributes", "[Network Load Balancers]"),
    "ClientCertificateIdentityFilter.MatchType": (f"{API}, MutualAuthenticationAttributes", "[Network Load Balancers]"),
    "ClientCertificateIdentityFilter.Value": (f"{API}, MutualAuthenticationAttributes", "[Network Load Balancers]"),
}  # fmt: skip
"""Members that no key says, each with AWS's document and the reason."""


def leaves(service: str, shape: str, name: str, path: tuple[str, ...] = ()) -> Iterator[Member]:
    """The members below a shape that hold a value: each with the shape that it is in. Inputs go by their operation's name."""
    found = model(service)["shapes"][shape]
    if found["type"] == "list":
        yield from leaves(service, found["member"]["shape"], found["member"]["shape"], path)
    for member, below in found.get("members", {}).items() if found["type"] == "structure" else ():
        inner = model(service)["shapes"][below["shape"]]
        while inner["type"] == "list":
            below = inner["member"]
            inner = model(service)["shapes"][below["shape"]]
        if inner["type"] != "structure":
            yield name, member
        elif below["shape"] not in path:
            yield from leaves(service, below["shape"], below["shape"], (*path, below["shape"]))


@cache
def inputs() -> dict[str, tuple[str, str]]:
    """The shapes of inputs, by operation."""
    found = {}
    for service in ("elbv2", "wafv2"):
        for name, operation in model(service)["operations"].items():
            if name.startswith(VERBS) if service == "elbv2" else name in ASSOCIATION:
                found[name] = (service, operation["input"]["shape"])
    return found


@cache
def members() -> frozenset[Member]:
    """All that AWS can be told."""
    return frozenset(item for name, (service, shape) in inputs().items() for item in leaves(service, shape, name))


@cache
def said() -> frozenset[Member]:
    """All that a spec can say, by the `x-aws` of its keys: OPERATION or SHAPE, then the way to the member."""
    found: set[Member] = {("Tag", "Key"), ("Tag", "Value")}
    for kind in KINDS:
        for _, item in properties(resolved(kind)):
            found |= set(resolve(kind, item.get("x-aws", "")))
    return frozenset(found)


def resolve(kind: str, term: str) -> Iterator[Member]:
    """The members that an `x-aws` means; a word alone is a member of the call that creates the kind."""
    first, _, way = term.partition(" ")
    shapes = {**model("elbv2")["shapes"], **model("wafv2")["shapes"]}
    start = inputs().get(first, ("", first))[1]
    if first in ("ModifyLoadBalancerAttributes", "ModifyTargetGroupAttributes", "ModifyListenerAttributes"):
        attribute = first.removeprefix("Modify").removesuffix("s")
        yield from ((attribute, "Key"), (attribute, "Value"))
    if not way and f"Create{camel(kind)}" in inputs():
        first, way = f"Create{camel(kind)}", first
        start = inputs()[first][1]
    if not way or start not in shapes:
        return
    *inner, last = way.split(".")
    name = first
    for step in inner:
        below = shapes[start]["members"][step]["shape"]
        while shapes[below]["type"] == "list":
            below = shapes[below]["member"]["shape"]
        start = name = below
    if last in shapes[start].get("members", {}):
        yield name, last


def covers(member: Member) -> bool:
    """Whether a key says it: in that call, or in the one that creates what the call changes."""
    name, key = member
    creates = [operation for operation in inputs() if operation.startswith("Create")]
    return member in said() or (name in inputs() and any((other, key) in said() for other in creates))


def is_excluded(member: Member) -> bool:
    name, key = member
    marks = {f"{name}.{key}", f"*.{key}"} if name in inputs() else {f"{name}.{key}"}
    return bool(marks & EXCLUDED.keys()) or (name in inputs() and f"*.{key}@input" in EXCLUDED)


def test_a_spec_can_say_all_that_aws_can_be_told() -> None:
    missing = {f"{name}.{key}" for name, key in members() if not covers((name, key)) and not is_excluded((name, key))}
    assert sorted(missing) == []
    assert len(members()) > 100, "it would hold for nothing if the model had another form"


def test_no_exclusion_is_left_over() -> None:
    """Each excludes something that is there and that no key says."""
    names = {f"{name}.{key}" for name, key in members()}
    ends = {f"*.{key}" for name, key in members() if name in inputs()}
    assert sorted(item for item in EXCLUDED if item.removesuffix("@input") not in names | ends) == []
    assert (
        sorted(f"{name}.{key}" for name, key in members() if (name, key) in said() and f"{name}.{key}" in EXCLUDED)
        == []
    )
