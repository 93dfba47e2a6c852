"""Target groups, rules and weights that change while requests come in: no gap, and no answer from elsewhere."""

from __future__ import annotations

import time
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from alb_reconcile.sandbox.client import LAG
from tests.load.conftest import SPEED
from tests.load.specs import listener, told, two_groups, web

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.load.stage import Proof, Stage

IMAGE = "ami-04681a1dbd79675a5"
BLUE, GREEN = told("blue"), told("green")


def groups_of(proof: Proof) -> list[frozenset[str]]:
    """The groups that got requests, one set after the other."""
    found: list[frozenset[str]] = []
    for sight in proof.watch.sights:
        if not found or found[-1] != sight.serving:
            found.append(sight.serving)
    return found


def test_a_target_group_is_replaced(stage: Stage) -> None:
    """By one on another port, and back. The version listens at both."""
    with stage.under_load(web(version="80-8080-fifth")) as proof:
        stage.apply(web(version="80-8080-fifth", port=8080))
        stage.apply(web(version="80-8080-fifth"))
    proof.holds(least=2)
    assert len(groups_of(proof)) == 3, "from one to the other, at once"
    assert len(proof.load.from_instances()) == 2


def test_a_target_group_and_the_image_are_replaced(stage: Stage) -> None:
    """The new version is the only one that listens at the new port."""
    after = web(version="8080-sixth", port=8080)
    after["instances"]["web"]["image_id"] = IMAGE
    with stage.under_load(web(version="fifth")) as proof:
        stage.apply(after)
    proof.holds(least=2)
    proof.moves("fifth", "8080-sixth")
    assert len(groups_of(proof)) == 2


def split(blue: int, green: int) -> Spec:
    """Two groups with these weights."""
    weights = (("web", blue), ("other", green))
    return two_groups(forward={"target_groups": [{"target_group": name, "weight": weight} for name, weight in weights]})


def test_weights_move(stage: Stage) -> None:
    with stage.under_load(split(100, 0)) as proof:
        stage.apply(split(50, 50))
        stage.wait_for_nodes()
        half = time.monotonic()
        proof.load.more(600)
        over = time.monotonic()
        stage.apply(split(0, 100))
    proof.holds(least=2)
    proof.moves("blue", "green")
    shares = proof.load.from_versions(begun_after=half, ended_before=over)
    assert 0.38 < shares[BLUE] / shares.total() < 0.62, "half of about 600: that is six standard deviations"


Order = tuple[tuple[str, str, str], ...]
"""Name, path and group of each rule, the first one first."""
A, B, C = ("a", "/x/*", "web"), ("b", "/*y*", "other"), ("c", "/*z*", "web")
ORDERS: tuple[Order, ...] = (
    (A, B, C),
    (B, A, C),  # two swap
    (A, C, B),  # all three turn
    (C, ("new", "/x/*", "other"), B),  # one goes, one comes to a place of another
)
PATHS = ("/x/1", "/y", "/z", "/x/y", "/x/z", "/y/z", "/x/y/z")


def ruled(order: Order) -> Spec:
    """Rules with 10, 20 and 30; who meets none of them gets no answer from an instance."""
    gap = {"status_code": 503, "content_type": "text/plain", "message_body": "a gap"}
    spec = two_groups(fixed_response=gap)
    rules: dict[str, Any] = {}
    for number, (name, path, group) in enumerate(order, start=1):
        condition = {"path_pattern": path}
        rules[name] = {"priority": 10 * number, "conditions": [condition], "action": {"forward": group}}
    listener(spec)["rules"] = rules
    return spec


def answer_of(order: Order, path: str) -> str:
    """The version that answers."""
    group = next(group for _, pattern, group in order if fnmatchcase(path, pattern))
    return {"web": BLUE, "other": GREEN}[group]


def test_rules_change_places(stage: Stage) -> None:
    changes = [(0.0, 0.0)]
    with stage.under_load(ruled(ORDERS[0]), paths=PATHS) as proof:
        for order in ORDERS[1:]:
            proof.load.more(300)
            started = time.monotonic()
            stage.apply(ruled(order))
            changes.append((started, time.monotonic()))
    proof.holds(least=2)
    known = LAG / SPEED + 0.5  # seconds here until the load balancer's nodes know, and the sandbox has looked
    over = [*(ended + known for _, ended in changes[1:]), float("inf")]
    for answer in proof.load.answers:
        holding = [
            order
            for order, (since, _), until in zip(ORDERS, changes, over, strict=True)
            if answer.ended > since and answer.begun < until
        ]
        assert answer.version in {answer_of(order, answer.path) for order in holding}, answer
