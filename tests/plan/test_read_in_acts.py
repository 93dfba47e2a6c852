"""A plan as it reads: under the parts of a run, each step once, and in an order that holds."""

from __future__ import annotations

import re
from collections import Counter
from html import unescape
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.cli.pictures.page import plan_page
from alb_reconcile.cli.render.acts import read_in_acts
from alb_reconcile.cli.render.markdown import plan_markdown
from alb_reconcile.cli.render.plan import render_plan
from alb_reconcile.cli.render.style import Style
from alb_reconcile.model.counting import by_resource
from alb_reconcile.model.errors import PlanError, RefusedError
from alb_reconcile.model.plan import Act
from tests.plan.test_cases import CASES, cases_of, plan_of
from tests.plan.test_pictures import planned

if TYPE_CHECKING:
    from pathlib import Path

    from alb_reconcile.model.plan import Plan, Step

NUMBERS = {act: str(number) for number, act in enumerate(Act, start=1)}
SIGNS = {"create": "+", "update": "~", "replace": "-/+", "delete": "-"}
DECIDES = ("replace", "delete", "create", "update")
IN_ROUNDS = {"instances/web/instance_type": "t3.small"}
OTHER_GROUP = {"target_groups/web/port": 8080}


def told(plan: Plan) -> str:
    return render_plan(plan, Style(colored=False))


def headings(plan: Plan) -> list[str]:
    """Number and name of each, as the terminal has them."""
    return re.findall(r"^[123+]+  .*?(?=   )", told(plan), re.MULTILINE)


def roll(**rollout: Any) -> Plan:
    """Five instances get another type."""
    return plan_of({"have": {"instances/web/count": 5, "instances/web/rollout": rollout}, "want": IN_ROUNDS})


def check(plan: Plan) -> None:
    """All that holds of every plan."""
    parts, keys = read_in_acts(plan), [step.key for step in plan.steps]
    assert bool(parts[0].name) == (len({step.act for step in plan.steps}) > 1)
    place = {step.key: number for number, part in enumerate(parts) for step in part.steps}
    assert sorted(keys) == sorted(step.key for part in parts for step in part.steps), "each step is in one part"
    for number, part in enumerate(parts):
        assert [step.key for step in part.steps] == [key for key in keys if place[key] == number]
        assert not part.name or part.number == "+".join(sorted({NUMBERS[step.act] for step in part.steps}))
        for step in part.steps:
            assert all(place[key] <= number for key in step.needs), f"{step.key} needs what is shown below it"
    assert headings(plan) == [f"{part.number}  {part.name}" for part in parts if part.name]
    check_counts(plan)
    check_text(plan)


def deciding(steps: list[Step]) -> str:
    """Of several steps at one resource, whose action it is counted under."""
    actions = {step.action for step in steps}
    return next(action for action in DECIDES if action in actions)


def check_counts(plan: Plan) -> None:
    """The headings' counts add up to the last line's, but for resources that are in two parts, which it counts once."""
    parts = read_in_acts(plan)
    counts, once = Counter[str](), Counter({key: number for key, number in plan.count().items() if number})
    for part in parts:
        counts.update({action: int(number) for number, action in re.findall(r"(\d+) to (\w+)", part.counts)})
        old = re.search(r"(\d+) to delete \((\d+)?[a-z ]*replaced\)", part.counts)
        said = int(old[2] or old[1]) if old else 0
        assert said == sum(step.action == "delete" and step.part_of not in part.keys | {None} for step in part.steps)
    for steps in by_resource(plan.steps):
        here = [[step for step in steps if step.key in part.keys] for part in parts]
        counts.subtract(deciding(those) for those in here if those)
        counts[deciding(steps)] += 1
    assert +counts == once


def check_text(plan: Plan) -> None:
    """Each entry has one line, what is waited for is said, and Markdown has as many lines and the same headings."""
    text, markdown = told(plan), plan_markdown(plan)
    lines = Counter((SIGNS[step.action], str(step.address)) for part in read_in_acts(plan) for step in part.entries)
    along = Counter(("-", str(address)) for step in plan.steps for address in step.also_deletes)
    found = Counter(re.findall(r"^ +(-/\+|[-+~]) ([a-z_]+\.\S+)(?=$|  )", text, re.MULTILINE))
    assert found == lines + along
    heads = Counter(re.findall(r"^[-+!] ([a-z_]+\.\S+)", markdown, re.MULTILINE))
    assert heads == Counter(str(step.address) for part in read_in_acts(plan) for step in part.entries)
    assert all(wait in text and wait in markdown for step in plan.steps for wait in step.waits)
    titles = re.findall(r"<summary>([123+]+) (.*?): ", markdown)
    assert [f"{number}  {name}" for number, name in titles] == headings(plan)


@pytest.mark.parametrize(("file", "name"), CASES)
def test_each_step_is_shown_once_under_its_act(file: Path, name: str) -> None:
    try:
        plan = plan_of(cases_of(file)[name])
    except (PlanError, RefusedError):
        return
    check(plan)


def test_what_a_round_is_needed_for_isnt_shown_above_it() -> None:
    """A new group that takes the instances of a roll, its first ones included."""
    api = {"protocol": "HTTP", "port": 8081, "targets": ["web"]}
    check(plan_of({"want": {**IN_ROUNDS, "target_groups/api": api}}))


def test_rounds_say_how_many_at_a_time() -> None:
    assert headings(roll(max_surge=2)) == ["1+3  Prepare and clean up in rounds of 2"]
    assert headings(roll(max_surge=0, max_unavailable=2)) == ["1+3  Prepare and clean up in rounds of 2"]
    both = plan_of({"want": {**IN_ROUNDS, "security_groups/spare": {"description": "spare"}}})
    assert headings(both) == ["1  Prepare", "1+3  Prepare and clean up in rounds of 1"]


def test_a_wait_for_what_nothing_needs_is_not_between() -> None:
    """A target that joins beside a group that goes: the group's end doesn't wait for it."""
    want = {"instances/web/count": 3, "security_groups/spare": None}
    plan = plan_of({"want": want, "have": {"security_groups/spare": {"description": "x"}}})
    assert headings(plan) == ["1  Prepare", "3  Clean up"]
    assert "wait until" not in told(plan).replace("waits until", "")
    assert "      waits until healthy (one passed check, every 10 s)" in told(plan)


def test_a_page_has_the_same_headings() -> None:
    assert "<h3>" not in plan_page(planned(is_there=False))
    found = planned(want=OTHER_GROUP)
    page = plan_page(found)
    shown = [unescape(re.sub(r" <span.*", "", item)) for item in re.findall(r"<h3>(.*?)</h3>", page)]
    assert shown == [item.replace("  ", " ") for item in headings(found.plan)]
    assert page.count("<details") == sum(len(part.entries) for part in read_in_acts(found.plan))
    assert (
        "Wait until the switch has reached every node of the load balancer, and open requests have had their group's deregistration delay (60 s)</p>\n<h3>3 Clean up"
        in unescape(page)
    )
