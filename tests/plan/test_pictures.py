"""Pictures: what is in them, that they end, and that nothing in them is markup."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

from alb_reconcile.cli.main import main
from alb_reconcile.cli.pictures.compose import make_scene
from alb_reconcile.cli.pictures.layout import arrange
from alb_reconcile.cli.pictures.mermaid import scene_mermaid
from alb_reconcile.cli.pictures.page import plan_page, scene_page
from alb_reconcile.cli.pictures.scene import Scene
from alb_reconcile.cli.pictures.svg import scene_svg
from alb_reconcile.engine.plan.planner import make_plan
from alb_reconcile.engine.stack import StackPlan
from alb_reconcile.kinds.rule import Rule
from alb_reconcile.model.actions import Action, Forward
from alb_reconcile.model.address import Address
from alb_reconcile.model.plan import Step
from tests.harness import SPECS, world
from tests.plan.stacks import Account, base, situation_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

EVIL = '"]; <script>window.owned = 1</script><img src=x onerror=owned()> & ` # %% end'
GROUP = {"protocol": "HTTP", "port": 80, "targets": ["web"]}
CANARY = {
    "target_groups/new": GROUP,
    "load_balancers/public/listeners/http/default_action": {
        "forward": {"target_groups": [{"target_group": "web", "weight": 3}, {"target_group": "new", "weight": 1}]}
    },
}


def planned(
    have: Mapping[str, Any] | None = None,
    want: Mapping[str, Any] | None = None,
    *,
    is_there: bool = True,
    destroy: bool = False,
) -> StackPlan:
    """The demo with changes, as it is and as it is wanted."""
    account, wanted = Account(base(have)), base(have, want)
    discovery = account.discovery() if is_there else replace(account.discovery(), resources=())
    situation = situation_of(wanted, discovery, destroy=destroy)
    return StackPlan(situation, make_plan(situation))


def changes(scene: Scene) -> dict[str, str]:
    return {node.key: node.change for node in scene.nodes() if node.change}


def test_a_stack_is_in_its_zones_behind_its_load_balancer() -> None:
    scene = make_scene(planned())
    (balancer,), (group,), (network,) = scene.balancers, scene.groups, scene.networks
    assert balancer.dns_name
    assert [route.shares[0].group for route in balancer.doors[0].routes] == ["target_group.web"]
    assert group.tally == (2, 2, 0)
    assert [zone.name for zone in network.zones] == ["us-east-1a", "us-east-1b"]
    housed = [node for zone in network.zones for net in zone.subnets for node in net.instances]
    assert sorted(node.title for node in housed) == ["web-1", "web-2"]
    assert {node.status for node in housed} == {"running, healthy"}
    assert [node.key for node in network.gateways] == ["internet_gateway.main"]
    assert changes(scene) == {}
    assert scene.others["security_group"] == (2, 0)


def test_the_plan_colours_it() -> None:
    fresh = make_scene(planned(is_there=False))
    assert set(changes(fresh).values()) == {"create"}
    nets = [net for zone in fresh.networks[0].zones for net in zone.subnets]
    assert [len(net.instances) for net in nets] == [1, 1], "what isn't there yet has its place"
    assert set(changes(make_scene(planned(destroy=True))).values()) == {"delete"}
    scene = make_scene(planned(want={"instances/web/instance_type": "t3.small", "instances/web/count": 3}))
    expected = {"instance.web-1": "replace", "instance.web-2": "replace", "instance.web-3": "create"}
    assert changes(scene) == expected
    told = next(node.told for node in scene.nodes() if node.key == "instance.web-1")
    assert told[0] == "instance_type  t3.micro → t3.small"


def test_weights_are_parts() -> None:
    scene = make_scene(planned(want=CANARY))
    shares = scene.balancers[0].doors[0].routes[-1].shares
    assert {(item.group, item.part) for item in shares} == {("target_group.web", 0.75), ("target_group.new", 0.25)}
    text = scene_svg(scene)
    assert "HTTP 80 default 75%" in text
    assert "-->|25%|" in scene_mermaid(scene)


def test_arrows_pass_the_gateways_and_the_names_of_the_network() -> None:
    drawing = arrange(make_scene(planned(want=CANARY)))
    (gateway,) = (box for box in drawing.boxes if box.style == "gateway")
    (vpc,) = (box for box in drawing.grounds if box.style == "vpc")
    downwards = [arrow for arrow in drawing.arrows if arrow.end[1] > gateway.y]
    assert len(downwards) > 2
    for arrow in downwards:
        (x1, y1), (x2, y2) = arrow.start, arrow.end
        for y in range(round(vpc.y), round(gateway.y + gateway.height)):
            assert x1 + (x2 - x1) * (y - y1) / (y2 - y1) > gateway.x + gateway.width + 10, arrow


def test_who_checks_is_told_beside_who_gets_the_request() -> None:
    oidc = {
        "issuer": "https://id.example.com", "authorization_endpoint": "https://id.example.com/a",
        "token_endpoint": "https://id.example.com/t", "user_info_endpoint": "https://id.example.com/u",
        "client_id": "shop", "client_secret": {"ssm": "/shop/secret"},
    }  # fmt: skip
    secure = {
        "protocol": "HTTPS", "port": 443, "certificate_arn": "arn:aws:acm:us-east-1:123456789012:certificate/1",
        "default_action": {"authenticate_oidc": oidc, "forward": "web"},
    }  # fmt: skip
    scene = make_scene(planned(want={"load_balancers/public/listeners/a": secure}))
    assert [door.node.lines[0] for door in scene.balancers[0].doors] == ["HTTP 80", "HTTPS 443"]
    assert scene.balancers[0].doors[1].routes[0].what == "authenticate-oidc"
    assert "→ authenticate-oidc, then web 100%" in scene_svg(scene)


def test_instances_stand_in_the_order_that_people_count() -> None:
    scene = make_scene(planned({"instances/web/count": 24}))
    titles = [node.title for zone in scene.networks[0].zones for net in zone.subnets for node in net.instances]
    numbers = [int(title.partition("-")[2]) for title in titles]
    assert sorted([numbers[:12], numbers[12:]]) == [[*range(1, 24, 2)], [*range(2, 25, 2)]]


def test_a_fixed_response_is_told_by_its_status() -> None:
    """Its text would push the status out of the picture."""
    response = {"fixed_response": {"status_code": 503, "content_type": "text/plain", "message_body": "soon " * 50}}
    scene = make_scene(planned(want={"load_balancers/public/listeners/http/default_action": response}))
    assert [route.what for route in scene.balancers[0].doors[0].routes] == ["fixed response 503"]


def many(number: int, name: str = "rule") -> StackPlan:
    """The demo, and so many rules to be made."""
    found = planned()
    listener, group = Address("listener", "public/http"), Address("target_group", "web")
    rules = tuple(
        Step(
            "create", Address("rule", f"public/http/{name}-{index}"),
            state=Rule(listener=listener, priority=index, conditions=(), action=Action(forward=(Forward(group),))),
        )
        for index in range(1, number + 1)
    )  # fmt: skip
    return replace(found, plan=replace(found.plan, steps=rules))


def test_ten_thousand_rules_are_a_picture_that_says_what_it_leaves_out() -> None:
    found = many(10_000)
    scene = make_scene(found)
    assert scene.left_out == ("9980 of 10000 rules of listener.public/http",)
    for form in (scene_svg, scene_page, scene_mermaid):
        text = form(scene)
        assert len(text) < 80_000
        assert re.search(r"9980 (of 10000|more) rules", text)
    assert "9500 more steps are left out here" in plan_page(found.plan, scene)


def test_nothing_is_markup() -> None:
    found = many(3, EVIL)
    evil = replace(found.discovery.resources[0], address=Address("vpc", EVIL), id="vpc-9", status=EVIL)
    steps = (*found.plan.steps, Step("delete", evil.address, "vpc-9", reason=EVIL))
    plan = replace(found.plan, steps=steps, warnings=(EVIL,), kept=(EVIL,))
    discovery = replace(found.discovery, resources=(*found.discovery.resources, evil))
    found = replace(found, plan=plan, situation=replace(found.situation, discovery=discovery))
    scene = make_scene(found)
    svg = scene_svg(scene)
    assert not re.search(r"<(script|img)", svg + plan_page(plan, scene, EVIL, EVIL))
    tags = {part.tag.rpartition("}")[2] for part in ElementTree.fromstring(svg).iter()}
    assert tags == {"svg", "title", "style", "defs", "marker", "path", "rect", "g", "text", "line"}
    lines = scene_mermaid(scene).splitlines()
    form = r'  (subgraph )?n\d+\["[^"<>`\\]*(<br/>[^"<>`\\]*)*"\]|  n\d+ (---|-->\|[\w ,%]+\|) n\d+|  (end|class.*)|flowchart TB'
    assert [line for line in lines if not re.fullmatch(form, line)] == []


def test_the_commands_draw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = str(SPECS / "demo.yaml")
    with world():
        for form, start in (("svg", "<svg "), ("html", "<!doctype html>"), ("mermaid", "flowchart TB")):
            assert main(["graph", spec, "--format", form]) == 0
            assert capsys.readouterr().out.startswith(start)
        assert main(["plan", spec, "--format", "html"]) == 0
        assert "Steps, in their order" in capsys.readouterr().out
    capsys.readouterr()
    (tmp_path / "broken.yaml").write_text("stack: a\nvpcz: {}\n")
    assert main(["plan", str(tmp_path / "broken.yaml"), "--format", "html"]) == 3
    page = capsys.readouterr().out
    assert "<title>No plan of" in page
    assert "vpcz" in page
    assert main(["plan", spec, str(SPECS / "login.yaml"), "--format", "html"]) == 64
