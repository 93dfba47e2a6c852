"""Images asked for by their IDs: the sandbox looks them up, and answers as if it had compared all of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from moto.moto_api._internal import mock_random

from alb_reconcile.sandbox.strict.catalogue import shared_images
from tests.sandbox.strict_world import IMAGE, refuses

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
    refuses("InvalidAMIID.NotFound", ec2.describe_images, ImageIds=[ABSENT])


def test_images_draw_from_no_ids_but_their_own() -> None:
    """Found: all ids differed in what a process tried first, which has the images made."""
    drawn = mock_random.getstate()
    load = shared_images(lambda shelf: shelf.amis.update({mock_random.get_random_hex(): SimpleNamespace()}))
    backend = SimpleNamespace(account_id="1", region_name="here", amis={}, snapshots={})
    load(backend)
    assert backend.amis
    assert mock_random.getstate() == drawn
