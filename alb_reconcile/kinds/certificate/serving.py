"""Checks whether certificates can serve a listener (ACM DescribeCertificate)."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds.base import Intent
from alb_reconcile.kinds.certificate.lists import list_certificates, read_tags
from alb_reconcile.kinds.certificate.validation import ISSUED, REQUESTED
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address
from alb_reconcile.model.discovery import Finding
from alb_reconcile.model.errors import AwsError
from alb_reconcile.model.lookup import Lookup
from alb_reconcile.model.resource import Desired

_FIELD = "certificate_arn"


async def check_certificates(
    aws: Aws, item: Intent, hosts: Iterable[str], desired: Mapping[Address, Desired]
) -> list[Finding]:
    """Findings about a listener's certificates; as a warning, which of the `hosts` no certificate covers. Only ACM's certificates are
    read; the stack's own are taken to be as the spec says."""
    declared: Any = item.desired.state
    wanted = (declared.certificate_arn, *(declared.certificates or ()))
    own = [desired[ref].state for ref in wanted if isinstance(ref, Address)]
    arns = [ref for ref in wanted if not isinstance(ref, Address)]
    found = await asyncio.gather(*(_read(aws, arn) for arn in arns))
    findings = [
        Finding(item.desired, _FIELD if arn == declared.certificate_arn else "certificates", text)
        for arn, read in zip(arns, found, strict=True)
        if (text := _objection(arn, read))
    ]
    if findings or any(read is None for read in found):  # a certificate that can't be read may cover them
        return findings
    names = {
        name for read in found if read for name in (read.get("DomainName"), *read.get("SubjectAlternativeNames", ()))
    }
    names |= {name for state in own for name in getattr(state, "names", ())}
    if not arns and all(getattr(state, "type", "") == REQUESTED for state in own):
        return []  # validate says it
    text = misnamed(len(wanted), names, hosts)
    return [Finding(item.desired, _FIELD, text, warning=True)] if text else []


def misnamed(number: int, names: Iterable[str], hosts: Iterable[str]) -> str:
    """Which of the hosts none of a listener's certificates covers, in words; empty for none."""
    bare = sorted(host for host in hosts if not any(_covers(name, host) for name in names if name))
    what = "its certificate is" if number == 1 else "its certificates are"
    told = f"{what} for {', '.join(sorted(filter(None, names)))}, so clients of {', '.join(bare)} refuse it"
    return f"{told}; add the names, or choose another certificate" if bare else ""


def match_domain(rows: Iterable[Mapping[str, Any]], domain: str) -> list[Mapping[str, Any]]:
    """The issued certificates for a name: those that have the name itself, or else those with a wildcard for it."""
    wanted = domain.lower()
    names = [(row, {str(row.get("DomainName", "")).lower(), *_listed(row)}) for row in rows]
    exact = [row for row, own in names if wanted in own]
    return exact or [row for row, own in names if any(name.startswith("*.") and _covers(name, wanted) for name in own)]


def _listed(row: Mapping[str, Any]) -> list[str]:
    return [str(name).lower() for name in row.get("SubjectAlternativeNameSummaries", ())]


async def _read(aws: Aws, arn: str) -> dict[str, Any] | None:
    """ACM's description of a certificate; empty for one that doesn't exist, None where ACM can't be asked."""
    if ":acm:" not in arn:
        return None
    try:
        answer: dict[str, Any] = await aws.call("acm", "describe_certificate", CertificateArn=arn)
    except AwsError as error:
        return {} if error.code == "ResourceNotFoundException" else None
    return {"Status": "ISSUED", **answer["Certificate"]}


def _objection(arn: str, read: dict[str, Any] | None) -> str:
    """Why a listener wouldn't take a certificate; empty if it would."""
    if read is None:
        return ""
    if not read:
        return f"there is no certificate {arn} in this region and account; correct its ARN"
    if read["Status"] == "ISSUED":
        return ""
    return f"certificate {arn} is {read['Status']}, and a listener takes only one that is ISSUED; validate it, or choose another"


def _covers(name: str, host: str) -> bool:
    """Whether a certificate's name covers a host, or a host of a rule's pattern. A wildcard stands for one label."""
    name, host = name.lower(), host.lower()
    return fnmatchcase(name, host) or (fnmatchcase(host, name) and host.count(".") == name.count("."))


FINDING: Final = ("acm:ListCertificates", "acm:ListTagsForCertificate", "acm:DescribeCertificate")
"""The IAM actions of `find_certificates`, and of reading the certificates that it finds."""


async def find_certificates(aws: Aws, wanted: Sequence[Lookup], stack: str) -> dict[Lookup, tuple[list[str], str]]:
    """The issued certificates that look-ups by domain find, and what is wrong with each look-up."""
    if not wanted:
        return {}
    rows = await list_certificates(aws, ISSUED)
    found = await asyncio.gather(*(_find_one(aws, item, match_domain(rows, item.domain), stack) for item in wanted))
    return dict(zip(wanted, found, strict=True))


async def _find_one(aws: Aws, wanted: Lookup, rows: Sequence[Mapping[str, Any]], stack: str) -> tuple[list[str], str]:
    arns = sorted(str(row["CertificateArn"]) for row in rows)
    if not arns:
        return (
            arns,
            f"no issued certificate is found by {wanted.words} in this account and region; correct it, or declare one under certificates",
        )
    if len(arns) > 1:
        return (
            arns,
            f"{len(arns)} issued certificates are found by {wanted.words} ({', '.join(arns[:8])}); give the ARN of one",
        )
    if (await read_tags(aws, arns[0])).get(tags.STACK) == stack:
        return arns, f"{arns[0]} is found by {wanted.words}, and is this stack's own; name its entry"
    return arns, ""
