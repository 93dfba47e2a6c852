"""Changes that meet a target which fails, or which somebody has taken away: they arrive, and nobody who asks sees anything of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness import Spec
from tests.properties.scene import SHAPES
from tests.properties.walks import Pair, account


def go(before: Spec, after: Spec, deed: str, number: int = 0) -> None:
    """From one to the other, after this has happened to that target."""
    pair = Pair("", (), (), deed, number=number)
    vars(pair).update(before=before, after=after)
    with account() as here:
        here.begin(before)
        assert here.go(pair) == "converged"


def weighted(**settings: Any) -> Spec:
    """A rule that shares its requests between a group of two targets and one of one, with these settings of both."""
    spec = SHAPES["secure"]()
    for group in spec["target_groups"].values():
        group |= settings
    return spec


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("change", [{"health_check": {"protocol": "HTTPS"}}, {"port": 80}], ids=str)
def test_both_groups_of_a_rule_are_replaced_while_a_target_fails(change: dict[str, Any], number: int) -> None:
    """Found: the group of two had to have as many healthy targets as both groups had together, and one on another port had to
    become healthy first, though its instance failed where it was, too."""
    go(weighted(), weighted(**change), "ill", number)


def alone(path: str) -> Spec:
    """A group of one target behind a rule for this path."""
    spec = SHAPES["secure"]()
    spec["load_balancers"]["public"]["listeners"]["https"]["rules"]["canary"]["conditions"] = [{"path_pattern": path}]
    return spec


@pytest.mark.parametrize("deed", ["deregistered", "terminated"])
def test_a_rule_takes_other_requests_when_its_group_has_its_targets_again(deed: str) -> None:
    """Found: the rule came first, and what others had answered until then met a group without a target."""
    for number in range(2):
        go(alone("/1/*"), alone("/9/*"), deed, number)
