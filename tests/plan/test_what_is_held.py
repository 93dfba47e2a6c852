"""What the refusal of a circle says of a thing that only one can have: whose it is, and where the spec asks for it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from alb_reconcile.engine.plan.slot_order import refuse_held
from alb_reconcile.kinds.key_pair import KeyPair
from alb_reconcile.kinds.nat_gateway.kind import NatGateway
from alb_reconcile.kinds.record.values import Record
from alb_reconcile.model.address import Address
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import Desired, Lifecycle, Observed

if TYPE_CHECKING:
    from alb_reconcile.model.resource import Properties

GATEWAY = NatGateway(subnet="subnet-1", elastic_ip="eipalloc-1", secondary_elastic_ips=("eipalloc-2",))
RECORD = Record(zone="Z1", name="shop.example.com", type="A", alias="arn:one")
KEY = KeyPair(name="demo-12345678", public_key="ssh-ed25519 AAAA")


def refused(wanted: Properties, there: Properties, *declared: str) -> None:
    """Refuse a circle of one that is made and one that goes."""
    new, old = Address(wanted.kind, "new"), Address(wanted.kind, "old")
    desired = Desired(new, wanted, wanted, {}, Lifecycle(), "", declared, places={name: name for name in declared})
    steps = {
        "create": Step("create", new, desired=desired),
        "delete": Step("delete", old, "id", observed=Observed(old, "id", there, {}, "demo")),
    }
    graph = SimpleNamespace(
        steps=steps,
        edges={"create": {"delete"}, "delete": {"create"}},
        decisions=SimpleNamespace(ids={}),
        addresses={"eipalloc-2": Address("elastic_ip", "two")},
    )
    refuse_held(cast("Any", graph), steps)


@pytest.mark.parametrize(
    ("wanted", "there", "declared", "told"),
    [
        pytest.param(
            GATEWAY, NatGateway(subnet="subnet-2", secondary_elastic_ips=("eipalloc-2",)),
            ("elastic_ip", "secondary_elastic_ips"), "secondary_elastic_ips: .* can't have elastic_ip.two as long as nat_gateway.old",
            id="an address among others",
        ),
        pytest.param(
            RECORD, Record(zone="Z1", name="shop.example.com", type="A", alias="arn:two"),
            ("zone", "name", "type", "alias"), "name: .* can't have shop.example.com as long as record.old",
            id="a name in a zone",
        ),
    ],
)  # fmt: skip
def test_it_is_named(wanted: Properties, there: Properties, declared: tuple[str, ...], told: str) -> None:
    with pytest.raises(RefusedError, match=f"^{told}"):
        refused(wanted, there, *declared)


def test_a_name_that_the_spec_does_not_say_is_no_way_out() -> None:
    refused(KEY, KEY, "public_key")
