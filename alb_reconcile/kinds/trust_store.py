"""The kind `trust_store`: CA certificates by which a listener verifies clients (ELBv2 CreateTrustStore, ModifyTrustStore,
AddTrustStoreRevocations, RemoveTrustStoreRevocations, DeleteTrustStore).

AWS doesn't show from where in S3 it has read the certificates, so tags of the trust store say the place.
"""

import asyncio
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final, NamedTuple

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.polling import WaitError, repeat_until
from alb_reconcile.kinds import waits
from alb_reconcile.kinds._elb import NamedKind
from alb_reconcile.kinds.base import Around, Entry, IamActions, Intent, Used, Zones
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.grants import Grant, Scope
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address
from alb_reconcile.model.discovery import Finding
from alb_reconcile.model.errors import AwsError, ignoring
from alb_reconcile.model.resource import Desired, Observed, Properties
from alb_reconcile.model.text import digest

_ELSEWHERE: Final = "(somewhere else)"
"""Stands for a place in S3 other than the one in the spec."""


class Revocation(NamedTuple):
    """A revocation list in S3."""

    s3_bucket: str
    s3_key: str
    s3_object_version: str = ""
    revocation_type: str = "CRL"

    def __str__(self) -> str:
        version = f" version {self.s3_object_version}" if self.s3_object_version else ""
        return f"s3://{self.s3_bucket}/{self.s3_key}{version}" if self.s3_bucket else self.s3_key


@dataclass(frozen=True)
class Lists:
    """The revocation lists of a trust store, by id; a list that isn't in the spec is a `Revocation` with its id as text."""

    by_id: Mapping[int, Revocation]


@dataclass(frozen=True, kw_only=True)
class TrustStore(Properties):
    """A trust store."""

    kind = "trust_store"
    service = "elbv2"
    replaced_on = frozenset({"name"})
    is_for_others = True
    missed = 2

    ca_certificates_bundle_s3_bucket: str
    ca_certificates_bundle_s3_key: str
    ca_certificates_bundle_s3_object_version: str | None = None
    revocations: tuple[Revocation, ...] | None = None
    name: str | None = None

    def slots(self) -> Iterable[Hashable]:
        return (("trust store name", self.name),) if self.name else ()

    def extra_tags(self) -> dict[str, str]:
        return {tags.BUNDLE: " ".join(_digest(text) for text in self.bundle)}

    @property
    def bundle(self) -> tuple[str, str, str]:
        """The place of the CA certificates in S3: bucket, key and version."""
        version = self.ca_certificates_bundle_s3_object_version or ""
        return self.ca_certificates_bundle_s3_bucket, self.ca_certificates_bundle_s3_key, version


_FILES: Final = ("s3:GetObject", "s3:GetObjectVersion")


class TrustStoreKind(NamedKind[TrustStore]):
    """Drives trust stores."""

    properties = TrustStore
    noun = "a trust store"
    position = 75
    section = "trust_stores"
    arn_type = "truststore"
    missing = ("TrustStoreNotFound",)
    in_use = waits.TRUST_STORE_IN_USE
    ready = frozenset({"ACTIVE"})
    is_always_read = False
    iam_actions = IamActions(
        read=(
            "elasticloadbalancing:DescribeTrustStores", "elasticloadbalancing:DescribeTrustStoreRevocations",
            "elasticloadbalancing:DescribeTags",
        ),
        look=_FILES,
        create=(
            "elasticloadbalancing:CreateTrustStore", "elasticloadbalancing:AddTrustStoreRevocations",
            "elasticloadbalancing:AddTags", *_FILES,
        ),
        update=(
            "elasticloadbalancing:ModifyTrustStore", "elasticloadbalancing:AddTrustStoreRevocations",
            "elasticloadbalancing:RemoveTrustStoreRevocations", "elasticloadbalancing:AddTags", *_FILES,
        ),
        delete=("elasticloadbalancing:DeleteTrustStore",),
        on={"elasticloadbalancing:CreateTrustStore": "truststore+"},
    )  # fmt: skip

    def grants(self, wanted: TrustStore, scope: Scope) -> Iterable[Grant]:
        """Permissions on the files in S3: Elastic Load Balancing reads them with the permissions of the caller."""
        for bucket, key, version in (wanted.bundle, *(item[:3] for item in wanted.revocations or ())):
            actions = ("s3:GetObject", "s3:GetObjectVersion") if version else ("s3:GetObject",)
            yield Grant(actions, (scope.s3(f"{bucket}/{key}"),))

    def read_entry(self, name: str, entry: Entry, fields: dict[str, Any], around: Around) -> TrustStore:
        given = entry.get("revocations")
        lists = None if given is None else tuple(sorted({Revocation(**item) for item in given}))
        return TrustStore(**{**fields, "revocations": lists})

    async def check_preconditions(
        self, aws: Aws, intents: Sequence[Intent], desired: Mapping[Address, Desired], zones: Zones
    ) -> list[Finding]:
        """Calls S3 GetObject for the first byte of each file that AWS is going to read."""
        found = await asyncio.gather(*(_check_files(aws, item) for item in intents))
        return [finding for part in found for finding in part]

    async def is_hinted(self, reader: Reader) -> bool:
        """Looks for listeners of the stack with a trust store."""
        balancers = [item["LoadBalancerArn"] for item in await reader.load_balancers() if reader.ours(item["Tags"])]
        found = await asyncio.gather(*(reader.listeners(arn) for arn in balancers))
        return any((item.get("MutualAuthentication") or {}).get("TrustStoreArn") for part in found for item in part)

    async def discover(self, reader: Reader) -> list[Observed]:
        rows = await self._read(reader)
        seen = [{**item, "Tags": reader.seen(item["TrustStoreArn"], item, item["Tags"])} for item in rows]
        ours = [item for item in seen if reader.ours(item["Tags"])]
        return list(await asyncio.gather(*(self._observe(reader, item) for item in ours)))

    async def owners(self, reader: Reader) -> list[str]:
        rows = await _read_stores(reader)
        return [item["Tags"][tags.STACK] for item in rows if tags.STACK in item["Tags"]]

    async def find_used(self, reader: Reader, users: Sequence[Observed]) -> list[Used]:
        """The trust stores by which listeners verify clients, and those among `users`. No entry can describe them: `why` says so."""
        named: dict[str, list[str]] = defaultdict(list)
        for item in users:
            if isinstance(item.state, TrustStore):
                named[item.id] += []
            if arn := getattr(getattr(item.state, "mutual_authentication", None), "trust_store", ""):
                named[str(arn)].append(item.id)
        why = "stays outside, since AWS doesn't show which file in S3 it was made from"
        return [Used(tuple(ids), f"trust store {arn}", arn, why=why) for arn, ids in named.items()]

    async def _read(self, reader: Reader) -> list[dict[str, Any]]:
        """All trust stores of the account in the region, with their tags under `Tags`."""
        try:
            return await reader.once(_read_stores, reader)
        except AwsError as error:
            if reader.declares(self.name):
                raise
            # most stacks have no trust store, and must be destroyable without that permission
            reader.warnings.append(f"trust stores can't be read, so that one of this stack would stay: {error}")
            return []

    async def _observe(self, reader: Reader, item: dict[str, Any]) -> Observed:
        arn, found = item["TrustStoreArn"], item["Tags"]
        address = tags.own_address(found, self.name, arn)
        entry = reader.desired.get(address)
        wanted = entry.state if entry and isinstance(entry.state, TrustStore) else None
        bucket, key, version = _bundle(wanted, found.get(tags.BUNDLE, ""))
        lists = None
        if wanted and wanted.revocations is not None:
            lists = _lists(await self._read_lists(reader, arn), wanted.revocations, found)
        state = TrustStore(
            ca_certificates_bundle_s3_bucket=bucket,
            ca_certificates_bundle_s3_key=key,
            ca_certificates_bundle_s3_object_version=version,
            revocations=None if lists is None else tuple(sorted(lists.values())),
            name=item["Name"],
        )
        details = Lists(lists or {})
        return Observed(address, arn, state, found, reader.stack, item.get("Status", ""), details=details)

    async def _read_lists(self, reader: Reader, arn: str) -> list[int]:
        with ignoring("TrustStoreNotFound"):
            rows = await reader.aws.pages(
                "elbv2", "describe_trust_store_revocations", "TrustStoreRevocations", TrustStoreArn=arn
            )
            return sorted(int(row["RevocationId"]) for row in rows)
        return []

    async def create(self, run: Run, wanted: TrustStore, desired: Desired) -> str:
        name = wanted.name or run.physical_name(desired, [], 32).replace("--", "-")
        arn = await self.create_named(run, desired, name, {}, **_bundle_told(wanted))
        await _wait_until_active(run, arn)
        await self._write_lists(run, arn, wanted.revocations or (), {})
        return arn

    async def update(self, run: Run, wanted: TrustStore, observed: Observed, fields: frozenset[str]) -> None:
        if any(name.startswith("ca_certificates_bundle") for name in fields):
            told = {"TrustStoreArn": observed.id, **_bundle_told(wanted)}
            await run.aws.call("elbv2", "modify_trust_store", **told)
            await run.tag(observed.id, wanted.extra_tags())
        if "revocations" in fields:
            await self._write_lists(run, observed.id, wanted.revocations or (), observed.detail(Lists).by_id)

    async def _write_lists(
        self, run: Run, arn: str, wanted: Sequence[Revocation], before: Mapping[int, Revocation]
    ) -> None:
        """Add revocation lists, one a call, before others are removed, so that no client that both revoke is let in meanwhile."""
        have = {item: key for key, item in before.items() if item in wanted}
        for item in wanted:
            if item not in have:
                told: dict[str, Any] = {"TrustStoreArn": arn, "RevocationContents": [_list_told(item)]}
                answer = await run.aws.call("elbv2", "add_trust_store_revocations", **told)
                have[item] = int(answer["TrustStoreRevocations"][0]["RevocationId"])
        if wanted or before:
            await run.tag(arn, {tags.REVOCATIONS: _lists_tag(have)})
        if more := [key for key in before if key not in have.values()]:
            await run.gone(
                "elbv2", "remove_trust_store_revocations", missing=("RevocationIdNotFound",), TrustStoreArn=arn,
                RevocationIds=more,
            )  # fmt: skip


async def _check_files(aws: Aws, item: Intent) -> list[Finding]:
    wanted: TrustStore = item.wanted
    files = {}
    if item.fields is None or any(name.startswith("ca_certificates_bundle") for name in item.fields):
        files["ca_certificates_bundle_s3_key"] = [wanted.bundle]
    if item.fields is None or "revocations" in item.fields:
        files["revocations"] = [
            (part.s3_bucket, part.s3_key, part.s3_object_version) for part in wanted.revocations or ()
        ]
    findings = []
    for path, places in files.items():
        for bucket, key, version in places:
            if await _is_missing(aws, bucket, key, version):
                shown = f"s3://{bucket}/{key}" + (f" version {version}" if version else "")
                text = f"there is no {shown}; upload it, or correct bucket, key and version"
                findings.append(Finding(item.desired, path, text))
    return findings


async def _is_missing(aws: Aws, bucket: str, key: str, version: str) -> bool:
    """Whether a file in S3 doesn't exist; false where these credentials may not read it."""
    params: dict[str, Any] = {"Bucket": bucket, "Key": key, **({"VersionId": version} if version else {})}
    try:
        await aws.call("s3", "get_object", Range="bytes=0-0", **params)
    except AwsError as error:
        return error.code in ("NoSuchKey", "NoSuchBucket", "NoSuchVersion")
    return False


def _digest(text: str) -> str:
    return digest([text], 8)


def _bundle(wanted: TrustStore | None, tag: str) -> tuple[str, ...]:
    """The place that the CA certificates were read from, as far as the trust store's tag says that it is the spec's. An adopted trust store
    has no tag, and is taken to be as the spec says."""
    told = wanted.bundle if wanted else (_ELSEWHERE,) * 3
    written = tag.split()
    if not written:
        return told
    return tuple(text if _digest(text) == mark else _ELSEWHERE for text, mark in zip_longest(told, written[:3]))


def _bundle_told(wanted: TrustStore) -> dict[str, Any]:
    bucket, key, version = wanted.bundle
    told = {"CaCertificatesBundleS3Bucket": bucket, "CaCertificatesBundleS3Key": key}
    return told | ({"CaCertificatesBundleS3ObjectVersion": version} if version else {})


def _list_told(item: Revocation) -> dict[str, str]:
    told = {"S3Bucket": item.s3_bucket, "S3Key": item.s3_key, "RevocationType": item.revocation_type}
    return told | ({"S3ObjectVersion": item.s3_object_version} if item.s3_object_version else {})


def _mark(item: Revocation) -> str:
    return digest(list(item), 5)


def _lists_tag(have: Mapping[Revocation, int]) -> str:
    """The tag about revocation lists. Its 256 characters hold AWS's 30 lists if their ids are short. The next run writes lists that don't
    fit a second time."""
    marks = [f"{key}:{_mark(item)}" for item, key in sorted(have.items(), key=lambda pair: pair[1])]
    while len(" ".join(marks)) > 256:
        marks.pop()
    return " ".join(marks)


def _lists(ids: Sequence[int], wanted: Sequence[Revocation], found: Mapping[str, str]) -> dict[int, Revocation]:
    """The revocation lists by id. An adopted trust store has no tag: if it has as many lists as the spec, they count as the spec's."""
    tag = found.get(tags.REVOCATIONS)
    if tag is None and len(ids) == len(wanted):
        return dict(zip(ids, wanted, strict=True))
    marks = dict(part.split(":", 1) for part in (tag or "").split() if ":" in part)
    known = {_mark(item): item for item in wanted}
    return {key: known.get(marks.get(str(key), ""), Revocation("", f"(list {key})")) for key in ids}


async def _wait_until_active(run: Run, arn: str) -> None:
    """Wait until the trust store is active, since listeners can't use it before. Raises WaitError if it takes too long."""

    async def read() -> str:
        with ignoring("TrustStoreNotFound"):  # not shown yet
            rows = await run.aws.pages("elbv2", "describe_trust_stores", "TrustStores", TrustStoreArns=[arn])
            return str(rows[0]["Status"]) if rows else ""
        return ""

    status = await repeat_until(run.aws, read, lambda found: found == "ACTIVE", waits.TRUST_STORE_ACTIVE)
    if status != "ACTIVE":
        raise WaitError(
            f"the trust store isn't active after {waits.TRUST_STORE_ACTIVE:.0f} s (now {status or 'unknown'})"
        )


KIND: Final = TrustStoreKind()


async def _read_stores(reader: Reader) -> list[dict[str, Any]]:
    found = await reader.account_wide("describe_trust_stores", "TrustStores")
    tagged = await reader.elb_tags([item["TrustStoreArn"] for item in found])
    return [{**item, "Tags": tagged.get(item["TrustStoreArn"], {})} for item in found]
