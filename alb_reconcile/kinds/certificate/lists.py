"""Lists the certificates of an account, in one region or in all regions (ACM ListCertificates, EC2 DescribeRegions)."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.hints import iam_action
from alb_reconcile.model import tags
from alb_reconcile.model.errors import AwsError, ignoring

KEY_ALGORITHMS: Final = (
    "RSA_1024", "RSA_2048", "RSA_3072", "RSA_4096", "EC_prime256v1", "EC_secp384r1", "EC_secp521r1",
)  # fmt: skip
_PATIENCE: Final = 30.0
"""Seconds for all regions, on the wall clock, like time-outs of HTTP; from a private network some regions may not be reached."""


class Listed(NamedTuple):
    """A certificate as ACM lists it, and the region that it is in."""

    aws: Aws
    row: Mapping[str, Any]

    @property
    def arn(self) -> str:
        """The certificate's ARN."""
        return str(self.row["CertificateArn"])

    @property
    def names(self) -> set[str]:
        """The certificate's names without wildcards, as far as ACM lists them."""
        return bare_names((self.row.get("DomainName", ""), *self.row.get("SubjectAlternativeNameSummaries", ())))


class Everywhere(NamedTuple):
    """The certificates of all regions that can be read, and why other regions can't be read."""

    found: list[Listed]
    unread: dict[str, str]

    def miss(self, region: str, error: AwsError) -> None:
        """Note the error for which a region, or all other regions, couldn't be read."""
        self.unread[region] = f"{iam_action(error.service, error.operation)}: {error.code}"


def bare_names(names: Any) -> set[str]:
    """Names without wildcards."""
    return {str(name).lower().removeprefix("*.") for name in names}


async def list_certificates(aws: Aws, *statuses: str) -> list[dict[str, Any]]:
    """All certificates of the account in the region; without a filter, ACM would list only those with keys of RSA_2048."""
    told: dict[str, Any] = {"Includes": {"keyTypes": list(KEY_ALGORITHMS)}}
    if statuses:
        told["CertificateStatuses"] = list(statuses)
    return await aws.pages("acm", "list_certificates", "CertificateSummaryList", **told)


async def list_everywhere(aws: Aws) -> Everywhere:
    """All certificates of the account, in each region that is enabled for the account."""
    everywhere = Everywhere([], {})
    try:
        answer = await aws.call("ec2", "describe_regions")
    except AwsError as error:
        everywhere.miss("other regions", error)
        names = [aws.region]
    else:
        names = sorted({aws.region, *(str(item["RegionName"]) for item in answer["Regions"])})
    await asyncio.gather(*(_list(aws if name == aws.region else aws.in_region(name), everywhere) for name in names))
    return everywhere


async def _list(aws: Aws, everywhere: Everywhere) -> None:
    try:
        async with asyncio.timeout(_PATIENCE):
            everywhere.found.extend(Listed(aws, row) for row in await list_certificates(aws))
    except AwsError as error:
        everywhere.miss(aws.region, error)
    except TimeoutError:
        everywhere.unread[aws.region] = "no answer"


async def read_tags(aws: Aws, arn: str) -> dict[str, str]:
    """A certificate's tags; none if the certificate is gone meanwhile."""
    with ignoring("ResourceNotFoundException"):
        answer = await aws.call("acm", "list_tags_for_certificate", CertificateArn=arn)
        return tags.from_list(answer.get("Tags"))
    return {}
