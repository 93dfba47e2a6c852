"""Key pairs: imported, named by instances, replaced with them, and left alone where they are somebody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.harness import by_hand, demo
from tests.kinds.example import Example
from tests.kinds.hand import calls, delete, edited, short

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Hand

ONE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILmQbJ5nW2fJ0d2S1bZ1m8y0sWgkq6b1vFv0kq0v1o8K somebody@example"
TWO = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDl1Qm5vWx2y6o1pQy0m8zq7q2H1n3kq5b6c7d8e9f0B somebody@example"
EXAMPLE = Example(
    spec={"stack": "demo", "region": "us-east-1", "key_pairs": {"ops": {"public_key": ONE}}}, address="key_pair.ops"
)


def with_key(key: str = ONE, **keys: Any) -> Spec:
    spec = edited(demo(), "key_pairs", {"ops": {"public_key": key, **keys}})
    spec["instances"]["web"]["key_name"] = "ops"
    return spec


def names(hand: Hand) -> set[str]:
    return {item["KeyName"] for item in hand.ec2.describe_key_pairs()["KeyPairs"]}


def test_instances_are_launched_with_the_key_of_an_entry(hand: Hand) -> None:
    hand.make(with_key())
    (name,) = names(hand)
    assert name.startswith("demo-")
    assert {params["KeyName"] for params in calls(hand.world, "run_instances")} == {name}
    assert hand.world.plan(with_key(ONE.replace("somebody", "somebody else"))).is_empty, "a comment is no change"


def test_a_name_that_no_entry_has_is_that_of_an_existing_key(hand: Hand) -> None:
    """Also if it begins like an id."""
    by_hand("ec2").create_key_pair(KeyName="vpc-key")
    hand.make(edited(demo(), "instances/web/key_name", "vpc-key"))
    assert hand.world.plan(hand.spec).is_empty
    hand.world.destroy(demo())
    assert names(hand) == {"vpc-key"}


def test_another_key_stands_beside_the_old_one_until_the_instances_have_it(hand: Hand) -> None:
    hand.make(with_key())
    (old,) = names(hand)
    assert ("replace", "key_pair.ops", ("name",)) in short(hand.world.plan(with_key(TWO)))
    hand.make(with_key(TWO))
    (new,) = names(hand)
    assert new != old
    order = [name for name, _ in hand.world.log if name in ("import_key_pair", "run_instances", "delete_key_pair")]
    assert order[0] == "import_key_pair"


def test_a_name_that_somebody_else_has_is_refused(hand: Hand) -> None:
    by_hand("ec2").create_key_pair(KeyName="ops")
    (failure, *_) = hand.world.apply(with_key(name="ops")).failures
    assert 'there is a key pair named "ops" outside this stack; choose another name' in failure


def test_one_that_only_its_instances_show_is_found_and_goes(hand: Hand) -> None:
    hand.make(with_key())
    assert delete("key_pair.ops") in short(hand.world.plan(demo()))
    hand.make(demo())
    assert not names(hand)
