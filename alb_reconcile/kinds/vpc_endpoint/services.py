"""Reads the services that VPC endpoints lead to (EC2 DescribeVpcEndpointServices)."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds.base import Intent
from alb_reconcile.model.discovery import Finding
from alb_reconcile.model.errors import ignoring

_UNKNOWN: Final = "InvalidServiceName"


async def find_lost_services(aws: Aws, intents: Sequence[Intent]) -> list[Finding]:
    """Services that the region doesn't have, of endpoints that are to be made."""
    made = [item for item in intents if item.fields is None]
    names = sorted({item.wanted.service_name for item in made})
    with ignoring("UnauthorizedOperation"):
        if not names or await _are_there(aws, names):
            return []
        known = await aws.pages("ec2", "describe_vpc_endpoint_services", "ServiceNames")
        # a list may lack other accounts' services, so they are asked for by name
        lost = [name for name in names if name not in known and not await _are_there(aws, [name])]
        return [
            Finding(item.desired, "service_name", _tell(item.wanted.service_name, known))
            for item in made
            if item.wanted.service_name in lost
        ]
    return []


async def _are_there(aws: Aws, names: list[str]) -> bool:
    with ignoring(_UNKNOWN):
        await aws.pages("ec2", "describe_vpc_endpoint_services", "ServiceNames", ServiceNames=names)
        return True
    return False


def _tell(name: str, known: list[str]) -> str:
    near = [] if ".vpce." in name else get_close_matches(name, known, 1, 0.6)
    advice = f"did you mean {near[0]}?" if near else "correct the name, or have its owner allow this account"
    return f"this region has no service {name} for endpoints; {advice}"
