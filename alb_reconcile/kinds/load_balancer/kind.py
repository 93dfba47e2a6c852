"""Drives Application Load Balancers (ELBv2 CreateLoadBalancer, SetSubnets, SetSecurityGroups, SetIpAddressType, DeleteLoadBalancer)."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Container, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Final, Self

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds import waits
from alb_reconcile.kinds._elb import LINKED_ROLE, HasAttributes, NamedKind, others_among
from alb_reconcile.kinds._health import wait_for_shift
from alb_reconcile.kinds._protection import unlocked
from alb_reconcile.kinds.base import Around, Entry, IamActions, Intent, Named, Zones
from alb_reconcile.kinds.context import Run, all_of
from alb_reconcile.kinds.grants import Grant, Scope
from alb_reconcile.kinds.load_balancer import checks
from alb_reconcile.kinds.load_balancer.audit import audit
from alb_reconcile.kinds.load_balancer.https import write_out
from alb_reconcile.kinds.load_balancer.logs import (
    bucket_refs,
    check_logs,
    name_buckets,
    named_buckets,
    with_bucket_arns,
    with_bucket_names,
)
from alb_reconcile.kinds.load_balancer.nodes import Moved, wait_for_old_nodes, wait_until_active, wait_until_gone
from alb_reconcile.kinds.quotas import Quota
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.kinds.recognition import Candidate, Evidence, Known, name_in_common
from alb_reconcile.kinds.security_group import worn_together
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.decisions import Decisions
from alb_reconcile.model.discovery import Discovery, Finding, Other
from alb_reconcile.model.errors import AwsError, Problem, ignoring
from alb_reconcile.model.nodes import Node, Path
from alb_reconcile.model.resource import Desired, Observed, bind, each_of
from alb_reconcile.model.service import Balancer, Entrance, Segment
from alb_reconcile.model.steps import Place, TakeOver

_PROTECTION: Final = "deletion_protection.enabled"
_USUAL: Final = {
    "ip_address_type": "ipv4",
    "attributes.idle_timeout.timeout_seconds": 60,
    "attributes.client_keep_alive.seconds": 3600,
    "attributes.load_balancing.cross_zone.enabled": True,
    "attributes.routing.http.desync_mitigation_mode": "defensive",
    "attributes.routing.http.xff_header_processing.mode": "append",
    "attributes.routing.http2.enabled": True,
}
"""AWS's defaults (ELBv2 LoadBalancerAttribute)."""


@dataclass(frozen=True, kw_only=True)
class LoadBalancer(Balancer):
    """A load balancer without its listeners."""

    kind = "load_balancer"
    worn = "security_groups"
    is_costly = True
    in_subnets = "subnets"
    service = "elbv2"
    removed_late = ("subnets", "security_groups", "ip_address_type")
    is_for_others = True
    addresses = 8
    missed = 3
    holds = frozenset({"security_groups"})
    replaced_on = frozenset({"scheme", "name"})
    follows = ("internet_gateway",)
    longest_name: ClassVar[int] = 32

    subnets: tuple[Ref, ...]
    scheme: str | None = None
    ip_address_type: str | None = None
    security_groups: tuple[Ref, ...] | None = None
    attributes: Mapping[str, str] | None = None
    ipam_pools: str | None = None
    """The id of the IPAM pool of its IPv4 addresses; empty for none."""
    web_acl: str | None = None
    """The web ACL's ARN; empty for none."""
    name: str | None = None

    def keeps_out(self) -> dict[str, str]:
        return {"web_acl": "the web ACL"} if self.web_acl else {}

    def slots(self) -> Iterable[Hashable]:
        return (("load balancer name", self.name),) if self.name else ()

    def expanded(self, observed: Self, zone_of: Callable[[Ref], str | None]) -> Self:
        """The same properties, with the observed security groups, subnets of other zones and address family added as far as AWS takes both.

        A load balancer has one subnet in a zone, so where a zone gets another subnet, one call exchanges the two.
        """
        zones = {zone_of(subnet) for subnet in self.subnets}
        more = {subnet for subnet in observed.subnets if zone_of(subnet) not in zones}
        subnets = tuple(sorted({*self.subnets, *more}, key=str))
        loses = observed.ip_address_type == "dualstack" and self.ip_address_type
        kind = observed.ip_address_type if loses else self.ip_address_type
        return replace(
            self,
            subnets=subnets,
            ip_address_type=kind,
            security_groups=worn_together(self.security_groups, observed.security_groups),
        )

    def named_after(self, found: Observed) -> Iterable[Sequence[object]]:
        return ([found.detail(Entrance).vpc, self.scheme],)


class LoadBalancerKind(NamedKind[LoadBalancer], HasAttributes[LoadBalancer]):
    """Drives load balancers."""

    properties = LoadBalancer
    noun = "a load balancer"
    position = 80
    section = "load_balancers"
    entry_checks = (checks.check_entries,)
    use_checks = (checks.check_use,)
    audits = (audit,)
    arn_type = "loadbalancer/app"
    missing = ("LoadBalancerNotFound",)
    quotas = (
        Quota("application-load-balancers", "application load balancers"),
        Quota("L-2AFB9258", "security groups on a network interface", 5, path="security_groups"),
    )
    protections: ClassVar = {f"attributes.{_PROTECTION}": "deletion protection"}
    usual = _USUAL
    chosen = frozenset({"name"})
    ready = frozenset({"active"})
    iam_actions = IamActions(
        read=(
            "elasticloadbalancing:DescribeLoadBalancers", "elasticloadbalancing:DescribeLoadBalancerAttributes",
            "elasticloadbalancing:DescribeTags", "wafv2:GetWebACLForResource", "wafv2:GetWebACL",
        ),
        look=(
            "elasticloadbalancing:DescribeAccountLimits", "servicequotas:GetServiceQuota", "wafv2:GetWebACL",
            "s3:GetBucketLocation", "s3:GetBucketPolicy",
        ),
        create=(
            "elasticloadbalancing:CreateLoadBalancer", "elasticloadbalancing:AddTags",
            "elasticloadbalancing:ModifyLoadBalancerAttributes", "iam:CreateServiceLinkedRole",
            "ec2:DescribeAccountAttributes", "ec2:DescribeAddresses", "ec2:GetSecurityGroupsForVpc",
            "wafv2:AssociateWebACL", "elasticloadbalancing:SetWebACL",
        ),
        update=(
            "elasticloadbalancing:SetSubnets", "elasticloadbalancing:SetSecurityGroups",
            "elasticloadbalancing:SetIpAddressType", "elasticloadbalancing:ModifyLoadBalancerAttributes",
            "elasticloadbalancing:ModifyIpPools", "wafv2:AssociateWebACL", "wafv2:DisassociateWebACL",
            "elasticloadbalancing:SetWebACL", "elasticloadbalancing:AddTags",
        ),
        delete=(
            "elasticloadbalancing:DeleteLoadBalancer", "elasticloadbalancing:ModifyLoadBalancerAttributes",
            "ec2:DescribeNetworkInterfaces",
        ),
        on={
            "elasticloadbalancing:CreateLoadBalancer": "loadbalancer/app+", "elasticloadbalancing:SetWebACL": "",
            "ec2:GetSecurityGroupsForVpc": "vpc@",
        },
        fields={"elasticloadbalancing:ModifyIpPools": "ipam_pools"},
    )  # fmt: skip

    def write_out(
        self, root: Node, invalid: Iterable[Path], schema: Mapping[str, Any], region: str | None
    ) -> list[Problem]:
        """Replace `https` by a certificate, records, a listener and a redirect."""
        return write_out(root, invalid, schema)

    def read_entry(self, name: str, entry: Entry, fields: dict[str, Any], around: Around) -> LoadBalancer:
        read: dict[str, Any] = {}
        if (pools := entry.get("ipam_pools")) is not None:
            read["ipam_pools"] = pools.get("ipv4_ipam_pool_id", "")
        if "web_acl" in entry:
            read["web_acl"] = "" if entry["web_acl"] == "none" else entry["web_acl"]
        if "attributes" in fields:
            read["attributes"] = bucket_refs(fields["attributes"], around.entries("log_buckets"))
        return LoadBalancer(**{**fields, **read})

    def suggest_name(self, state: LoadBalancer) -> str:
        return state.name or ""

    def write_entry(self, observed: Observed, entry: Entry, named: Named) -> Entry:
        if pool := entry.pop("ipam_pools", None):
            entry["ipam_pools"] = {"ipv4_ipam_pool_id": pool}
        if attributes := entry.get("attributes"):
            entry["attributes"] = name_buckets(attributes, named)
        return entry

    async def check_preconditions(
        self, aws: Aws, intents: Sequence[Intent], desired: Mapping[Address, Desired], zones: Zones
    ) -> list[Finding]:
        """Calls WAF GetWebACL for each web ACL that is to be associated, and S3 GetBucketLocation and GetBucketPolicy for each bucket
        outside of the stack that logs are to go to."""
        checks = (check(aws, item) for item in intents for check in (_check_web_acl, check_logs))
        found = await asyncio.gather(*checks)
        return [finding for part in found for finding in part]

    def grants(self, wanted: LoadBalancer, scope: Scope) -> Iterable[Grant]:
        yield scope.linked_role(*LINKED_ROLE)
        if buckets := named_buckets(wanted.attributes):
            yield Grant(("s3:GetBucketLocation", "s3:GetBucketPolicy"), tuple(map(scope.s3, buckets)))
        if wanted.web_acl is not None:
            balancers = scope.arn("elasticloadbalancing", "loadbalancer/app/*")
            acls = wanted.web_acl or scope.arn("wafv2", "regional/webacl/*")
            yield Grant(("elasticloadbalancing:SetWebACL",))
            yield Grant(("wafv2:GetWebACL",), (acls,))
            used = ("wafv2:GetWebACLForResource", "wafv2:AssociateWebACL", "wafv2:DisassociateWebACL")
            yield Grant(used, (acls, balancers))

    def check_plan(self, decisions: Decisions, discovery: Discovery) -> Iterable[Finding]:
        """Mistakes that show only with AWS's data: in subnets, since only AWS knows a foreign subnet's zone, VPC and ranges; and IPAM pools
        of an internal load balancer, if the spec doesn't give its scheme."""
        for item, state in each_of((decision.desired for decision in decisions.desired.values()), LoadBalancer):
            decision = decisions.desired[item.address]
            places = [decisions.location_of(subnet, discovery) for subnet in state.subnets]
            zones, vpcs = [place.zone for place in places if place.zone], {place.vpc for place in places if place.vpc}
            if len(vpcs) > 1:
                text = f"its subnets are in different VPCs ({', '.join(sorted(map(str, vpcs)))}); choose subnets of one"
                yield Finding(item, "subnets", text)
            if len(places) < 2:
                text = f"only one subnet is found ({state.subnets[0]}), and AWS requires two in different zones"
                yield Finding(item, "subnets", text)
            if len(set(zones)) < len(zones):
                text = f"two of its subnets are in one zone ({', '.join(sorted(zones))}); AWS allows one per zone"
                yield Finding(item, "subnets", text)
            without = [str(subnet) for subnet in state.subnets if _lacks_ipv6(subnet, decisions, discovery)]
            if (state.ip_address_type or "ipv4") != "ipv4" and without:
                text = f"{state.ip_address_type} needs an IPv6 range in each of its subnets; give {', '.join(without)} an ipv6_cidr_block"
                yield Finding(item, "ip_address_type", text)
            there = decision.found.state if decision.found and not decision.forces else None
            if state.ipam_pools and isinstance(there, LoadBalancer) and there.scheme == "internal":
                text = "are for public addresses, which this internal load balancer has none of; remove them"
                yield Finding(item, "ipam_pools", text)

    async def wait_for_old_nodes(self, run: Run, subnets: Mapping[str, Collection[Ref]]) -> None:
        await wait_for_old_nodes(run, subnets)

    async def others(self, reader: Reader) -> dict[str, Other]:
        return others_among(await reader.load_balancers(), reader, self.name)

    def evidence(self, desired: Desired, item: Candidate, known: Known) -> Evidence | None:
        wanted, found = known.bound(desired), self.of(item.found)
        listeners: list[Any] = [entry.state for entry in known.wanted("listener")]
        ports = {state.port for state in listeners if state.load_balancer == desired.address}
        shape = (
            wanted.scheme in (None, found.scheme)
            and set(wanted.subnets) == set(found.subnets)
            and ports <= known.once(_ports)[item.found.id]
        )
        if name := name_in_common(desired, item):
            return Evidence(0 if shape else 1, name, named=True)
        return Evidence(1, "its subnets and ports") if shape and not wanted.name else None

    async def discover(self, reader: Reader) -> list[Observed]:
        ours = [item for item in await reader.load_balancers() if reader.ours(item["Tags"])]
        return list(await asyncio.gather(*(self._observe(reader, item) for item in ours)))

    async def _observe(self, reader: Reader, item: dict[str, Any]) -> Observed:
        arn, found = item["LoadBalancerArn"], item["Tags"]
        address = tags.own_address(found, self.name, arn)
        wanted = reader.desired.get(address)
        attributes = None
        if reader.everything or (wanted and getattr(wanted.state, "attributes", None)):
            attributes = await self.read_attributes(reader.aws, arn)
        state = LoadBalancer(
            subnets=tuple(sorted(zone["SubnetId"] for zone in item["AvailabilityZones"])),
            scheme=item.get("Scheme"),
            ip_address_type=item.get("IpAddressType"),
            security_groups=tuple(sorted(item.get("SecurityGroups", ()))),
            attributes=with_bucket_arns(attributes, wanted.state if wanted else None, reader.aws.region),
            ipam_pools=(item.get("IpamPools") or {}).get("Ipv4IpamPoolId", ""),
            name=item["LoadBalancerName"],
            web_acl=await self._read_web_acl(reader, arn, wanted),
        )
        details = Entrance(dns_name=item.get("DNSName", ""), vpc=item.get("VpcId", ""))
        return Observed(
            address, arn, state, found, reader.stack, item["State"]["Code"], str(item.get("CreatedTime", "")), details
        )

    async def _read_web_acl(self, reader: Reader, arn: str, wanted: Desired | None) -> str | None:
        """The ARN of a load balancer's web ACL, which DescribeLoadBalancers doesn't show; None where the spec says nothing of a web ACL."""
        if reader.asks(wanted, "web_acl"):
            with ignoring("WAFNonexistentItemException"):
                read = reader.aws.call("wafv2", "get_web_acl_for_resource", ResourceArn=arn)
                answer = await reader.beside("the web ACL", read) or {}
                return str((answer.get("WebACL") or {}).get("ARN", ""))
        return None

    def takes(self, action: str, fields: Collection[str]) -> tuple[int, int]:
        """Until it is active (19 public logs of `terraform apply`: 126 to 192 s); for a delete, until its network interfaces are gone."""
        return {"update": (0, 2), "delete": (30, 120)}.get(action, (120, 200))

    async def create(self, run: Run, wanted: LoadBalancer, desired: Desired) -> str:
        name = wanted.name or run.physical_name(
            desired, [bind(run.step.detail(Place).vpc, run.ids), wanted.scheme], wanted.longest_name
        )
        params: dict[str, Any] = {}
        if wanted.security_groups is not None:
            params["SecurityGroups"] = list(wanted.security_groups)
        if wanted.ip_address_type is not None:
            params["IpAddressType"] = wanted.ip_address_type
        if wanted.ipam_pools:
            params["IpamPools"] = {"Ipv4IpamPoolId": wanted.ipam_pools}
        balancer = await self.create_named(
            run, desired, name, waits.BALANCER_UNKNOWN,
            Subnets=list(wanted.subnets), Scheme=wanted.scheme, Type="application", **params,
        )  # fmt: skip
        run.others.announce(balancer, usable=True)
        await all_of(
            self._write_attributes(run, balancer, wanted.attributes),
            _set_web_acl(run, balancer, wanted.web_acl) if wanted.web_acl else asyncio.sleep(0),
        )
        return balancer

    async def update(self, run: Run, wanted: LoadBalancer, observed: Observed, fields: frozenset[str]) -> None:
        change = partial(run.aws.call, "elbv2", retry=waits.BALANCER_UNKNOWN, LoadBalancerArn=observed.id)
        calls: list[Awaitable[object]] = []
        if "subnets" in fields:
            run.shared.of(Moved)[observed.id] = wanted.subnets
            calls.append(change("set_subnets", Subnets=list(wanted.subnets)))
        if "security_groups" in fields:
            calls.append(change("set_security_groups", SecurityGroups=list(wanted.security_groups or ())))
        if "ipam_pools" in fields:
            pools = {"IpamPools": {"Ipv4IpamPoolId": wanted.ipam_pools}}
            calls.append(change("modify_ip_pools", **pools if wanted.ipam_pools else {"RemoveIpamPools": ["ipv4"]}))
        if "web_acl" in fields:
            calls.append(_set_web_acl(run, observed.id, wanted.web_acl))
        await all_of(*calls)
        if "ip_address_type" in fields:  # after SetSubnets: the type must fit the new subnets
            await change("set_ip_address_type", IpAddressType=wanted.ip_address_type)
        await self._write_attributes(run, observed.id, wanted.attributes, fields)

    async def _write_attributes(
        self, run: Run, arn: str, wanted: Mapping[str, str] | None, changed: Container[str] | None = None
    ) -> None:
        """Set attributes; for logs to the stack's own bucket a refused call is repeated, since AWS sees the bucket's new policy late."""
        named = with_bucket_names(wanted or {})
        await self.write_attributes(run, arn, named, changed, waits.LOGS_DENIED if named != wanted else None)

    async def delete(self, run: Run, observed: Observed) -> None:
        takeover = run.step.detail(TakeOver)
        await wait_for_shift(run, takeover.shift)
        for address in takeover.successors:
            successor = run.ids.get(address)
            if successor and successor != observed.id:
                await wait_until_active(run, successor, waits.BALANCER_ACTIVE)
        off = {"LoadBalancerArn": observed.id, "Attributes": [{"Key": _PROTECTION, "Value": "false"}]}
        async with unlocked(run, "elbv2", "modify_load_balancer_attributes", missing=self.missing, **off) as retry:
            await self.call_delete(run, observed.id, retry)
        run.others.announce(observed.id, usable=True)  # the load balancer forwards no requests from now on
        await wait_until_gone(run, observed.id)

    async def wait_until_serving(self, run: Run, observed: Observed, timeout: float) -> None:
        await wait_until_active(run, observed.id, timeout)

    async def find_protections(self, aws: Aws, observed: Observed) -> Collection[str]:
        """Calls DescribeLoadBalancerAttributes, unless the attributes were read already."""
        attributes = self.of(observed).attributes
        if attributes is None:
            attributes = await self.read_attributes(aws, observed.id)
        return self.protections if (attributes or {}).get(_PROTECTION) == "true" else ()


async def _set_web_acl(run: Run, arn: str, acl: str | None) -> None:
    """Associate a web ACL, or remove it (empty). A load balancer has one at most: a new one replaces the old one without a gap."""
    if acl:
        await run.aws.call("wafv2", "associate_web_acl", retry=waits.WEB_ACL_UNKNOWN, WebACLArn=acl, ResourceArn=arn)
    else:
        await run.aws.call("wafv2", "disassociate_web_acl", retry=waits.WEB_ACL_UNKNOWN, ResourceArn=arn)


async def _check_web_acl(aws: Aws, item: Intent) -> list[Finding]:
    """What is wrong with the web ACL that a load balancer is to have (WAF GetWebACL); nothing where these credentials may not read it."""
    arn: str = item.wanted.web_acl or ""
    if not arn or (item.fields is not None and "web_acl" not in item.fields):
        return []
    try:
        await aws.call("wafv2", "get_web_acl", ARN=arn)
    except AwsError as error:
        if error.code == "WAFNonexistentItemException":
            text = f"there is no web ACL {arn} in this region and account; create it, or correct the ARN"
            return [Finding(item.desired, "web_acl", text)]
    return []


def _ports(known: Known) -> Mapping[str, set[int]]:
    """The ports of each load balancer's listeners, by the load balancer's ARN."""
    found = defaultdict[str, set[int]](set)
    for state in known.there("listener"):
        found[str(state.load_balancer)].add(state.port)
    return found


def _lacks_ipv6(subnet: Ref, decisions: Decisions, discovery: Discovery) -> bool:
    """Whether a subnet is known to have no IPv6 range, and the spec gives it none."""
    entry = decisions.desired.get(subnet) if isinstance(subnet, Address) else None
    if entry is not None and isinstance(entry.desired.state, Segment) and entry.desired.state.location.has_ipv6:
        return False
    return decisions.location_of(bind(subnet, decisions.ids), discovery).has_ipv6 is False


KIND: Final = LoadBalancerKind()
