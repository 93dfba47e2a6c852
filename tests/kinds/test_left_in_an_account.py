"""What each kind, and each shipped spec, leaves behind in an account is found there by a run's tag, and removed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from alb_reconcile.kinds import load_kinds
from tests.account.inventory import KINDS, PATIENCE, Inventory, Thing
from tests.account.place import Place
from tests.account.service import PROGRAM, of_run
from tests.at_length import SOAK
from tests.harness import REGION, World, by_hand, demo, world
from tests.kinds.example import example_of
from tests.kinds.test_iam_policy import OWN, ready
from tests.specs.test_translated import FILES, prepare

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import Spec

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


def place_in(there: World) -> Within:
    return Within("123456789012", REGION, world=there)


def census(there: World) -> set[str]:
    iam = by_hand("iam")
    roles, profiles = iam.list_roles()["Roles"], iam.list_instance_profiles()["InstanceProfiles"]
    return {*there.strict.inventory(), *(item["Arn"] for item in (*roles, *profiles))}


def named(spec: Spec, place: Place, run: str) -> Spec:
    """As `make test-aws` names it, without the program that it gives to instances."""
    made = of_run(copy.deepcopy(spec), place, run)
    for entry in made.get("instances", {}).values():
        if entry.get("user_data_file") == PROGRAM:
            del entry["user_data_file"]
        entry.pop("key_name", None)
    return made


def test_the_inventory_knows_each_kind() -> None:
    assert set(load_kinds()) <= KINDS


def example(kind: str, there: World) -> Spec:
    found = example_of(kind)
    found.prepare()
    there.clock.advance(60)
    return found.spec


def shipped(file: Path, there: World) -> Spec:
    return prepare(there, file) if file in FILES else ready(there, file)


CASES: dict[str, Callable[[World], Spec]] = {
    **{kind: partial(example, kind) for kind in load_kinds()},
    **{file.stem: partial(shipped, file) for file in (*OWN, *FILES)},
}


@pytest.mark.parametrize(
    "case", CASES if SOAK else ("certificate", "instance_profile", "log_bucket", "trust_store", "record")
)
def test_what_is_left_is_removed(case: str) -> None:
    with world() as there:
        place = place_in(there)
        spec = CASES[case](there)
        before = census(there)
        assert not there.apply(named(spec, place, OTHER)).failures
        others = census(there)
        there.apply(named(spec, place, RUN), check=False)  # a pool may have no second range: then it is half made
        assert census(there) > others
        assert remove(place, RUN) == []
        assert census(there) == others
        assert remove(place) == []
        assert census(there) == before


def test_what_holds_on_to_something_is_let_go() -> None:
    """Protection, groups that let each other out, and a bucket with logs in it."""
    with world() as there:
        place, spec = place_in(there), demo()
        before = census(there)
        spec["load_balancers"]["public"]["attributes"]["deletion_protection.enabled"] = True
        spec["instances"]["web"]["disable_api_termination"] = True
        for group, other in (("web", "load-balancer"), ("load-balancer", "web")):
            spec["security_groups"][group]["egress"] = [{"protocol": "tcp", "port": 80, "security_group": other}]
        spec["log_buckets"] = {"logs": {}}
        assert not there.apply(named(spec, place, RUN), check=False).failures
        (bucket,) = by_hand("s3").list_buckets()["Buckets"]
        by_hand("s3").put_object(Bucket=bucket["Name"], Key="front/AWSLogs/today", Body=b"GET /")
        assert remove(place, RUN) == []
        assert census(there) == before


def test_tags_of_others_are_asked_for_once() -> None:
    with world() as there:
        acm = client("acm")
        for algorithm in ("RSA_2048", "EC_prime256v1"):
            acm.request_certificate(DomainName="theirs.example.com", ValidationMethod="DNS", KeyAlgorithm=algorithm)
        there.clock.advance(60)
        own, asked = Inventory(place_in(there)), list[str]()
        acm.meta.events.register("before-call.acm", lambda model, **_: asked.append(model.name), unique_id="asked")
        try:
            assert own.find() == own.find() == []
        finally:
            acm.meta.events.unregister("before-call.acm", unique_id="asked")
        assert asked.count("ListCertificates") == 2
        assert asked.count("ListTagsForCertificate") == 2, "one a certificate, whatever its key"


def remove(place: Within, run: str = "") -> list[Thing]:
    """What is left then. Meanwhile AWS takes the interfaces of load balancers in others' networks away."""
    left = Inventory(place, run).remove_all()
    place.real(600)
    return left
