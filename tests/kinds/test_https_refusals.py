"""What AWS alone knows to be wrong with the short form `https` is told before anything is made: once, at its place, with a way out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID

from alb_reconcile.sandbox.strict.world import World as Place
from tests.harness import demo
from tests.kinds.test_certificate import PRIVATE, zone

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Hand


def https(**more: Any) -> Spec:
    """The demo with the short form, two names, and both families of addresses."""
    spec = demo()
    balancer = spec["load_balancers"]["public"]
    action = balancer.pop("listeners")["http"]["default_action"]
    names = ["api.example.com", "www.example.com"]
    balancer["https"] = {"names": names, "zone": "example.com", "default_action": action, **more}
    return spec


def private(hand: Hand) -> Spec:
    """A private zone is made of what this says."""
    vpc = hand.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    return {**PRIVATE, "VPC": {"VPCRegion": "us-east-1", "VPCId": vpc}}


ELEVEN = {"names": [f"n{number}.example.com" for number in range(11)]}
OUT = "ACM can't validate names there; name a public zone; or leave zone out, use a certificate that exists"


@pytest.mark.parametrize(
    ("zones", "more", "path", "text"),
    [
        ([], {}, "zone", "there is no public hosted zone example.com in this account; create it, or correct the name"),
        ([], {"zone": "Z0123456789ABCDEF"}, "zone", "there is no hosted zone Z0123456789ABCDEF in this account; correct the id"),
        (["", "another"], {}, "zone", "there are 2 public hosted zones example.com"),
        (["private"], {}, "zone", f"hosted zone example.com is private, and {OUT}"),
        (["private"], {"zone": "its id"}, "zone", f"(example.com) is private, and {OUT}"),
        (["example.org"], {"zone": "its id"}, "domain_name", "api.example.com, www.example.com: not in zone example.org; name the zone"),
        ([""], ELEVEN, "subject_alternative_names", "this account may have 10 domain names of a certificate, so 11 don't fit"),
    ],
)  # fmt: skip
def test_it_is_told_once(hand: Hand, zones: list[str], more: Spec, path: str, text: str) -> None:
    Place(DEFAULT_ACCOUNT_ID, "us-east-1").ledger.quotas["L-FB94F0B0"] = 10
    made = ""
    for name in zones:
        within = private(hand) if name == "private" else {}
        made = zone(name) if name == "example.org" else zone(reference=name, **within)
    if more.get("zone") == "its id":
        more = {"zone": made}
    (line,) = hand.refuses(https(**more)).splitlines()
    assert f": certificates.public.{path}: " in line
    assert text in line
