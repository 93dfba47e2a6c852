"""Pictures: what is in them, that they end, and that nothing in them is markup."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from typing import TYPE_CHECKING, Any

from alb_reconcile.cli.main import main
from alb_reconcile.cli.pictures.mermaid import stack_mermaid
from alb_reconcile.cli.pictures.page import plan_page
from alb_reconcile.engine.plan.planner import make_plan
from alb_reconcile.engine.stack import StackPlan
from alb_reconcile.kinds.load_balancer import LoadBalancer
from alb_reconcile.kinds.rule import Rule
from alb_reconcile.kinds.target_group import TargetGroup
from alb_reconcile.model.actions import Action, Forward
from alb_reconcile.model.address import Address
from alb_reconcile.model.plan import Step
from alb_reconcile.model.service import Foreign
from tests.harness import SPECS, world
from tests.plan.stacks import Account, base, situation_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pytest

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


def label(text: str, address: str) -> list[str]:
    """What a flowchart says of a resource, line by line."""
    found = re.search(rf'^  n\d+\["{re.escape(written(address))}(<br/>.*)?"\]$', text, re.MULTILINE)
    assert found, f"{address} isn't in\n{text}"
    return [unescape(part.replace("#", "&#")) for part in (found[1] or "").split("<br/>")[1:]]


def written(text: str) -> str:
    return "".join(char if char.isalnum() or char in " .,-" else f"#{ord(char)};" for char in text)


def edges(text: str) -> set[str]:
    """Each arrow, with addresses for the nodes' names."""
    nodes = dict(re.findall(r'^  (n\d+)\["(.*?)(?:<br/>|")', text, re.MULTILINE))
    found = re.findall(r'^  (n\d+) (\S+?)(?:\|"(.*)"\|)? (n\d+)$', text, re.MULTILINE)
    lines = (f"{nodes[start]} {arrow} {nodes[end]} {told}".strip() for start, arrow, told, end in found)
    return {unescape(line.replace("#", "&#")) for line in lines}


def test_arrows_follow_requests_and_dotted_ones_what_a_resource_refers_to() -> None:
    text = stack_mermaid(planned())
    assert edges(text) == {
        "load_balancer.public --> listener.public/http",
        "listener.public/http --> target_group.web",
        "target_group.web --> instance.web-1 healthy",
        "target_group.web --> instance.web-2 healthy",
        "target_group.web -.-> vpc.main",
        "load_balancer.public -.-> subnet.public-a",
        "load_balancer.public -.-> subnet.public-b",
        "load_balancer.public -.-> security_group.load-balancer",
        "instance.web-1 -.-> subnet.public-b",
        "instance.web-2 -.-> subnet.public-a",
        "instance.web-1 -.-> security_group.web",
        "instance.web-2 -.-> security_group.web",
        "security_group.web -.-> security_group.load-balancer",
        "security_group.load-balancer -.-> vpc.main",
        "subnet.public-a -.-> route_table.public",
        "subnet.public-b -.-> route_table.public",
        "route_table.public -.-> internet_gateway.main",
        "internet_gateway.main -.-> vpc.main",
    }
    assert label(text, "instance.web-1") == ["i-web-1"]
    assert label(text, "load_balancer.public") == ["loadbalancer/app/public/1", "public.example"]
    assert label(text, "listener.public/http")[1:] == ["protocol HTTP, port 80"]
    assert "registration" not in text, "a member is the arrow to what it names"
    assert "classDef" not in text, "nothing changes"


def changes(text: str) -> dict[str, str]:
    """The last line of each coloured node, by its name in the chart."""
    names = [name for found in re.findall(r"^  class (\S+) \w+$", text, re.MULTILINE) for name in found.split(",")]
    nodes = dict(re.findall(r'^  (n\d+)\["(.*)"\]$', text, re.MULTILINE))
    parts = [unescape(nodes[name].replace("#", "&#")).split("<br/>") for name in names]
    return {part[0]: part[-1] for part in parts}


def test_the_plan_colours_it_and_says_it_in_words() -> None:
    fresh = stack_mermaid(planned(is_there=False))
    assert set(changes(fresh).values()) == {"+ created"}
    assert fresh.count('["') == len(changes(fresh))
    assert "target_group.web --> instance.web-1 + created" in edges(fresh)
    going = changes(stack_mermaid(planned(destroy=True)))
    assert {text.rpartition("- ")[2] for text in going.values()} == {"deleted"}
    changed = stack_mermaid(planned(want={"instances/web/instance_type": "t3.small", "instances/web/count": 3}))
    assert changes(changed) == {
        "instance.web-1": "-/+ replaced",
        "instance.web-2": "-/+ replaced",
        "instance.web-3": "+ created",
    }
    assert "target_group.web --> instance.web-2 -/+ replaced" in edges(changed)
    opened = {
        "security_groups/web/ingress": [{"protocol": "tcp", "from_port": 80, "to_port": 80, "cidr_block": "10.0.0.0/8"}]
    }
    text = stack_mermaid(planned(want=opened))
    assert label(text, "security_group.web") == ["sg-web", "security_group_rules ~ updated"]
    assert changes(text) == {}


def test_weights_are_parts() -> None:
    found = planned(want=CANARY)
    ways = edges(stack_mermaid(found))
    assert {"listener.public/http --> target_group.web 75%", "listener.public/http --> target_group.new 25%"} <= ways
    assert "port 80, 75% to target_group.web, 25% to target_group.new" in plan_page(found)


def test_what_the_spec_names_by_its_id_is_told_apart() -> None:
    found = planned()
    listener = next(item for item in found.discovery.resources if item.address.kind == "load_balancer")
    assert isinstance(listener.state, LoadBalancer)
    elsewhere = replace(listener, state=replace(listener.state, subnets=("subnet-0a", "subnet-public-a")))
    others = [item for item in found.discovery.resources if item is not listener]
    discovery = replace(found.discovery, resources=(*others, elsewhere), foreign={"subnet-0a": Foreign("vpc-0b")})
    text = stack_mermaid(StackPlan(replace(found.situation, discovery=discovery), found.plan))
    assert "load_balancer.public -.-> subnet-0a" in edges(text)
    assert label(text, "subnet-0a") == ["not this stack's"]


def test_a_target_without_a_box_is_told_in_its_group() -> None:
    address = {"instances": None, "target_groups/web": {**GROUP, "target_type": "ip", "targets": ["10.0.0.9"]}}
    text = stack_mermaid(planned(want=address, is_there=False))
    assert label(text, "target_group.web") == ["+ created", "registration + created"]
    assert not any("target_group.web -->" in edge for edge in edges(text))


def test_many_that_are_alike_are_one() -> None:
    text = stack_mermaid(planned({"instances/web/count": 80}, {"instances/web/count": 83}))
    ways = edges(text)
    assert "target_group.web --> instance.web-1 and 39 more 40 × healthy" in ways
    assert "instance.web-2 and 39 more -.-> subnet.public-a" in ways
    assert set(changes(text)) == {"instance.web-81", "instance.web-82", "instance.web-83"}, "a few stay apart"


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


def test_a_picture_ends_however_large_the_stack_is() -> None:
    found = many(2_000)
    text = stack_mermaid(found)
    assert "rule.public/http/rule-1 and 1999 more --> target_group.web" in edges(text)
    assert "listener.public/http --> rule.public/http/rule-1 and 1999 more" in edges(text)
    assert label(text, "rule.public/http/rule-1 and 1999 more") == ["+ created"]
    page = plan_page(found)
    assert "1500 more steps are left out here" in page
    assert re.search(r"15\d\d more resources are left out here", page)
    steps = [replace(step, action=("create", "update")[number % 2]) for number, step in enumerate(found.plan.steps)]
    apart = tuple(
        replace(
            step, state=replace(step.state, action=Action(forward=(Forward(Address("target_group", str(number))),)))
        )
        for number, step in enumerate(steps)
        if isinstance(step.state, Rule)
    )
    groups = tuple(Step("create", Address("target_group", str(number)), state=TargetGroup()) for number in range(2_000))
    text = stack_mermaid(replace(found, plan=replace(found.plan, steps=(*apart, *groups))))
    assert len(text) < 50_000, "Mermaid takes no more (maxTextSize)"
    assert re.search(r'rest\["Not drawn#58;<br/>\d+ more resources"\]', text)
    pools = [Address("target_group", str(number)) for number in range(21)]
    thicket = [
        replace(step, state=replace(step.state, action=Action(forward=tuple(map(Forward, pools)))))
        for step in found.plan.steps[:20]
        if isinstance(step.state, Rule)
    ]
    text = stack_mermaid(replace(found, plan=replace(found.plan, steps=(*thicket, *groups[:21]))))
    assert len(edges(text)) == 400, "Mermaid takes 500 (maxEdges)"
    assert re.search(r'rest\["Not drawn#58;<br/>\d+ more arrows"\]', text)


def test_nothing_is_markup() -> None:
    found = many(3, EVIL)
    evil = replace(found.discovery.resources[0], address=Address("vpc", EVIL), id="vpc-9", status=EVIL)
    steps = (*found.plan.steps, Step("delete", evil.address, "vpc-9", reason=EVIL, observed=evil))
    plan = replace(found.plan, steps=steps, warnings=(EVIL,), kept=(EVIL,))
    discovery = replace(found.discovery, resources=(*found.discovery.resources, evil))
    found = replace(found, plan=plan, situation=replace(found.situation, discovery=discovery))
    assert not re.search(r"<(script|img)", plan_page(found, EVIL, EVIL))
    lines = stack_mermaid(found).splitlines()
    quoted = r'"[^"<>`\\\[\]]*(<br/>[^"<>`\\\[\]]*)*"'
    form = rf"  n\d+\[{quoted}\]|  n\d+ (-->|-\.->)(\|{quoted}\|)? n\d+|  class(Def)? .*|flowchart TB"
    assert [line for line in lines if not re.fullmatch(form, line)] == []


def test_the_commands_draw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = str(SPECS / "demo.yaml")
    with world():
        assert main(["graph", spec]) == 0
        assert capsys.readouterr().out.startswith("flowchart TB")
        assert main(["plan", spec, "--format", "html"]) == 0
        assert "Steps, in their order" in capsys.readouterr().out
    capsys.readouterr()
    (tmp_path / "broken.yaml").write_text("stack: a\nvpcz: {}\n")
    assert main(["plan", str(tmp_path / "broken.yaml"), "--format", "html"]) == 3
    page = capsys.readouterr().out
    assert "<title>No plan of" in page
    assert "vpcz" in page
    assert main(["plan", spec, str(SPECS / "login.yaml"), "--format", "html"]) == 64
