"""Images by owner, name and architecture: the newest one, looked up when something is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.model.errors import RefusedError
from tests.harness import demo
from tests.kinds.hand import LINUX_1, LINUX_2, calls, edited, short

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Hand

ONE = "instance.web-1"


def by_name(name: str = "team-web-*", **keys: Any) -> Spec:
    spec = edited(demo(), "instances/web/image_id", None)
    spec["instances"]["web"] |= {"image": {"owner": "self", "name": name, "architecture": "x86_64"}, **keys}
    return spec


def build(hand: Hand, name: str) -> str:
    """The team's next image."""
    hand.wait(60)
    running = hand.ec2.run_instances(ImageId=LINUX_1, InstanceType="t3.micro", MinCount=1, MaxCount=1)["Instances"][0]
    image = str(hand.ec2.create_image(InstanceId=running["InstanceId"], Name=name)["ImageId"])
    hand.ec2.terminate_instances(InstanceIds=[running["InstanceId"]])
    return image


def image_of(hand: Hand, address: str = ONE) -> str:
    found = hand.ec2.describe_instances(InstanceIds=[hand[address]])["Reservations"][0]["Instances"][0]
    return str(found["ImageId"])


def test_the_one_that_fits_is_launched_shown_and_kept(hand: Hand) -> None:
    old = build(hand, "team-web-1")
    build(hand, "team-api-1")
    (step,) = [item for item in hand.world.plan(by_name()).steps if str(item.address) == ONE]
    assert getattr(step.state, "image_id", "") == old
    hand.make(by_name())
    assert image_of(hand) == old
    assert hand.world.plan(by_name()).is_empty
    assert not calls(hand.world, "describe_images")


def test_a_newer_one_is_taken_on_request(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    old = build(hand, "team-web-1")
    hand.make(by_name())
    new = build(hand, "team-web-2")
    made = {old: "2026-01-01T00:00:00.000Z", new: "2026-02-01T00:00:00.000Z"}
    ask = hand.world._call

    def dated(service: str, operation: str, params: Any) -> Any:
        answer = ask(service, operation, params)
        for row in answer.get("Images", ()) if operation == "describe_images" else ():
            row["CreationDate"] = made.get(row["ImageId"], row.get("CreationDate"))
        return answer

    monkeypatch.setattr(hand.world, "_call", dated)
    assert hand.world.plan(by_name()).is_empty
    newer = by_name(image_update="replace")
    assert ("replace", ONE, ("image_id",)) in short(hand.world.plan(newer))
    hand.make(newer)
    assert image_of(hand) == new


def test_another_name_replaces_and_its_reference_is_kept_in_a_tag(hand: Hand) -> None:
    build(hand, "team-web-1")
    hand.make(by_name())
    found = hand.ec2.describe_tags(Filters=[{"Name": "key", "Values": ["alb-reconcile:image"]}])["Tags"]
    assert {item["Value"] for item in found} == {"resolve:image:self:x86_64:team-web-*"}
    hand.make(by_name(name="team-web-1"))
    assert image_of(hand)


@pytest.mark.parametrize("name", ["team-web-9", "no such *"])
def test_a_name_that_no_image_has_is_refused_before_anything_is_made(hand: Hand, name: str) -> None:
    build(hand, "team-web-1")
    with pytest.raises(RefusedError) as caught:
        hand.world.plan(by_name(name=name))
    (line,) = str(caught.value).splitlines()
    text = f'instances.web.image: there is no available image of self named "{name}" for x86_64 in this region; correct image'
    assert line.partition(": ")[2] == text


def test_an_image_by_id_stands_beside(hand: Hand) -> None:
    hand.make(edited(demo(), "instances/web/image_id", LINUX_2))
    assert image_of(hand) == LINUX_2
