"""Drives certificates: requested of ACM and validated by DNS records, or imported from files (ACM RequestCertificate, ImportCertificate,
DeleteCertificate)."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final, Self
from uuid import uuid4

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.polling import WaitError, repeat_until
from alb_reconcile.kinds import waits
from alb_reconcile.kinds._rare import is_applied
from alb_reconcile.kinds._zones import Zone, find_zone, zone_grants, zone_text
from alb_reconcile.kinds.base import Around, Entry, IamActions, Intent, Kind, Used, Zones
from alb_reconcile.kinds.certificate import checks, validation
from alb_reconcile.kinds.certificate.lists import list_certificates, read_tags
from alb_reconcile.kinds.certificate.pem import PemError, PemFile, read_certificate
from alb_reconcile.kinds.certificate.preconditions import check_certificate
from alb_reconcile.kinds.certificate.reads import find_used, observe_zone, once, seen_in, tell, used
from alb_reconcile.kinds.certificate.serving import FINDING, find_certificates
from alb_reconcile.kinds.certificate.validation import DEAD, ISSUED, REQUESTED, Deleted, Seen
from alb_reconcile.kinds.context import Run, create_once
from alb_reconcile.kinds.grants import Grant, Scope
from alb_reconcile.kinds.quotas import Quota
from alb_reconcile.kinds.reader import NO_STACK, Reader
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address
from alb_reconcile.model.discovery import Finding
from alb_reconcile.model.errors import RefusedError, ignoring
from alb_reconcile.model.lookup import Lookup
from alb_reconcile.model.resource import Desired, Lookups, Observed, Properties
from alb_reconcile.model.text import digest

IMPORTED: Final = "IMPORTED"
_FROM_FILES: Final = frozenset({"certificate", "certificate_chain", "domain_name", "subject_alternative_names"})


@dataclass(frozen=True, kw_only=True)
class Certificate(Properties):
    """A certificate: requested of ACM or imported. The files of an imported certificate say its names."""

    kind = "certificate"
    service = "acm"
    is_for_others = True
    missed = 1
    replaced_on = frozenset({"type", "domain_name", "subject_alternative_names", "key_algorithm"})
    said_elsewhere = frozenset({"type", "status"})

    type: str
    """AWS's word for the certificate's origin."""
    domain_name: str | None = None
    subject_alternative_names: tuple[str, ...] | None = None
    """The other names, in lower case and sorted."""
    key_algorithm: str | None = None
    zone: str | None = None
    """The zone of the validation records, as from `kinds._zones.zone_text`; where the records aren't as they should be, that in words."""
    certificate: PemFile | None = None
    certificate_chain: PemFile | None = None
    status: str | None = None
    """AWS's word for the status, which is to be ISSUED for a requested certificate."""

    def settle(self, observed: Observed | None, lookups: Lookups) -> Self:
        """An imported certificate is as wanted where AWS shows the file's certificate; AWS may show more of the chain. For a requested
        certificate, the order of the names makes no difference."""
        found = observed.state if observed else None
        if (
            isinstance(found, Certificate)
            and self.type == found.type == REQUESTED
            and set(self.names) == set(found.names)
        ):
            return replace(
                self, domain_name=found.domain_name, subject_alternative_names=found.subject_alternative_names
            )
        if not isinstance(found, Certificate) or self.type != IMPORTED or found.type != IMPORTED:
            return self
        settled = self
        if found.certificate == self.certificate:
            settled = replace(
                self,
                domain_name=found.domain_name,
                subject_alternative_names=found.subject_alternative_names,
                key_algorithm=found.key_algorithm,
            )
        chain, shown = self.certificate_chain, found.certificate_chain
        if chain and shown and shown.startswith(chain):
            settled = replace(settled, certificate_chain=chain.shown_as(shown))
        return settled

    def fixed(self, observed: Observed) -> frozenset[str]:
        """A certificate may be imported again with other names ("Reimport a certificate"); a request that failed stays failed."""
        if self.type == IMPORTED:
            return frozenset({"type", "key_algorithm"})
        return self.replaced_on | ({"status"} if observed.status in DEAD else set())

    @property
    def names(self) -> tuple[str, ...]:
        """All names of the certificate, as far as the spec says them."""
        return tuple(name for name in (self.domain_name, *(self.subject_alternative_names or ())) if name)


class CertificateKind(Kind[Certificate]):
    """Drives certificates."""

    properties = Certificate
    noun = "a certificate"
    position = 78
    section = "certificates"
    entry_checks = (checks.check_entries,)
    arn_type = "certificate"
    missing = ("ResourceNotFoundException",)
    in_use = waits.CERTIFICATE_IN_USE
    ready = frozenset({ISSUED})
    quotas = (
        Quota(
            "L-FB94F0B0", "domain names of a certificate", 10, path="subject_alternative_names",
            count=lambda names: len(names) + 1, service="acm",
        ),
    )  # fmt: skip
    is_always_read = False
    iam_actions = IamActions(
        read=(
            "acm:ListCertificates", "acm:ListTagsForCertificate", "acm:DescribeCertificate", "acm:GetCertificate",
            "route53:ListHostedZonesByName", "route53:GetHostedZone", "route53:ListResourceRecordSets",
        ),
        look=("servicequotas:GetServiceQuota",),
        create=(
            "acm:RequestCertificate", "acm:ImportCertificate", "acm:AddTagsToCertificate",
            "route53:ChangeResourceRecordSets", "route53:GetChange", "ec2:DescribeRegions",
        ),
        update=(
            "acm:ImportCertificate", "acm:AddTagsToCertificate", "route53:ChangeResourceRecordSets", "route53:GetChange",
            "ec2:DescribeRegions",
        ),
        delete=("acm:DeleteCertificate", "route53:ChangeResourceRecordSets", "ec2:DescribeRegions"),
    )  # fmt: skip

    def read_entry(self, name: str, entry: Entry, fields: dict[str, Any], around: Around) -> Certificate:
        if "certificate" in entry:
            return _from_files(entry, around)
        zone = {"zone": zone_text(entry["zone"])} if "zone" in entry else {}
        domain = str(entry["domain_name"]).lower()
        others = {}
        if "subject_alternative_names" in entry:
            others["subject_alternative_names"] = _others(domain, entry["subject_alternative_names"])
        return Certificate(**{**fields, **zone, **others, "type": REQUESTED, "domain_name": domain, "status": ISSUED})

    def defaults_for(self, wanted: Certificate, defaults: dict[str, Any]) -> dict[str, Any]:
        return defaults if wanted.type == REQUESTED else {}

    def takes(self, action: str, fields: Collection[str]) -> tuple[int, int]:
        """The time until the certificate is issued."""
        is_requested = action == "create" or (action == "replace" and "certificate" not in fields)
        return (60, 600) if is_requested or {"status", "zone"} & set(fields) else (1, 30)

    async def check_preconditions(
        self, aws: Aws, intents: Sequence[Intent], desired: Mapping[Address, Desired], zones: Zones
    ) -> list[Finding]:
        """Checks the zones of requested certificates, and the dates of imported ones."""
        found = await asyncio.gather(*(check_certificate(aws, item) for item in intents))
        return [finding for part in found for finding in part]

    async def find_by_domain(
        self, aws: Aws, wanted: Sequence[Lookup], stack: str
    ) -> dict[Lookup, tuple[list[str], str]]:
        return await find_certificates(aws, wanted, stack)

    def finding_grants(self, scope: Scope) -> Iterable[Grant]:
        yield Grant(FINDING[:1])
        yield Grant(FINDING[1:], (scope.arn("acm", "certificate/*"),))

    def grants(self, wanted: Certificate, scope: Scope) -> Iterable[Grant]:
        own = (scope.arn("acm", "certificate/*"),)
        ours = (("StringEquals", f"aws:ResourceTag/{tags.STACK}", scope.stacks),)
        given = (("StringEquals", f"aws:RequestTag/{tags.STACK}", scope.stacks),)
        yield Grant(("acm:ListCertificates",))
        yield Grant(("acm:ListTagsForCertificate", "acm:DescribeCertificate", "acm:GetCertificate"), own)
        if wanted.type == REQUESTED:
            yield Grant(("acm:RequestCertificate",), ("*",), given)
        else:
            yield Grant(("acm:ImportCertificate",), own, given)
            yield Grant(("acm:ImportCertificate",), own, ours)
        # ACM has no condition for tags at creation only: certificates without an owner may be tagged
        nobodys = (*given, ("Null", f"aws:ResourceTag/{tags.STACK}", ("true",)))
        yield Grant(("acm:AddTagsToCertificate",), own, nobodys)
        yield Grant(("acm:AddTagsToCertificate", "acm:DeleteCertificate"), own, ours)
        if wanted.type == REQUESTED and wanted.zone:
            yield from zone_grants(scope, wanted.zone, {f"_*.{name.removeprefix('*.')}" for name in wanted.names})

    async def is_hinted(self, reader: Reader) -> bool:
        """Whether a listener of the stack has a certificate that the spec doesn't name."""
        return bool(await used(reader))

    async def discover(self, reader: Reader) -> list[Observed]:
        """The stack's certificates. An export of resources without a stack finds certificates by their users instead."""
        if reader.stack == NO_STACK:
            return []
        found = await reader.looked_for(self.name, "certificates", self._find(reader))
        seen = [(arn, reader.seen(arn, {}, there, within=near)) for arn, there, near in found]
        ours = [(arn, there) for arn, there in seen if reader.ours(there)]
        observed = await asyncio.gather(*(self._observe(reader, arn, there) for arn, there in ours))
        return [item for item in observed if item is not None]

    async def find_used(self, reader: Reader, users: Sequence[Observed]) -> list[Used]:
        return await find_used(reader, users, _state)

    def suggest_name(self, state: Certificate) -> str:
        """The first label of the certificate's name, without a wildcard's star."""
        return str(state.domain_name).removeprefix("*.").partition(".")[0]

    async def owners(self, reader: Reader) -> list[str]:
        rows = await list_certificates(reader.aws)
        found = await asyncio.gather(*(read_tags(reader.aws, str(row["CertificateArn"])) for row in rows))
        return [there[tags.STACK] for there in found if tags.STACK in there]

    async def _find(self, reader: Reader) -> list[tuple[str, dict[str, str], bool]]:
        """The certificates that may be the stack's, with their tags, and whether each looks like one that the spec declares.

        ACM lists no tags, so that each certificate's tags are read: of all certificates where the spec was changed, or a run was cut
        short; else of certificates that look like a declared one, or that listeners use.
        """
        declared = [item.state for item in reader.desired.values() if isinstance(item.state, Certificate)]
        held = await used(reader)
        near, every = set[str](), set(held)
        if declared or reader.everything:
            rows = await once(reader, "certificates", list_certificates)
            near = {str(row["CertificateArn"]) for row in rows if any(_looks_like(row, item) for item in declared)}
            if reader.everything or not await is_applied(reader):
                every |= {str(row["CertificateArn"]) for row in rows}
        arns = sorted(near | every)
        found = await asyncio.gather(
            *(once(reader, f"tags of {arn}", lambda aws, arn=arn: read_tags(aws, arn)) for arn in arns)
        )
        return [(arn, there, arn in near) for arn, there in zip(arns, found, strict=True)]

    async def _observe(self, reader: Reader, arn: str, found: Mapping[str, str]) -> Observed | None:
        row = await validation.describe(reader.aws, arn)
        if row is None:
            return None
        address = tags.own_address(found, self.name, arn)
        entry = reader.desired.get(address)
        wanted = entry.state if entry and isinstance(entry.state, Certificate) else None
        state, seen = _state(row), seen_in(row)
        if state.type == IMPORTED and wanted is not None:
            state = await _with_files(reader.aws, arn, state)
        elif wanted is not None and wanted.zone is not None:
            state = replace(state, zone=await observe_zone(reader, wanted.zone, found.get(tags.VALIDATION, ""), seen))
        return Observed(
            address, arn, state, found, reader.stack, str(row["Status"]), str(row.get("CreatedAt", "")), seen,
            reason=tell(row, seen),
        )  # fmt: skip

    async def create(self, run: Run, wanted: Certificate, desired: Desired) -> str:
        if wanted.type == IMPORTED:
            return await self._import(run, wanted, desired)
        zone = await _zone(run, wanted.zone) if wanted.zone else None
        told: dict[str, Any] = {
            "DomainName": wanted.domain_name,
            "ValidationMethod": "DNS",
            "Tags": run.tag_list(desired),
        }
        if wanted.subject_alternative_names:
            told["SubjectAlternativeNames"] = list(wanted.subject_alternative_names)
        if wanted.key_algorithm:
            told["KeyAlgorithm"] = wanted.key_algorithm
        asked = [run.stack, str(desired.address), run.step.beside, {**told, "Tags": None}]
        for salt in ("", uuid4().hex):  # within the hour, ACM may answer the same request with a deleted certificate
            token = digest([*asked, salt], 32)
            answer = await run.aws.call("acm", "request_certificate", IdempotencyToken=token, **told)
            arn = str(answer["CertificateArn"])
            records = await validation.wait_for_records(run, arn)
            if records is not None:
                await self._validate(run, arn, zone, records, "")
                return arn
        raise WaitError(f"ACM doesn't show {arn}, which it has just made; run again")

    async def _validate(
        self, run: Run, arn: str, zone: Zone | None, records: Sequence[validation.ValidationRecord], before: str
    ) -> None:
        if zone is not None:
            if before.split()[:1] not in ([], [zone.id]):
                await validation.remove_records(run, arn, before, records)
            await validation.write_records(run, arn, zone, records, before)
        await validation.wait_until_issued(run, arn, zone, records)

    async def _import(self, run: Run, wanted: Certificate, desired: Desired) -> str:
        async def find() -> str | None:
            """The certificate that an earlier call with a lost reply has made."""
            for row in await list_certificates(run.aws):
                arn = str(row["CertificateArn"])
                if row.get("Type") == IMPORTED and arn not in {*run.own, *run.shared.of(Deleted)}:
                    found = await read_tags(run.aws, arn)
                    if tags.identity(desired, run.stack).items() <= found.items():
                        return arn
            return None

        told = _import_told(wanted)
        answer = await create_once(run, "acm", "import_certificate", find, **told, Tags=run.tag_list(desired))
        arn = answer if isinstance(answer, str) else str(answer["CertificateArn"])
        await repeat_until(run.aws, lambda: validation.describe(run.aws, arn), bool, waits.CERTIFICATE_SHOWN)
        return arn

    async def update(self, run: Run, wanted: Certificate, observed: Observed, fields: frozenset[str]) -> None:
        if wanted.type == IMPORTED:
            if not fields.isdisjoint(_FROM_FILES):
                await run.aws.call("acm", "import_certificate", CertificateArn=observed.id, **_import_told(wanted))
            return
        if not fields.isdisjoint({"zone", "status"}):
            zone = await _zone(run, wanted.zone) if wanted.zone else None
            records = await validation.wait_for_records(run, observed.id)
            if records is None:
                raise WaitError(f"ACM doesn't show {observed.id} any more; run again")
            await self._validate(run, observed.id, zone, records, observed.tags.get(tags.VALIDATION, ""))

    async def delete(self, run: Run, observed: Observed) -> None:
        """Delete a certificate and the records that this tool has made for it, unless another certificate needs them."""
        seen = observed.detail(Seen)
        if users := await validation.wait_until_let_go(run, observed.id):
            raise RefusedError(f"{observed.address}: {observed.id} is used by {users}")
        async with run.shared.of(
            asyncio.Lock, self.name
        ):  # of two certificates that share a record, the second one sees that it is the last
            await validation.remove_records(run, observed.id, observed.tags.get(tags.VALIDATION, ""), seen.records)
            await self.call_delete(run, observed.id, self.in_use)
            run.shared.of(Deleted).add(observed.id)


def _looks_like(row: Mapping[str, Any], wanted: Certificate) -> bool:
    return row.get("Type") == wanted.type and str(row.get("DomainName", "")).lower() in wanted.names


def _others(domain: str, names: Sequence[str]) -> tuple[str, ...]:
    """The names other than the first one; which name is the first makes no difference."""
    return tuple(sorted({name.lower() for name in names} - {domain}))


def _from_files(entry: Entry, around: Around) -> Certificate:
    folder, file = around.folder, entry["certificate"]["file"]
    made = PemFile.of(_read(around, file), folder, file, entry["private_key"]["file"])
    read = read_certificate(made.read())
    domain = read.names[0] if read.names else ""
    chain = None
    if "certificate_chain" in entry:
        name = entry["certificate_chain"]["file"]
        chain = PemFile.of(_read(around, name), folder, name)
    return Certificate(
        type=IMPORTED,
        domain_name=domain,
        subject_alternative_names=_others(domain, read.names),
        key_algorithm=read.key_algorithm,
        certificate=made,
        certificate_chain=chain,
    )


def _read(around: Around, file: str) -> bytes:
    return (around.folder / file).read_bytes()


def _import_told(wanted: Certificate) -> dict[str, Any]:
    """The parameters of ImportCertificate. Raises RefusedError where a file can't be read any more."""
    assert wanted.certificate is not None  # noqa: S101 (for mypy: an imported one has it)
    try:
        told = {"Certificate": wanted.certificate.read(), "PrivateKey": wanted.certificate.read_key()}
        if wanted.certificate_chain:
            told["CertificateChain"] = wanted.certificate_chain.read()
    except OSError as error:
        raise RefusedError(f"a file of the certificate can't be read: {error.strerror}: {error.filename}") from None
    return told


def _state(row: Mapping[str, Any]) -> Certificate:
    kind = IMPORTED if row.get("Type") == IMPORTED else str(row.get("Type", REQUESTED))
    domain = str(row.get("DomainName", "")).lower()
    return Certificate(
        type=kind,
        domain_name=domain,
        subject_alternative_names=_others(domain, row.get("SubjectAlternativeNames") or ()),
        key_algorithm=str(row.get("KeyAlgorithm", "")).replace("-", "_"),  # ACM's answer has a hyphen
        status=None if kind == IMPORTED else str(row["Status"]),
    )


async def _with_files(aws: Aws, arn: str, state: Certificate) -> Certificate:
    """An imported certificate's properties, with its content (GetCertificate)."""
    with ignoring("ResourceNotFoundException", "RequestInProgressException"):
        answer = await aws.call("acm", "get_certificate", CertificateArn=arn)
        chain = str(answer.get("CertificateChain") or "").encode()
        with suppress(PemError):
            found = PemFile.of(str(answer["Certificate"]).encode())
            return replace(state, certificate=found, certificate_chain=PemFile.of(chain) if chain.strip() else None)
    return state


async def _zone(run: Run, zone: str) -> Zone:
    return await run.shared.once(f"zone {zone}", lambda: find_zone(run.aws, zone))


KIND: Final = CertificateKind()
