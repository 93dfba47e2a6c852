"""Drives VPC endpoints (EC2 CreateVpcEndpoint, ModifyVpcEndpoint, DeleteVpcEndpoints)."""

import json
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Self

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.polling import WaitError
from alb_reconcile.kinds import waits
from alb_reconcile.kinds._ec2 import Ec2Kind, Interfaces, Row
from alb_reconcile.kinds.base import Around, Entry, IamActions, Intent, Listing, Named, Zones
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.grants import Grant, Scope
from alb_reconcile.kinds.quotas import Quota
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.kinds.vpc_endpoint import checks
from alb_reconcile.kinds.vpc_endpoint.endpoint_types import (
    GATEWAY,
    INTERFACE,
    LOAD_BALANCER,
    ONLY_INBOUND,
    full_name,
    gateway_name,
    type_of,
)
from alb_reconcile.kinds.vpc_endpoint.services import find_lost_services
from alb_reconcile.kinds.vpc_endpoint.subnets import MISSING, exchange_subnets, read_endpoints
from alb_reconcile.model.abilities import keep_others
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.discovery import Finding
from alb_reconcile.model.errors import AwsError, RefusedError, ignoring
from alb_reconcile.model.policy_document import PolicyDocument
from alb_reconcile.model.resource import Desired, Observed, Properties
from alb_reconcile.model.text import camel

_LISTS: Final = {"route_tables": "RouteTableIds", "subnets": "SubnetIds", "security_groups": "SecurityGroupIds"}
_DNS_OPTIONS: Final = ("dns_record_ip_type", ONLY_INBOUND)
_USUAL: Final = {
    "private_dns_enabled": True,
    "ip_address_type": "ipv4",
    "dns_options.dns_record_ip_type": "ipv4",
}
_FULL_ACCESS: Final = {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]}
_GIVEN: Final = {
    PolicyDocument.of({"Version": version, **_FULL_ACCESS}).meaning for version in ("2008-10-17", "2012-10-17")
}
"""The policies that AWS gives an endpoint by default (AWS PrivateLink Guide, "Default endpoint policy")."""
_TAKEN: Final = ("RouteAlreadyExists", "InvalidParameter~conflicting DNS domain")
"""AWS's error codes where another endpoint has the service's route, or the service's private DNS name, already."""
_OVER: Final = ("failed", "rejected", "expired")


@dataclass(frozen=True, kw_only=True)
class VpcEndpoint(Properties):
    """An endpoint: a private way from a VPC to a service."""

    kind = "vpc_endpoint"
    worn = "security_groups"
    service = "ec2"
    in_vpc = "vpc"
    carries_applied = True
    addresses = 1
    in_subnets = "subnets"
    holds = frozenset({"security_groups"})
    ways = frozenset({"route_tables"})
    replaced_on = frozenset({"vpc", "service_name", "vpc_endpoint_type"})
    leaving = frozenset({"deleting"})
    gone = frozenset({"deleted"})

    vpc: Ref
    service_name: str
    vpc_endpoint_type: str | None = None
    route_tables: tuple[Ref, ...] | None = None
    subnets: tuple[Ref, ...] | None = None
    security_groups: tuple[Ref, ...] | None = None
    private_dns_enabled: bool | None = None
    ip_address_type: str | None = None
    dns_options: Mapping[str, Any] | None = None
    policy_document: PolicyDocument | None = None

    def with_others(self, observed: Self) -> Self:
        return replace(self, route_tables=keep_others(self.route_tables, observed.route_tables, str))

    def slots(self) -> Iterable[Hashable]:
        if self.private_dns_enabled:
            yield "private DNS", str(self.vpc), self.service_name
        for table in self.route_tables or ():
            yield "endpoint's route", str(table), self.service_name

    def needs(self, other: Properties) -> bool:
        """An interface endpoint for S3 needs S3's gateway endpoint in its VPC, if its private DNS is for inbound resolvers only, which is
        AWS's default (EC2 DnsOptionsSpecification)."""
        is_open = (self.dns_options or {}).get(ONLY_INBOUND) is False
        return (
            isinstance(other, VpcEndpoint)
            and (self.vpc_endpoint_type, other.vpc_endpoint_type) == (INTERFACE, GATEWAY)
            and (self.vpc, gateway_name(self.service_name)) == (other.vpc, other.service_name)
            and self.service_name.endswith(".s3")
            and not (is_open or self.private_dns_enabled is False)
        )

    def remark(self, found: Observed) -> str:
        """A state that only a user, or the service's owner, can mend, in words."""
        if found.status == "pendingacceptance":
            return f"waits for the owner of {self.service_name} to accept it"
        if found.status in _OVER:
            why = f" ({found.reason})" if found.reason else ""
            return f"is {found.status}{why}; delete {found.id} by hand, and apply again"
        return ""


class VpcEndpointKind(Ec2Kind[VpcEndpoint]):
    """Drives VPC endpoints."""

    properties = VpcEndpoint
    noun = "a VPC endpoint"
    position = 58
    section = "vpc_endpoints"
    entry_checks = (checks.check_entries,)
    use_checks = (checks.check_use,)
    id_prefix = "vpce-"
    listing = Listing("describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId", "vpc-endpoint-id")
    is_rare = True
    usual = _USUAL
    missing = MISSING
    ready = frozenset({"available"})
    quotas = (
        Quota("L-1B52E74A", "gateway endpoints", 20, only={"vpc_endpoint_type": (GATEWAY,)}),
        # AWS PrivateLink quotas: "a combined quota for interface endpoints and Gateway Load Balancer endpoints"
        Quota(
            "L-29B6F2EB", "interface endpoints", 50, ("vpc",), only={"vpc_endpoint_type": (INTERFACE, LOAD_BALANCER)}
        ),
    )
    iam_actions = IamActions(
        read=("ec2:DescribeVpcEndpoints",),
        look=("servicequotas:GetServiceQuota", "ec2:DescribeVpcEndpointServices"),
        create=("ec2:CreateVpcEndpoint", "ec2:CreateTags", "route53:AssociateVPCWithHostedZone"),
        update=("ec2:ModifyVpcEndpoint", "ec2:CreateTags", "ec2:DescribeSubnets", "ec2:DescribeNetworkInterfaces"),
        delete=("ec2:DeleteVpcEndpoints",),
        on={
            "ec2:CreateVpcEndpoint": "vpc-endpoint+ vpc subnet route-table security-group",
            "ec2:ModifyVpcEndpoint": "vpc-endpoint subnet route-table security-group",
        },
    )  # fmt: skip

    def read_entry(self, name: str, entry: Entry, fields: dict[str, Any], around: Around) -> VpcEndpoint:
        service = full_name(fields["service_name"], around.region)
        own: dict[str, Any] = {"vpc_endpoint_type": type_of(entry), "service_name": service}
        if "policy_document" in entry:
            own["policy_document"] = PolicyDocument.of(entry["policy_document"])
        return VpcEndpoint(**{**fields, **own})

    def write_entry(self, observed: Observed, entry: Entry, named: Named) -> Entry:
        state = self.of(observed)
        entry["service_name"] = entry["service_name"].removeprefix(f"com.amazonaws.{named.region}.")
        if type_of({**entry, "vpc_endpoint_type": None}) == state.vpc_endpoint_type:
            entry.pop("vpc_endpoint_type", None)
        if state.vpc_endpoint_type == INTERFACE and not state.private_dns_enabled:
            entry["private_dns_enabled"] = False
        else:
            entry.pop("private_dns_enabled", None)
        if state.policy_document and state.policy_document.meaning not in _GIVEN:
            entry["policy_document"] = json.loads(state.policy_document.text)
        return entry

    def suggest_name(self, state: VpcEndpoint) -> str:
        return state.service_name.rpartition(".")[2]

    def why_builtin(self, row: Mapping[str, Any]) -> str:
        return "" if row.get("ServiceName") else "an endpoint to VPC Lattice, which isn't managed"

    async def check_preconditions(
        self, aws: Aws, intents: Sequence[Intent], desired: Mapping[Address, Desired], zones: Zones
    ) -> list[Finding]:
        """Services that the region doesn't have."""
        return await find_lost_services(aws, intents)

    def takes(self, action: str, fields: Collection[str]) -> tuple[int, int]:
        """Seconds for network interfaces, which AWS makes and deletes in minutes; a gateway endpoint has none and is ready at once."""
        return {"update": (0, 60), "delete": (5, 300)}.get(action, (2, 180))

    def grants(self, wanted: VpcEndpoint, scope: Scope) -> Iterable[Grant]:
        if wanted.private_dns_enabled:
            yield Grant(("route53:AssociateVPCWithHostedZone",), (scope.zone("*"),))

    async def discover(self, reader: Reader) -> list[Observed]:
        return [self._observe(reader, row) for row in await self.own_rows(reader)]

    def _observe(self, reader: Reader, row: Row) -> Observed:
        options = row.get("DnsOptions") or {}
        state = VpcEndpoint(
            vpc=row["VpcId"],
            service_name=row.get("ServiceName") or "",
            vpc_endpoint_type=row.get("VpcEndpointType") or GATEWAY,
            route_tables=tuple(sorted(row.get("RouteTableIds") or ())),
            subnets=tuple(sorted(row.get("SubnetIds") or ())),
            security_groups=tuple(sorted(group["GroupId"] for group in row.get("Groups") or ())),
            private_dns_enabled=row.get("PrivateDnsEnabled"),
            ip_address_type=row.get("IpAddressType"),
            dns_options={name: options[camel(name)] for name in _DNS_OPTIONS if camel(name) in options},
            policy_document=PolicyDocument.of(row["PolicyDocument"]) if row.get("PolicyDocument") else None,
        )
        held = Interfaces(tuple(row.get("NetworkInterfaceIds") or ()))
        return replace(self.observe(reader, row, state, _state(row), details=held), reason=_reason(row))

    async def create(self, run: Run, wanted: VpcEndpoint, desired: Desired) -> str:
        params: dict[str, Any] = {key: list(given) for name, key in _LISTS.items() if (given := getattr(wanted, name))}
        params |= _settings(wanted, _SETTINGS)
        try:
            endpoint = await self.create_by_token(
                run, desired, waits.ENDPOINT_UNKNOWN,
                VpcId=wanted.vpc, ServiceName=wanted.service_name, VpcEndpointType=wanted.vpc_endpoint_type, **params,
            )  # fmt: skip
        except AwsError as error:
            if not any(error.matches(code) for code in _TAKEN):
                raise
            endpoint = await self._find(run, wanted, desired, error)
        await self._wait(run, endpoint, wanted)
        return endpoint

    async def _find(self, run: Run, wanted: VpcEndpoint, desired: Desired, error: AwsError) -> str:
        """The id of the endpoint that is in the way, if this stack made it and the reply was lost. Else raises RefusedError."""
        for row in await self.find_own(run, desired, {"vpc-id": str(wanted.vpc)}):
            if row.get("ServiceName") == wanted.service_name and _state(row) != "deleting":
                return str(row["VpcEndpointId"])
        raise RefusedError(
            f"{wanted.vpc} has an endpoint for {wanted.service_name} outside this stack; adopt it, or delete it ({error.code}: {error.message})"
        ) from None

    async def update(self, run: Run, wanted: VpcEndpoint, observed: Observed, fields: frozenset[str]) -> None:
        before = self.of(observed)
        params: dict[str, Any] = _settings(wanted, fields.intersection(_SETTINGS))
        for name, key in _LISTS.items():
            if name in fields:
                have, want = set(getattr(before, name) or ()), set(getattr(wanted, name) or ())
                params |= {f"Add{key}": sorted(want - have)} if want - have else {}
                params |= {f"Remove{key}": sorted(have - want)} if have - want else {}
        if not params:
            return
        if observed.status == "pending":  # an earlier run that was killed has made it
            await self._wait(run, observed.id, wanted)
        modify = partial(
            run.aws.call, "ec2", "modify_vpc_endpoint", retry=waits.ENDPOINT_UNKNOWN, VpcEndpointId=observed.id
        )
        if {"AddSubnetIds", "RemoveSubnetIds"} <= params.keys():
            await exchange_subnets(run, observed.id, modify, params, {*map(str, before.subnets or ())})
        else:
            await modify(**params)
        await self._wait(run, observed.id, wanted)

    async def delete(self, run: Run, observed: Observed) -> None:
        if not observed.is_leaving:
            await self.call_delete(run, observed.id, {})
        await _watch(run, observed.id, _is_there, waits.ENDPOINT_GONE)

    async def call_delete(self, run: Run, physical_id: str, retry: waits.Codes) -> None:
        """DeleteVpcEndpoints answers with success; what it refuses is in `Unsuccessful`, and raised as an AwsError."""
        with ignoring(*self.missing):
            answer = await run.aws.call("ec2", "delete_vpc_endpoints", retry=retry, VpcEndpointIds=[physical_id])
            for item in answer.get("Unsuccessful") or ():
                error, request = item["Error"], answer.get("ResponseMetadata", {}).get("RequestId", "")
                raise AwsError("ec2", "delete_vpc_endpoints", error["Code"], error.get("Message", ""), request)

    async def _wait(self, run: Run, endpoint: str, wanted: VpcEndpoint) -> None:
        """Wait until the endpoint is available; a gateway endpoint is at once."""
        if wanted.vpc_endpoint_type != GATEWAY:
            await _watch(run, endpoint, _is_pending, waits.ENDPOINT_AVAILABLE)


_SETTINGS: Final = frozenset({"private_dns_enabled", "ip_address_type", "dns_options", "policy_document"})


def _settings(wanted: VpcEndpoint, names: Collection[str]) -> dict[str, Any]:
    """The parameters for properties, as far as the spec sets these."""
    given = {name: value for name in sorted(names) if (value := getattr(wanted, name)) is not None}
    if "policy_document" in given:
        given["policy_document"] = given["policy_document"].text
    if "dns_options" in given:
        given["dns_options"] = {camel(name): item for name, item in given["dns_options"].items()}
    return {camel(name): value for name, value in given.items()}


def _state(row: Row) -> str:
    """The endpoint's state in lower case: AWS's API Reference begins states with a capital letter, its answers don't."""
    return str(row.get("State", "")).lower()


def _reason(row: Row) -> str:
    return str(row.get("FailureReason") or (row.get("LastError") or {}).get("Message") or "")


def _is_pending(row: Any) -> str:
    state = _state(row) if row else "unknown"
    if state in _OVER:
        raise WaitError(f"the endpoint is {state}: {_reason(row) or 'no reason given'}")
    # a service's owner may take days to accept an endpoint
    return (
        "" if state in ("available", "pendingacceptance", "partial") else f"the endpoint to be available (now {state})"
    )


def _is_there(row: Any) -> str:
    state = _state(row) if row else "deleted"
    return "" if state == "deleted" else f"the endpoint's network interfaces to be deleted (now {state})"


async def _watch(run: Run, endpoint: str, check: Any, timeout: float) -> None:
    async def fetch(ids: set[str]) -> Mapping[str, Any]:
        return {row["VpcEndpointId"]: row for part in [await read_endpoints(run, sorted(ids))] for row in part}

    await run.wait("VPC endpoints", fetch, endpoint, check, timeout)


KIND: Final = VpcEndpointKind()
