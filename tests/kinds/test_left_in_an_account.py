"""What each kind leaves behind in an account is found there by a run's tag, and removed."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from alb_reconcile.kinds import load_kinds
from tests.account.inventory import KINDS, PATIENCE, Inventory, Thing
from tests.account.place import Place
from tests.account.service import of_run
from tests.harness import REGION, World, by_hand, world
from tests.kinds.example import example_of

if TYPE_CHECKING:
    from tests.harness import Spec

pytestmark = pytest.mark.slow

RUN, OTHER = "74e358", "0a1b2c"


@cache
def client(service: str) -> Any:
    """boto3's, which doesn't try again by itself: it would wait by this machine's clock."""
    return boto3.client(service, region_name=REGION, config=Config(retries={"total_max_attempts": 1}))


@dataclass(frozen=True)
class Within(Place):
    """A world in this process. Waiting moves its clock on."""

    world: World | None = None

    def client(self, service: str) -> Any:
        return client(service)

    def real(self, seconds: float) -> float:
        assert self.world
        if seconds == PATIENCE:
            return 60.0  # of this machine, which is only to end what hangs
        self.world.clock.advance(seconds)
        return 0.0


def census(there: World) -> set[str]:
    iam = by_hand("iam")
    roles, profiles = iam.list_roles()["Roles"], iam.list_instance_profiles()["InstanceProfiles"]
    return {*there.strict.inventory(), *(item["Arn"] for item in (*roles, *profiles))}


def named(spec: Spec, place: Place, run: str) -> Spec:
    """As `make test-aws` names it, without its key pair."""
    made = of_run(copy.deepcopy(spec), place, run)
    for entry in made.get("instances", {}).values():
        entry.pop("key_name", None)
    return made


def test_the_inventory_knows_each_kind() -> None:
    assert set(load_kinds()) <= KINDS


QUICK = ("certificate", "log_bucket", "record")


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[] if case in QUICK else pytest.mark.slow) for case in load_kinds()]
)
def test_what_is_left_is_removed(case: str) -> None:
    with world() as there:
        place = Within("123456789012", REGION, world=there)
        example = example_of(case)
        example.prepare()
        there.clock.advance(60)
        before = census(there)
        assert not there.apply(named(example.spec, place, OTHER)).failures
        others = census(there)
        # a pool may have no second range: then it is half made
        there.apply(named(example.spec, place, RUN), check=False)
        assert census(there) > others
        assert remove(place, RUN) == []
        assert census(there) == others
        assert remove(place) == []
        assert census(there) == before


def remove(place: Within, run: str = "") -> list[Thing]:
    """What is left then. Meanwhile AWS takes the interfaces of load balancers in others' networks away."""
    left = Inventory(place, run).remove_all()
    place.real(600)
    return left
