"""A renamed entry: its resource gets the new address, and nothing is replaced."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.model import tags
from alb_reconcile.model.errors import AwsError, RefusedError, UsageError
from tests.adoption.adopting import our_tags
from tests.adoption.test_adopt_refusals import _failing_after
from tests.harness import demo

if TYPE_CHECKING:
    from tests.adoption.adopting import Keeper
    from tests.harness import Spec
    from tests.properties.watched import WatchedWorld


def _before() -> Spec:
    spec = demo()
    spec["instances"]["web"]["root_volume"] = {"volume_size": 20}
    spec["load_balancers"]["public"]["listeners"]["http"]["rules"] = {
        "soon": {"priority": 9, "conditions": [{"path_pattern": "/v2/*"}], "action": {"forward": "web"}}
    }
    return spec


def test_a_move_that_cant_be_is_refused_and_nothing_moves(world: WatchedWorld, keep: Keeper) -> None:
    refused = (
        ("subnet.public-a", "subnet.public-b", "already exists"),
        ("subnet.public-x", "subnet.public-y", "nothing at subnet.public-x"),
        ("subnet.public-a", "vpc.public-a", "keeps its kind"),
        ("instances.web", "instance.api-1", "keeps its kind"),
        ("listener.public/http", "listener.other/http", "another parent"),
    )
    world.converge(demo())
    before = our_tags(world)
    for old, new, words in refused:
        with pytest.raises(RefusedError, match=words):
            keep.move(demo(), old, new)
    assert our_tags(world) == before


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("instance.web-1", "instance.api", "api-1"),
        ("subnet.public-a", "subnet.Public", "a name is"),
        ("vpc.main", "vpc.vpc-0a1b2c3d4e5f60718", "not an id"),
        ("security_group_rules.web", "security_group_rules.api", "moves with the entry"),
        ("disk.a", "disk.b", "isn't an address"),
        ("subnets.public-a", "subnets.front-a", r"subnets\.public-a isn't an address; did you mean subnet\.public-a\?"),
        ("vpc.main", "vpc.main", "same address"),
    ],
)
def test_what_is_no_address_is_a_mistake_of_usage(keep: Keeper, old: str, new: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        keep.move(demo(), old, new)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "gone"),
    [
        ("instances.web", "instances.api", r"instance\.web-.*"),
        ("load_balancer.public", "load_balancer.entrance", r"load_balancer\.public|.*\.public/.*"),
    ],
)
def test_a_move_that_is_stopped_after_each_call_goes_on(
    world: WatchedWorld, keep: Keeper, old: str, new: str, gone: str
) -> None:
    world.converge(_before())
    before = our_tags(world)
    for count in range(1, 9):
        with _failing_after(world, count), suppress(AwsError):
            keep.move(_before(), old, new)
    found = keep.move(_before(), old, new)
    assert found.moves == ()
    assert found.notes[0] == f"nothing is at {old}, and {new} exists: there is nothing to move"
    after = our_tags(world)
    assert after.keys() == before.keys()
    assert not [item[tags.ADDRESS] for item in after.values() if re.fullmatch(gone, item[tags.ADDRESS])]
