"""What would go while something that stays still has it, by a property that the spec leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.model.errors import RefusedError
from tests.harness import demo
from tests.kinds.hand import edited
from tests.kinds.test_listener import CERTIFICATES, upload_certificates
from tests.kinds.test_nat_gateway import ZONAL
from tests.kinds.test_trust_store import store, upload
from tests.kinds.test_vpc_endpoint import INTERFACES

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Hand


def verifying() -> Spec:
    spec = demo()
    spec["trust_stores"] = {"clients": store()}
    spec["load_balancers"]["public"]["listeners"]["http"] |= {
        "protocol": "HTTPS",
        "certificate_arn": CERTIFICATES[0],
        "mutual_authentication": {"mode": "verify", "trust_store": "clients"},
    }
    return spec


SECONDARY = edited(ZONAL, "nat_gateways/main/secondary_elastic_ips", ["two"])
LISTENER = "load_balancers/public/listeners/http"
CASES: dict[str, tuple[Spec, dict[str, Any], str]] = {
    "an address": (
        SECONDARY,
        {"nat_gateways/main/secondary_elastic_ips": None, "elastic_ips/two": None},
        r"elastic_ip\.two: eipalloc-\w+ can't be deleted, since nat_gateway\.main keeps it: .* its secondary_elastic_ips; declare",
    ),
    "an instance's group": (
        demo(),
        {"instances/web/security_groups": None, "security_groups/web": None},
        r"security_group\.web: sg-\w+ can't be deleted, since instance\.web-1 keeps it: .* security_groups;",
    ),
    "an endpoint's group": (
        INTERFACES,
        {"vpc_endpoints/inbound/security_groups": None, "security_groups/endpoints": None},
        r"security_group\.endpoints: sg-\w+ can't be deleted, since vpc_endpoint\.inbound keeps it",
    ),
    "a trust store": (
        verifying(),
        {f"{LISTENER}/mutual_authentication": None, "trust_stores": None},
        r"trust_store\.clients: arn:\S+ can't be deleted, since listener\.public/http keeps it",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_before_anything_is_changed(hand: Hand, case: str) -> None:
    """Found: AWS refused the deletion when all else was done, after minutes, and in every run after that."""
    spec, changes, message = CASES[case]
    upload_certificates()
    upload()
    hand.make(spec)
    before = hand.world.strict.inventory()
    for path, value in changes.items():
        spec = edited(spec, path, value)
    with pytest.raises(RefusedError, match=message):
        hand.world.apply(spec)
    assert hand.world.strict.inventory() == before


def test_what_lets_go_by_itself_is_deleted(hand: Hand) -> None:
    """A route leads nowhere then, and a subnet leaves its table."""
    hand.make(ZONAL)
    spec = edited(ZONAL, "route_tables/private", {})
    spec["nat_gateways"], spec["elastic_ips"] = {}, {}
    del spec["subnets"]["private"]
    hand.make(spec, allow={"delete": 9, "delete-elastic-ip": 2})
