"""IPAM pools as objects, which moto doesn't have: what they have, and whom they have given it."""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .rule import Call, refuse


@dataclass
class Allocation:
    """A range, and who has it. When its resource is gone, the range comes back some time after (`until`)."""

    id: str
    cidr: str
    resource: str = ""
    kind: str = "vpc"
    until: float | None = None


@dataclass
class Pool:
    """A pool, with what CreateIpamPool says of it."""

    id: str
    settings: dict[str, Any]
    cidrs: list[str] = field(default_factory=list)
    allocations: list[Allocation] = field(default_factory=list)

    def held(self, now: float) -> Iterator[Allocation]:
        """What isn't free."""
        return (item for item in self.allocations if item.until is None or item.until > now)


def pool_of(call: Call, physical_id: str) -> Pool:
    found: Pool | None = call.world.ledger.ipam_pools.get(physical_id)
    if found is None:
        refuse("InvalidIpamPoolId.NotFound", f"The ipam-pool ID '{physical_id}' does not exist")
    return found


def allocate(call: Call, physical_id: str, family: str, length: int | None, cidr: str | None = None) -> Allocation:
    """A range of a pool: that one, or the lowest free one of that length, or of the pool's default."""
    pool = pool_of(call, physical_id)
    settings = pool.settings
    check_pool(call, pool, family)
    if cidr is None:
        length = settings.get("AllocationDefaultNetmaskLength") if length is None else length
        if length is None:
            refuse("MissingParameter", "The pool has no default netmask length, so the request must specify one.")
        taken = [ipaddress.ip_network(item.cidr) for item in pool.held(call.now)]
        cidr = next(free_ranges(pool, int(length), taken), None)
    low, high = (settings.get(f"Allocation{name}NetmaskLength") for name in ("Min", "Max"))
    size = ipaddress.ip_network(cidr).prefixlen if cidr else int(length or 0)
    if (low is not None and size < int(low)) or (high is not None and size > int(high)):
        refuse(
            "InvalidParameterValue", f"The netmask length /{size} doesn't comply with the allocation rules of the pool."
        )
    if cidr is None or not is_free(pool, cidr, call.now):
        # terraform-provider-aws, issue 39046
        refuse("InvalidParameterValue", "The allocation size is too big for the pool.")
    found = Allocation(f"ipam-pool-alloc-{len(pool.allocations):017x}", cidr)
    pool.allocations.append(found)
    return found


def check_pool(call: Call, pool: Pool, family: str) -> None:
    """IPAM User Guide, 'Create a VPC that uses an IPAM pool CIDR': the pool's locale is the VPC's region; 'Create an IPv4 pool':
    resources without the tags that the pool requires can't take from it (landing-zone-accelerator-on-aws, issue 917)."""
    if pool.settings.get("AddressFamily") != family:
        refuse("InvalidParameterValue", f"The pool {pool.id} isn't of the address family {family}.")
    if pool.settings.get("Locale", "None") != call.world.region:
        refuse("InvalidParameterValue", f"The locale of the pool {pool.id} doesn't match the request's Region.")
    given = {tag["Key"]: tag["Value"] for part in call.given("TagSpecifications", []) for tag in part.get("Tags", [])}
    resource = call.given("SubnetId", call.given("VpcId", "")) if call.action.startswith("Associate") else ""
    own = call.world.ec2.tags.get(resource, {})
    wanted = {tag["Key"]: tag["Value"] for tag in pool.settings.get("AllocationResourceTags") or []}
    if not wanted.items() <= {**own, **given}.items():
        refuse(
            "InvalidParameterValue",
            "The resource is missing one or more of the resource tags required by the IPAM pool.",
        )


def free_ranges(pool: Pool, length: int, taken: list[Any]) -> Iterator[str]:
    for text in pool.cidrs:
        around = ipaddress.ip_network(text)
        if around.prefixlen <= length:
            for part in around.subnets(new_prefix=length):
                if not any(part.overlaps(other) for other in taken if other.version == part.version):
                    yield str(part)


def is_free(pool: Pool, cidr: str, now: float) -> bool:
    block: Any = ipaddress.ip_network(cidr)
    inside = any(block.subnet_of(around) for text in pool.cidrs if (around := ipaddress.ip_network(text)))
    return inside and not any(block.overlaps(ipaddress.ip_network(item.cidr)) for item in pool.held(now))
