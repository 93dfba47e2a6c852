"""A plan as Markdown: never too long for a comment, nothing lost without a word, and nothing in it is obeyed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import yaml
from markdown_it import MarkdownIt

from alb_reconcile.cli.main import main
from alb_reconcile.cli.render.acts import read_in_acts
from alb_reconcile.cli.render.markdown import MOST, error_markdown, plan_markdown
from alb_reconcile.cli.render.plan import render_plan
from alb_reconcile.cli.render.style import Style
from alb_reconcile.model.address import Address
from alb_reconcile.model.errors import PlanError, RefusedError
from alb_reconcile.model.plan import Plan, Step
from tests.harness import SPECS, demo, world
from tests.plan.test_cases import CASES, cases_of, plan_of

if TYPE_CHECKING:
    from pathlib import Path

EVIL = "</details>\n```\n~~~~~\n<script>x</script> @octocat ![](http://x) `a` [x](http://x) <img src=x onerror=x>"


def plain(text: str) -> str:
    """What GitHub would obey: tags and links, without what stands in fences and spans of code."""
    html = MarkdownIt("commonmark", {"html": True}).render(text)
    return re.sub(r"<code.*?</code>", "", html, flags=re.DOTALL)


@pytest.mark.parametrize(("file", "name"), CASES)
def test_every_step_is_named_and_every_change_told(file: Path, name: str) -> None:
    try:
        plan = plan_of(cases_of(file)[name])
    except (PlanError, RefusedError):
        return
    text = plan_markdown(plan)
    for step in plan.steps:
        if step.part_of is None:
            assert re.search(rf"^[-+!] {re.escape(str(step.address))}", text, re.MULTILINE)
        assert all(f" {change.path} " in text for change in step.changes if step.part_of is None)
    for words in ("the old one is deleted first", "created before the old one is deleted"):
        assert text.count(words) == render_plan(plan, Style(colored=False)).count(words)
    parts = read_in_acts(plan)
    folded = [part.name for part in parts] if parts[0].name else {step.action for step in parts[0].entries}
    assert text.count("<details") == len(folded) + bool(plan.kept)


def large(number: int) -> Plan:
    steps = [Step("create", Address("rule", f"public/http/rule-{index}")) for index in range(number)]
    steps += [
        Step("delete", Address("instance", f"old-{index}"), f"i-{index:017x}", reason="no longer in the spec " * 9)
        for index in range(number)
    ]
    return Plan("shop", "us-east-1", "123456789012", tuple(steps), warnings=(EVIL,) * number, kept=("x" * 3000,) * 99)


@pytest.mark.parametrize(("number", "most"), [(10, MOST), (400, MOST), (10_000, MOST), (10_000, 2000), (10_000, 700)])
def test_it_fits_into_a_comment(number: int, most: int) -> None:
    text = plan_markdown(large(number), "no:\n" + "because\n" * number, "later", most)
    assert len(text) <= most
    assert "Refused" in text
    shown = len(re.findall(r"^[-+] ", text, re.MULTILINE))
    left = sum(map(int, re.findall(r"^(\d+) more of them are left out here", text, re.MULTILINE)))
    assert shown + left == number * 2 or "The steps are left out here" in text


def test_what_would_be_deleted_comes_first_and_is_unfolded() -> None:
    text = plan_markdown(large(150))
    assert text.index("<details open><summary>Deleted (150)") < text.index("<details><summary>Created (150)")
    assert text.count("\n- instance.old-") == 150


def test_nothing_is_obeyed() -> None:
    step = Step("delete", Address("vpc", EVIL), "vpc-1", reason=EVIL)
    plan = Plan("shop", "us-east-1", "", (step,), warnings=(EVIL,), kept=(EVIL,))
    for text in (plan_markdown(plan, EVIL, EVIL), error_markdown(EVIL, EVIL, 3)):
        obeyed = plain(text)
        assert not re.search(r"<(script|img|a )|octocat", obeyed)
        assert obeyed.count("<details") == obeyed.count("</details>")


def test_the_command_tells_a_refusal_and_a_broken_spec(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = demo() | {"policy": {"never_delete": ["instance"]}}
    spec["instances"]["web"]["count"] = 1
    (tmp_path / "stack.yaml").write_text(yaml.safe_dump(spec))
    (tmp_path / "user-data").symlink_to(SPECS / "user-data")
    (tmp_path / "broken.yaml").write_text("stack: a\nvpcz: {}\n")
    with world() as aws:
        aws.converge(demo())
        assert main(["plan", "--format", "markdown", str(tmp_path / "stack.yaml")]) == 4
        said = capsys.readouterr()
        assert "Refused." in said.out
        assert said.err.splitlines()[0] in said.out
        assert "\n- instance.web-2" in said.out
    assert main(["plan", "--format", "markdown", str(tmp_path / "broken.yaml")]) == 3
    said = capsys.readouterr()
    assert said.out.startswith("### No plan of `")
    assert said.err.splitlines()[0] in said.out
