"""Pictures: what is in them, that they end, and that nothing in them is markup."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

from alb_reconcile.cli.main import main
from alb_reconcile.cli.pictures.compose import make_scene
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


@pytest.mark.slow
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
