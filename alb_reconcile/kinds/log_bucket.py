"""The kind `log_bucket`: buckets for load balancers' logs (S3 CreateBucket, PutBucketPolicy, PutBucketLifecycleConfiguration, DeleteBucket).

S3 encrypts every new bucket with its own keys (SSE-S3). Load balancers can write to no other encryption, so a spec has no key for it.
"""

import asyncio
import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from alb_reconcile.aws.bucket_tags import (
    change_bucket_tags,
    is_derived,
    list_buckets,
    list_every_bucket,
    owned,
    read_bucket_tags,
    read_tags_if_allowed,
)
from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds import waits
from alb_reconcile.kinds.base import Around, Entry, IamActions, Intent, Kind, Used, Zones
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.grants import Grant, Scope
from alb_reconcile.kinds.load_balancer.log_delivery import bucket_arn, may_write, statement, with_statement
from alb_reconcile.kinds.load_balancer.logs import buckets_in, read_attributes
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address
from alb_reconcile.model.discovery import Finding
from alb_reconcile.model.errors import AwsError, RefusedError, ignoring
from alb_reconcile.model.resource import Desired, Observed, Properties
from alb_reconcile.model.text import physical_name

_LONGEST: Final = 63
_RULE: Final = "expire-logs"
_TAKEN: Final = 'this account has a bucket named "{}" outside this stack'
_TRIAL: Final = re.compile(r".*/ELB[A-Za-z]*LogTestFile")
"""The key of the test file that AWS writes when logs are switched on, to see whether it may write."""
_SHUT: Final = dict.fromkeys(
    ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
)


@dataclass(frozen=True, kw_only=True)
class LogBucket(Properties):
    """A bucket for logs."""

    kind = "log_bucket"
    service = "s3"
    is_for_others = True
    replaced_on = frozenset({"name"})
    known_in = "attributes"

    expiration_days: int | None = None
    """Days after which S3 deletes a log; 0 where logs are kept for ever."""
    log_delivery: bool | None = None
    block_public_access: bool | None = None
    name: str | None = None

    def slots(self) -> Iterable[Hashable]:
        return (("bucket name", self.name),) if self.name else ()


def name_of(physical_id: str) -> str:
    """A bucket's name in its ARN."""
    return physical_id.rpartition(":")[2]


class LogBucketKind(Kind[LogBucket]):
    """Drives buckets for logs."""

    properties = LogBucket
    noun = "a bucket for logs"
    position = 76
    section = "log_buckets"
    missing = ("NoSuchBucket",)
    usual: ClassVar[Mapping[str, Any]] = {"log_delivery": True, "block_public_access": True}
    is_always_read = False
    iam_actions = IamActions(
        read=(
            "s3:ListAllMyBuckets", "s3:GetBucketTagging", "s3:GetBucketPolicy", "s3:GetBucketPublicAccessBlock",
            "s3:GetLifecycleConfiguration",
        ),
        create=(
            "s3:CreateBucket", "s3:TagResource", "s3:PutBucketTagging", "s3:PutBucketPolicy",
            "s3:PutBucketPublicAccessBlock", "s3:PutLifecycleConfiguration",
        ),
        update=(
            "s3:PutBucketTagging", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy", "s3:PutBucketPublicAccessBlock",
            "s3:PutLifecycleConfiguration",
        ),
        delete=("s3:ListBucket", "s3:DeleteObject", "s3:DeleteBucket"),
    )  # fmt: skip

    def grants(self, wanted: LogBucket, scope: Scope) -> Iterable[Grant]:
        """Permissions on buckets by name; of a derived name all but the hash is known. Reads and creates have no condition on the account,
        since a bucket that isn't there yet belongs to no account."""
        stated = self.iam_actions
        anyones = {*stated.read, "s3:CreateBucket", "s3:TagResource"} - {"s3:ListAllMyBuckets"}
        own = {*stated.create, *stated.update, *stated.delete} - anyones - {"s3:DeleteObject"}
        entries = (str(address) for address in scope.desired if address.kind == self.name)
        derived = [f"{physical_name(scope.stack, entry, (), '', _LONGEST)[:-8]}????????" for entry in entries]
        buckets = tuple(map(scope.s3, filter(None, [*derived, wanted.name])))
        known = () if scope.account == "*" else (("StringEquals", "s3:ResourceAccount", (scope.account,)),)
        yield Grant(("s3:ListAllMyBuckets",))
        yield Grant(tuple(sorted(anyones)), buckets)
        yield Grant(tuple(sorted(own)), buckets, known)
        yield Grant(("s3:DeleteObject",), tuple(f"{bucket}/*/ELB*LogTestFile" for bucket in buckets), known)

    def read_entry(self, name: str, entry: Entry, fields: dict[str, Any], around: Around) -> LogBucket:
        """The properties of a bucket. Load balancers may write to it, and public access is blocked, unless the entry says otherwise."""
        return LogBucket(**{"log_delivery": True, "block_public_access": True, **fields})

    def suggest_name(self, state: LogBucket) -> str:
        return state.name or ""

    async def discover(self, reader: Reader) -> list[Observed]:
        """The stack's buckets. Only `destroy` is sure to find a bucket that the spec no longer declares: by its derived name, or by its
        tags where the spec gave it a name."""
        declared = [item for item in reader.desired.values() if isinstance(item.state, LogBucket)]
        own = [getattr(item.state, "name", None) or await _derived(reader, item) for item in declared]
        named = list(own)
        if reader.everything and not reader.thorough:
            named += await reader.looked_for(self.name, "buckets for logs", list_every_bucket(reader.aws))
        read = reader.once(_read_buckets, reader.aws, reader.stack, tuple(sorted(named)))
        found = await reader.looked_for(self.name, "buckets for logs", read)
        rows = [(name, there) for name, there in found if there is not None]
        # the smallest policy (`iam-policy`) doesn't let the tags of others' buckets be read
        likely = [name for name, _ in found if name in own or is_derived(name, reader.stack)]
        if unread := [name for name, there in found if there is None and name in likely]:
            more = f" and {len(unread) - 5} others" if len(unread) > 5 else ""
            reader.warnings.append(
                f"these credentials may not read the tags of {', '.join(unread[:5])}{more} (s3:GetBucketTagging); a bucket of the stack's stays then"
            )
        seen = [(name, reader.seen(bucket_arn(name, reader.aws.region), {}, found)) for name, found in rows]
        ours = [(name, found) for name, found in seen if reader.ours(found)]
        return list(await asyncio.gather(*(self._observe(reader, name, found) for name, found in ours)))

    async def owners(self, reader: Reader) -> list[str]:
        """The stacks of buckets with derived names (S3 ListBuckets, GetBucketTagging)."""
        rows = await _read_buckets(reader.aws, "", ())
        return [found[tags.STACK] for _, found in rows if found and tags.STACK in found]

    async def find_used(self, reader: Reader, users: Sequence[Observed]) -> list[Used]:
        """The buckets to which load balancers among `users` write logs. Where another load balancer of the region writes to a bucket as
        well, `why` says so (DescribeLoadBalancerAttributes)."""
        named: dict[str, list[str]] = defaultdict(list)
        for item in users:
            for name in buckets_in(getattr(item.state, "attributes", None) or {}):
                named[name].append(item.id)
        if not named:
            return []
        arns = sorted({*await reader.load_balancer_arns()}.difference(item.id for item in users))
        parts = await asyncio.gather(*(read_attributes(reader.aws, arn) for arn in arns))
        others = {name: arn for arn, part in zip(arns, parts, strict=True) for name in buckets_in(part)}
        return [await self._use(reader, name, tuple(ids), others.get(name, "")) for name, ids in named.items()]

    async def _use(self, reader: Reader, name: str, users: tuple[str, ...], other: str) -> Used:
        arn, words = bucket_arn(name, reader.aws.region), f"bucket {name}"
        found = await read_bucket_tags(reader.aws, name)
        if found is None:
            return Used(users, words, arn, why="is another account's, or these credentials may not read it")
        why = f"is used by {other} as well" if other else ""
        address = tags.own_address(found, self.name, arn)
        observed = Observed(address, arn, await self._read(reader, name), found, reader.stack)
        return Used(users, words, arn, observed, found, why)

    async def _observe(self, reader: Reader, name: str, found: Mapping[str, str]) -> Observed:
        arn = bucket_arn(name, reader.aws.region)
        address = tags.own_address(found, self.name, arn)
        state = await self._read(reader, name) if address in reader.desired else LogBucket(name=name)
        return Observed(address, arn, state, found, reader.stack)

    async def _read(self, reader: Reader, name: str) -> LogBucket:
        aws, account = reader.aws, await reader.aws.account()
        policy, is_shut, rules = await asyncio.gather(_policy(aws, name), _is_shut(aws, name), _rules(aws, name))
        days = next((rule["Expiration"]["Days"] for rule in rules if _expires_all(rule)), 0)
        delivers = all(may_write(policy, name, account, aws.region, prefix) for prefix in ("", "any"))
        return LogBucket(expiration_days=days, log_delivery=delivers, block_public_access=is_shut, name=name)

    async def check_preconditions(
        self, aws: Aws, intents: Sequence[Intent], desired: Mapping[Address, Desired], zones: Zones
    ) -> list[Finding]:
        """Names in the spec that a bucket of this account without a stack's tag already has."""
        made = [item for item in intents if item.fields is None and item.wanted.name]
        found = await asyncio.gather(*(read_bucket_tags(aws, item.wanted.name) for item in made))
        return [
            Finding(item.desired, "name", f"{_TAKEN.format(item.wanted.name)}; choose another name, or adopt it")
            for item, there in zip(made, found, strict=True)
            if there is not None and tags.STACK not in there
        ]

    async def create(self, run: Run, wanted: LogBucket, desired: Desired) -> str:
        name = wanted.name or await _derived(run, desired)
        found = await read_bucket_tags(run.aws, name)
        if found is None:
            await _make(run, name, desired)
            found = await _wait_for_tags(run, name)
            if not found:  # S3 tags the bucket when it makes it; emulators don't
                found = tags.from_list(run.tag_list(desired))
                await change_bucket_tags(run.aws, name, found)
        if not tags.identity(desired, run.stack).items() <= found.items():
            raise RefusedError(f"{_TAKEN.format(name)}; choose another name, or adopt it")
        fields = frozenset(
            {"log_delivery", "block_public_access"} | ({"expiration_days"} if wanted.expiration_days else set())
        )
        await self._write(run, wanted, name, fields)
        return bucket_arn(name, run.aws.region)

    async def update(self, run: Run, wanted: LogBucket, observed: Observed, fields: frozenset[str]) -> None:
        await self._write(run, wanted, name_of(observed.id), fields)

    async def _write(self, run: Run, wanted: LogBucket, name: str, fields: frozenset[str]) -> None:
        aws, where = run.aws, await owned(run.aws, name)

        async def call(operation: str, **params: Any) -> None:
            await aws.call("s3", operation, retry=waits.BUCKET_UNKNOWN, **where, **params)

        if "block_public_access" in fields:
            config = {key: bool(wanted.block_public_access) for key in _SHUT}
            await call("put_public_access_block", PublicAccessBlockConfiguration=config)
        if "log_delivery" in fields:
            own = statement(name, where["ExpectedBucketOwner"], aws.region) if wanted.log_delivery else None
            policy = with_statement(await _policy(aws, name), own)
            await (call("put_bucket_policy", Policy=policy) if policy else call("delete_bucket_policy"))
        if "expiration_days" in fields:
            rules = [rule for rule in await _rules(aws, name) if rule.get("ID") != _RULE]
            if days := wanted.expiration_days:
                expiration = {"Days": days}
                rules.append({"ID": _RULE, "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": expiration})
            lifecycle = {"Rules": rules}
            await (
                call("put_bucket_lifecycle_configuration", LifecycleConfiguration=lifecycle)
                if rules
                else call("delete_bucket_lifecycle")
            )

    async def delete(self, run: Run, observed: Observed) -> None:
        """Delete the bucket and AWS's test files in it. Raises RefusedError if it holds logs."""
        name = name_of(observed.id)
        where = await owned(run.aws, name)
        with ignoring(*self.missing):
            answer = await run.aws.call("s3", "list_objects_v2", MaxKeys=10, **where)
            keys = [item["Key"] for item in answer.get("Contents", ())]
            if all(_TRIAL.fullmatch(key) for key in keys):
                for key in keys:
                    await run.aws.call("s3", "delete_object", Key=key, **where)
            try:
                await run.gone("s3", "delete_bucket", retry=waits.BUCKET_BUSY, missing=self.missing, **where)
            except AwsError as error:
                if error.code != "BucketNotEmpty":
                    raise
                raise RefusedError(
                    f"bucket {name} has logs in it, and stays; keep it with forget, or empty it "
                    f"(aws s3 rm s3://{name} --recursive) and run this again"
                ) from None


async def _derived(place: Reader | Run, desired: Desired) -> str:
    """The name of a bucket to which the spec gives none. All AWS accounts share such names, so its hash is over the account, too."""
    run = place if isinstance(place, Run) else Run(place.aws, place.stack)
    return run.physical_name(desired, [await run.aws.account(), run.aws.region], _LONGEST).lower()


async def _read_buckets(aws: Aws, stack: str, named: tuple[str, ...]) -> list[tuple[str, dict[str, str] | None]]:
    """The buckets `named`, and buckets with names that the stack may have derived, each with its tags; None instead of tags that these
    credentials may not read (S3 ListBuckets, GetBucketTagging)."""
    names = sorted({*named, *await list_buckets(aws, stack)})
    denied = set[str]()

    async def read(name: str) -> dict[str, str] | None:
        try:
            return await read_tags_if_allowed(aws, name)
        except AwsError as error:
            if error.code != "AccessDenied":
                raise
            denied.add(name)
            return None

    found = await asyncio.gather(*map(read, names))
    return [(name, there) for name, there in zip(names, found, strict=True) if there is not None or name in denied]


async def _make(run: Run, name: str, desired: Desired) -> None:
    config: dict[str, Any] = {"Tags": run.tag_list(desired)}
    if run.aws.region not in ("", "us-east-1"):  # S3 wants us-east-1 left out
        config["LocationConstraint"] = run.aws.region
    try:
        await run.aws.call(
            "s3", "create_bucket", retry=waits.BUCKET_BUSY, Bucket=name, CreateBucketConfiguration=config
        )
    except AwsError as error:
        if error.code == "BucketAlreadyExists":
            raise RefusedError(
                f'another account has a bucket named "{name}"; give the entry a name of its own'
            ) from None
        if error.code != "BucketAlreadyOwnedByYou":  # else an earlier attempt has made it, and the reply was lost
            raise


async def _wait_for_tags(run: Run, name: str) -> dict[str, str]:
    """The tags of a bucket that was made a moment ago; none where S3 doesn't show the bucket in time."""
    for _ in range(5):
        if (found := await read_bucket_tags(run.aws, name)) is not None:
            return found
        await run.aws.sleep(2)
    return {}


async def _policy(aws: Aws, name: str) -> str:
    with ignoring("NoSuchBucketPolicy", "NoSuchBucket"):
        return str((await aws.call("s3", "get_bucket_policy", **await owned(aws, name)))["Policy"])
    return ""


async def _is_shut(aws: Aws, name: str) -> bool:
    with ignoring("NoSuchPublicAccessBlockConfiguration", "NoSuchBucket"):
        answer = await aws.call("s3", "get_public_access_block", **await owned(aws, name))
        return bool(answer["PublicAccessBlockConfiguration"] == _SHUT)
    return False


async def _rules(aws: Aws, name: str) -> list[dict[str, Any]]:
    with ignoring("NoSuchLifecycleConfiguration", "NoSuchBucket"):
        answer = await aws.call("s3", "get_bucket_lifecycle_configuration", **await owned(aws, name))
        return list(answer.get("Rules", ()))
    return []


def _expires_all(rule: Mapping[str, Any]) -> bool:
    """Whether a lifecycle rule is as this tool writes it, with any number of days."""
    is_whole = not any((rule.get("Filter") or {}).values()) and not rule.get("Prefix")
    is_on = rule.get("Status") == "Enabled" and "Days" in (rule.get("Expiration") or {})
    return rule.get("ID") == _RULE and is_whole and is_on


KIND: Final = LogBucketKind()
