"""Finds the AWS partition of a region (aws, aws-cn …), with which ARNs begin."""

from typing import Final

_BY_REGION: Final = {
    "cn": ("aws-cn", "cn-north-1"),
    "us-gov": ("aws-us-gov", "us-gov-west-1"),
    "us-iso": ("aws-iso", "us-iso-east-1"),
    "us-isob": ("aws-iso-b", "us-isob-east-1"),
    "eu-isoe": ("aws-iso-e", "eu-isoe-west-1"),
    "us-isof": ("aws-iso-f", "us-isof-south-1"),
    "eusc": ("aws-eusc", "eusc-de-east-1"),
}
"""Partitions, each with one of its regions, by the beginning of a region's name; all other regions are in `aws`."""


def partition_of(region: str) -> str:
    """The partition that a region is in."""
    return _of(region)[0]


def main_region_of(region: str) -> str:
    """One region of the same partition: the same for all regions of a partition."""
    return _of(region)[1]


def _of(region: str) -> tuple[str, str]:
    return next((found for mark, found in _BY_REGION.items() if region.startswith(f"{mark}-")), ("aws", "us-east-1"))
