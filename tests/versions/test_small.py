"""V16: small things about a version's checks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID

from alb_reconcile.cli.options.parser import make_parser
from alb_reconcile.model.errors import SpecError
from alb_reconcile.sandbox.strict import quotas
from alb_reconcile.sandbox.strict.world import World as Place
from tests.harness import REGION, load
from tests.versions.service import Answer, listener, version

if TYPE_CHECKING:
    from pathlib import Path

    from tests.versions.service import Service


def _fill(service: Service, number: int) -> None:
    """Somebody else's rules at the listener."""
    for priority in range(2, 2 + number):
        service.world.client("elbv2").create_rule(
            ListenerArn=service.listener_arn(), Priority=priority,
            Conditions=[{"Field": "path-pattern", "Values": [f"/x{priority}"]}],
            Actions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}],
        )  # fmt: skip


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="V16: the plan doesn't count it, and the run fails with all instances made",
)
def test_a_plan_counts_the_rule_that_asks_among_the_rules_that_may_be(service: Service) -> None:
    specs = [version("1"), version("2")]
    for spec in specs:
        listener(spec)["others"] = "keep"
    service.deploy(specs[0])
    Place(DEFAULT_ACCOUNT_ID, REGION).ledger.quotas |= {quotas.RULES: 100}
    _fill(service, 100)
    ended = service.run("plan", specs[1])
    assert "rules" in ended.text, ended.text
    assert ended.code == 4, ended.text
    service.apply(specs[1])
    assert service.running == {"1": 2}


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="V16: it reads too early, says that somebody has deleted the rule, and leaves the rule",
)
def test_a_short_settle_does_not_take_a_late_read_for_somebody_elses_deed(service: Service) -> None:
    """AWS shows a rule only some seconds after it was made."""
    world = service.world
    service.deploy(version("1", settle="2s"))
    world.strict.lag, world.strict.reference_lag = 10.0, 6.0
    service.let_pass(1)
    ended = service.apply(version("2", settle="2s"))
    world.strict.lag = world.strict.reference_lag = 0.0
    service.let_pass(1)
    assert "deleted the rule" not in ended.text
    assert not service.own_rules


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="V16: nothing is asked, and nothing said")
def test_checks_that_nobody_makes_are_told() -> None:
    """Who writes them for a roll believes that they are made."""
    spec = version("1")
    spec["instances"]["web"]["rollout"] = {"strategy": "rolling", "checks": [{"get": "/"}]}
    try:
        told = [str(item) for item in load(spec).warnings]
    except SpecError as error:
        told = [str(error)]
    assert any("checks" in text for text in told), told


@pytest.mark.xfail(strict=True, raises=pytest.fail.Exception, reason="V16: it is valid, and no answer passes")
def test_a_range_of_statuses_that_is_empty_is_refused() -> None:
    with pytest.raises(SpecError, match="399-200"):
        load(version("1", checks=[{"get": "/", "status": "399-200"}]))


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="V16: the refusal names another group only")
def test_where_another_stacks_rule_is_in_the_way_the_other_strategy_is_named(service: Service) -> None:
    service.deploy(version("1"))
    (group,) = service.serving_groups
    service.world.client("elbv2").create_rule(
        ListenerArn=service.listener_arn(), Priority=7, Conditions=[{"Field": "path-pattern", "Values": ["/theirs"]}],
        Actions=[{"Type": "forward", "TargetGroupArn": group}],
        Tags=[{"Key": "alb-reconcile:stack", "Value": "theirs"}, {"Key": "alb-reconcile:address", "Value": "rule.public/http/theirs"}],
    )  # fmt: skip
    ended = service.apply(version("2"))
    assert ended.code == 4, ended.text
    assert "strategy: rolling" in ended.text


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="V16: 6 is missing")
def test_the_exit_code_of_a_version_that_was_taken_back_is_in_the_help() -> None:
    codes = make_parser().format_help().partition("exit codes:")[2]
    assert " 6 " in codes


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="V16: 6 is missing")
def test_the_exit_code_of_a_version_that_was_taken_back_is_in_the_readme(repository: Path) -> None:
    (line,) = [line for line in (repository / "README.md").read_text().splitlines() if "130" in line and "64" in line]
    assert re.search(r"\b6 ", line), line


def test_a_good_version_takes_over(service: Service) -> None:
    """What all of these scenes are beside."""
    service.deploy(version("1"))
    service.watch()
    service.deploy(version("2"))
    assert service.met == {Answer("1", 200), Answer("2", 200)}
    assert not service.own_rules
