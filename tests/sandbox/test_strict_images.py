"""Images asked for by their IDs: the sandbox looks them up, and answers as if it had compared all of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.strict_world import IMAGE, refused

OTHER, ABSENT = "ami-1e749f67", "ami-00000000000000000"


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ([IMAGE], {IMAGE}),
        ([IMAGE, OTHER, IMAGE], {IMAGE, OTHER}),
        ([ABSENT, IMAGE], {IMAGE}),
        ([IMAGE[:-1] + "?"], {IMAGE}),
        ([ABSENT], set()),
    ],
)
def test_a_filter_finds_what_there_is(ec2: Any, asked: list[str], found: set[str]) -> None:
    images = ec2.describe_images(Filters=[{"Name": "image-id", "Values": asked}])["Images"]
    assert {image["ImageId"] for image in images} == found
    assert len(images) == len(found)


def test_other_filters_count_as_well(ec2: Any) -> None:
    by_id = {"Name": "image-id", "Values": [IMAGE]}
    assert ec2.describe_images(Filters=[by_id, {"Name": "state", "Values": ["available"]}])["Images"]
    assert not ec2.describe_images(Filters=[by_id, {"Name": "state", "Values": ["failed"]}])["Images"]
    assert not ec2.describe_images(Filters=[by_id], Owners=["self"])["Images"]


def test_an_id_that_isn_t_there_is_refused_without_a_filter(ec2: Any) -> None:
    with refused("InvalidAMIID.NotFound"):
        ec2.describe_images(ImageIds=[ABSENT])
