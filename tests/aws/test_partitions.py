"""Regions and their partitions."""

from __future__ import annotations

from alb_reconcile.aws.partitions import main_region_of, partition_of
from alb_reconcile.spec.schema import resolved

REGIONS = resolved("stack")["properties"]["region"]["examples"]


def test_all_regions_of_a_partition_have_one_main_region_in_it() -> None:
    """A lock that is named by it can be broken with the credentials of that partition."""
    mains: dict[str, set[str]] = {}
    for region in REGIONS:
        main = main_region_of(region)
        assert main in REGIONS
        assert partition_of(main) == partition_of(region)
        mains.setdefault(partition_of(region), set()).add(main)
    assert {len(found) for found in mains.values()} == {1}
    assert mains["aws-cn"] == {"cn-north-1"}
