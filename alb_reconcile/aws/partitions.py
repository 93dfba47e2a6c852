"""AWS's partitions, which its ARNs begin with."""

from typing import Final

_BY_REGION: Final = {
    "cn": "aws-cn",
    "us-gov": "aws-us-gov",
    "us-iso": "aws-iso",
    "us-isob": "aws-iso-b",
    "eu-isoe": "aws-iso-e",
    "us-isof": "aws-iso-f",
    "eusc": "aws-eusc",
}
"""By how a region's name begins; all other regions are in `aws`."""


def partition_of(region: str) -> str:
    """The partition that a region is in."""
    return next((name for mark, name in _BY_REGION.items() if region.startswith(f"{mark}-")), "aws")
