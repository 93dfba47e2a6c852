"""Steps that begin before all that they name is there: what they wait for, and what becomes of them where it never comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.harness import demo
from tests.kinds.hand import edited

if TYPE_CHECKING:
    from tests.harness import Result
    from tests.kinds.hand import Faults, Hand


def ends(result: Result) -> dict[str, str]:
    return {str(item.step.address): item.how for item in result.outcomes}


def own(hand: Hand, kind: str) -> list[dict[str, Any]]:
    ours = [{"Name": "tag:alb-reconcile:stack", "Values": ["demo"]}]
    answer = getattr(hand.ec2, f"describe_{kind}")(Filters=ours)
    return next(value for value in answer.values() if isinstance(value, list))


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
    hand.make(internal)
    assert len(hand.elb.describe_load_balancers()["LoadBalancers"]) == 1
