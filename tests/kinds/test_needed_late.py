"""Steps that begin before all that they name is there: what they wait for, and what becomes of them where it never comes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from alb_reconcile.aws.client import Aws
from alb_reconcile.sandbox.strict import Timing
from tests.bench.calls import Call, chain
from tests.harness import demo, world
from tests.kinds.hand import LINUX_1, edited

if TYPE_CHECKING:
    import pytest

    from tests.harness import Result
    from tests.kinds.hand import Faults, Hand

AT_ONCE = Timing(
    pending=0, stopping=0, shutting_down=0, tags_linger=0, terminated_visible=0, provisioning=0, interfaces_linger=0,
    initial=0, recovering=0, failing=0, draining=0,
)  # fmt: skip
ROUND_TRIP = 0.1
"""Seconds, on the virtual clock."""


def ends(result: Result) -> dict[str, str]:
    return {str(item.step.address): item.how for item in result.outcomes}


def own(hand: Hand, kind: str) -> list[dict[str, Any]]:
    describe = getattr(hand.ec2, f"describe_{kind}")
    (found,) = [
        value
        for value in describe(Filters=[{"Name": "tag:alb-reconcile:stack", "Values": ["demo"]}]).values()
        if isinstance(value, list)
    ]
    return found


def test_a_gateway_is_made_beside_its_vpc_and_attached_by_the_next_run(hand: Hand, faults: Faults) -> None:
    faults.refuse("create_vpc", "VpcLimitExceeded")
    result = hand.world.apply(demo())
    (vpc,) = [item for item in result.outcomes if str(item.step.address) == "vpc.main"]
    (gateway,) = [item for item in result.outcomes if str(item.step.address) == "internet_gateway.main"]
    assert vpc.how == "failed"
    assert (gateway.how, gateway.cause) == ("skipped", vpc.step)
    (said,) = [event.text for event in result.events if event.step == gateway.step and event.what == "skipped"]
    assert said == "vpc.main; what it has made stays for the next run"
    assert [item["Attachments"] for item in own(hand, "internet_gateways")] == [[]]
    hand.make(demo())
    assert len(own(hand, "internet_gateways")) == 1


def test_a_table_keeps_what_it_has_where_its_gateway_never_comes(hand: Hand, faults: Faults) -> None:
    faults.refuse("attach_internet_gateway", "InvalidInternetGatewayID.NotFound", times=1000)
    result = hand.world.apply(demo())
    told = ends(result)
    assert (told["internet_gateway.main"], told["route_table.public"]) == ("failed", "skipped")
    assert told["instance.web-1"] == told["load_balancer.public"] == "skipped"
    (table,) = own(hand, "route_tables")
    assert len(table["Associations"]) == 2, "what doesn't need the gateway is done"
    faults.refusals.clear()
    hand.make(demo())
    assert [item["RouteTableId"] for item in own(hand, "route_tables")] == [table["RouteTableId"]]


def test_an_error_of_its_own_is_told_also_where_something_never_comes(hand: Hand, faults: Faults) -> None:
    faults.refuse("attach_internet_gateway", "InvalidInternetGatewayID.NotFound", times=1000)
    faults.refuse("associate_route_table", "UnauthorizedOperation")
    result = hand.world.apply(demo())
    (table,) = [item for item in result.outcomes if str(item.step.address) == "route_table.public"]
    assert table.how == "failed"
    assert "UnauthorizedOperation" in str(table.error)


def test_who_waits_ends_with_a_run_that_is_interrupted(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    once = Aws._once

    async def interrupted(self: Aws, service: str, operation: str, params: Any, **options: Any) -> Any:
        if operation == "create_vpc":
            await asyncio.sleep(1)
            self.stopping.set()
        return await once(self, service, operation, params, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Aws, "_once", interrupted)
        told = ends(hand.world.apply(demo(), check=False))
    assert (told["vpc.main"], told["internet_gateway.main"]) == ("interrupted", "skipped")
    assert len(own(hand, "internet_gateways")) == 1
    hand.make(demo())
    assert len(own(hand, "internet_gateways")) == 1


def test_an_old_load_balancer_stays_where_the_new_one_lacks_its_attributes(hand: Hand, faults: Faults) -> None:
    """The new one's listener may be made at once, but nothing goes for the sake of what isn't as the spec wants it."""
    hand.make(demo())
    internal = edited(demo(), "load_balancers/public/scheme", "internal")
    faults.refuse("modify_load_balancer_attributes", "AccessDenied")
    result = hand.world.apply(internal, allow={"replace-load-balancer": 1})
    told = {(item.step.action, str(item.step.address)): item.how for item in result.outcomes}
    assert told["replace", "load_balancer.public"] == "failed"
    assert told["replace", "listener.public/http"] == "done"
    assert told["delete", "load_balancer.public"] == told["delete", "target_group.web"] == "skipped"
    there = [item["LoadBalancerArn"] for item in hand.elb.describe_load_balancers()["LoadBalancers"]]
    assert hand["load_balancer.public"] in there
    hand.make(internal)
    assert len(hand.elb.describe_load_balancers()["LoadBalancers"]) == 1


def test_the_depth_of_a_create(monkeypatch: pytest.MonkeyPatch) -> None:
    """Round trips to the last change, as docs/performance.md says; one more at AWS itself, for the dry run."""
    made: list[Call] = []
    once = Aws._once

    async def with_a_round_trip(self: Aws, service: str, operation: str, params: Any, **options: Any) -> Any:
        start = self.now()
        await asyncio.sleep(ROUND_TRIP / 2)
        try:
            return await once(self, service, operation, params, **options)
        finally:
            await asyncio.sleep(ROUND_TRIP / 2)
            made.append(Call(service, operation.title().replace("_", ""), start, self.now(), 200))

    monkeypatch.setattr(Aws, "_once", with_a_round_trip)
    with world(AT_ONCE) as place:
        place.denial.seconds = 0.0  # what a lag costs isn't depth
        place.endpoint = "http://127.0.0.1:5000"
        place.converge(edited(demo(), "instances/web/image_id", LINUX_1))
    last = max(call.ended for call in made if not call.is_read)
    assert len(chain(call for call in made if call.ended <= last)) == 8
