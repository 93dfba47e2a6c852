"""What a spec costs an hour, by AWS's list prices: an estimate before anything is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

PRICES: Final = {
    "load balancer": 0.0225,  # https://aws.amazon.com/elasticloadbalancing/pricing/; what passes through comes on top
    "NAT gateway": 0.045,  # https://aws.amazon.com/vpc/pricing/; 0.045 per GB comes on top
    "interface endpoint in a zone": 0.01,  # https://aws.amazon.com/privatelink/pricing/
    "public IPv4 address": 0.005,  # https://aws.amazon.com/vpc/pricing/
    "t2.micro": 0.0116,  # https://aws.amazon.com/ec2/pricing/on-demand/
    "t3.micro": 0.0104,
    "disk of 8 GB (gp3)": 8 * 0.08 / 730,  # https://aws.amazon.com/ebs/pricing/
}
"""US dollars an hour in us-east-1 (Linux, on demand). Other regions cost up to twice that."""
NOTE: Final = "List prices of us-east-1, November 2026. Of load balancers and NAT gateways a begun hour counts whole."
UNKNOWN: Final = 0.10
"""What an instance of another type is taken for."""


def needed(spec: Mapping[str, Any]) -> dict[str, int]:
    """How many of what costs something a spec has. While instances are replaced there may be as many again."""
    found = dict.fromkeys(PRICES, 0)
    open_to_all = {name for name, entry in spec.get("subnets", {}).items() if entry.get("map_public_ip_on_launch")}
    for entry in spec.get("instances", {}).values():
        count, kind = entry.get("count", 1), str(entry["instance_type"]).rpartition(":-")[2].rstrip("}")
        found[kind] = found.get(kind, 0) + count
        found["disk of 8 GB (gp3)"] += count
        found["public IPv4 address"] += count if open_to_all & set(entry["subnets"]) else 0
    for entry in spec.get("load_balancers", {}).values():
        found["load balancer"] += 1
        found["public IPv4 address"] += (
            len(entry["subnets"]) if entry.get("scheme", "internet-facing") == "internet-facing" else 0
        )
    found["public IPv4 address"] += len(spec.get("elastic_ips", {}))
    found["interface endpoint in a zone"] += sum(
        len(entry.get("subnets", [])) for entry in spec.get("vpc_endpoints", {}).values()
    )
    found["NAT gateway"] += len(spec.get("nat_gateways", {}))
    return {name: count for name, count in found.items() if count}


def estimate(title: str, counts: Mapping[str, int]) -> str:
    """The estimate as text."""
    rows = [
        f"  {count:3} × {name:30} {count * PRICES.get(name, UNKNOWN):8.4f} USD/h"
        + ("" if name in PRICES else "  (a guess)")
        for name, count in counts.items()
    ]
    hourly = sum(count * PRICES.get(name, UNKNOWN) for name, count in counts.items())
    return "\n".join([f"{title}: {hourly:.2f} USD an hour", *rows])
