"""The kind `key_pair`: key pairs for SSH, imported by their public keys (EC2 ImportKeyPair, DeleteKeyPair)."""

import re
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds._ec2 import Ec2Kind, Row
from alb_reconcile.kinds.base import Around, Entry, IamActions, Listing, Used
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.reader import NO_STACK, Reader
from alb_reconcile.model import tags
from alb_reconcile.model.errors import AwsError, RefusedError
from alb_reconcile.model.files import file_mistake, read_file
from alb_reconcile.model.resource import Desired, Lookups, Observed, Properties
from alb_reconcile.model.text import digest

MAX_KEY: Final = 16_384
"""Bytes of a file with a public key, far beyond the longest that AWS takes (16,384 bits)."""
_TOO_LARGE: Final = f"a public key has at most {MAX_KEY:,}: name the file with the public key"
_MOST: Final = 3
"""Other users of a key pair that are named at most."""


@dataclass(frozen=True, kw_only=True)
class KeyPair(Properties):
    """A key pair. Its `name` follows from the key unless the spec gives one, so that another key has another name."""

    kind = "key_pair"
    service = "ec2"
    carries_applied = True
    replaced_on = frozenset({"name", "public_key"})
    known_in = "key_name"

    name: str | None = None
    public_key: str | None = None
    """The key from which the key pair is made. AWS never changes the key, so it isn't compared."""

    def settle(self, observed: Observed | None, lookups: Lookups) -> Self:
        return self if observed is None else replace(self, public_key=None)

    def slots(self) -> Iterable[Hashable]:
        yield "key pair", self.name


def public_key_of(entry: Entry, around: Around) -> str:
    """The public key of an entry, without its comment."""
    text = entry.get("public_key")
    if text is None:
        text = read_file(around.folder / entry["public_key_file"], MAX_KEY).decode("utf-8", "replace")
    return " ".join(text.split()[:2])


def key_name(name: str, around: Around) -> str:
    """AWS's name of a key that an instance names: for an entry the name of its key pair, for anything else the text itself."""
    entry = around.entries("key_pairs").get(name)
    if entry is None:
        return name
    return str(entry.get("name") or f"{around.stack}-{digest(public_key_of(entry, around), 8)}")


def _check_entries(around: Around) -> None:
    seen: dict[str, str] = {}
    pattern = around.schema("key_pair")["properties"]["public_key"]["pattern"]
    for name, entry in around.entries("key_pairs").items():
        path = ("key_pairs", name, "public_key_file")
        if "public_key_file" in entry:
            if mistake := file_mistake(around.folder, entry["public_key_file"], MAX_KEY, _TOO_LARGE):
                around.error(path, mistake)
                continue
            if not re.fullmatch(pattern, public_key_of(entry, around)):
                text = "holds no public key in the format of OpenSSH; name a file such as id_ed25519.pub"
                around.error(path, text)
                continue
        elif "public_key" not in entry:
            continue
        if (known := seen.setdefault(key_name(name, around), name)) != name:
            text = f"would have the name of key_pairs.{known}; keep one of them"
            around.error(("key_pairs", name), text, at_key=True)


class KeyPairKind(Ec2Kind[KeyPair]):
    """Drives key pairs."""

    properties = KeyPair
    noun = "a key pair"
    position = 55
    section = "key_pairs"
    entry_checks = (_check_entries,)
    id_prefix = "key-"
    listing = Listing("describe_key_pairs", "KeyPairs", "KeyPairId", "key-pair-id", vpc_filter="")
    missing = ("InvalidKeyPair.NotFound",)
    is_rare = True
    iam_actions = IamActions(
        read=("ec2:DescribeKeyPairs",),
        create=("ec2:ImportKeyPair", "ec2:CreateTags"),
        update=("ec2:CreateTags",),
        delete=("ec2:DeleteKeyPair",),
        on={"ec2:ImportKeyPair": "key-pair+"},
    )  # fmt: skip

    def read_entry(self, name: str, entry: Entry, fields: Mapping[str, Any], around: Around) -> KeyPair:
        return KeyPair(name=key_name(name, around), public_key=public_key_of(entry, around))

    def suggest_name(self, state: KeyPair) -> str:
        return state.name or ""

    async def discover(self, reader: Reader) -> list[Observed]:
        rows = await reader.looked_for(self.name, "key pairs", self.own_rows(reader))
        keys = await _read_keys(reader.aws) if rows and reader.thorough and reader.stack != NO_STACK else {}
        return [self._observe(reader, row, keys) for row in rows]

    def _observe(self, reader: Reader, row: Row, keys: Mapping[str, str]) -> Observed:
        return self.observe(reader, row, KeyPair(name=row["KeyName"], public_key=keys.get(row["KeyName"])))

    async def find_used(self, reader: Reader, users: Sequence[Observed]) -> list[Used]:
        """The key pairs of instances' launches. A key pair that other instances or launch templates use, too, isn't theirs alone."""
        named: dict[str, list[str]] = defaultdict(list)
        for item in users:
            if isinstance(item.state, KeyPair):  # the user means this key pair, whatever else uses it
                named[str(item.state.name)] += []
            if name := getattr(item.state, "key_name", None):
                named[name].append(item.id)
        if not named:
            return []
        rows, keys = await self.own_rows(reader), await _read_keys(reader.aws)
        found = {row["KeyName"]: self._observe(reader, row, keys) for row in rows}
        others = await _launched_with(reader.aws, named)
        return [
            Used(
                tuple(ids), f"key pair {name}", getattr(found.get(name), "id", ""), found.get(name),
                why=_why_not(found.get(name), others[name].difference(ids)),
            )
            for name, ids in named.items()
        ]  # fmt: skip

    async def create(self, run: Run, wanted: KeyPair, desired: Desired) -> str:
        material, tagging = str(wanted.public_key).encode(), self.tagging(run, desired)
        try:
            answer = await run.aws.call(
                "ec2", "import_key_pair", KeyName=wanted.name, PublicKeyMaterial=material, TagSpecifications=tagging
            )
        except AwsError as error:
            if error.code != "InvalidKeyPair.Duplicate":
                raise
            return await self._find(run, wanted, desired, error)
        return str(answer["KeyPairId"])

    async def _find(self, run: Run, wanted: KeyPair, desired: Desired, error: AwsError) -> str:
        """The id of the key pair, if an earlier call made it and the reply was lost. Else raises RefusedError."""
        rows: list[Row] = await run.aws.pages(
            "ec2", "describe_key_pairs", "KeyPairs", where={"key-name": str(wanted.name)}
        )
        for row in rows:
            if tags.identity(desired, run.stack).items() <= tags.from_list(row.get("Tags")).items():
                return str(row["KeyPairId"])
        raise RefusedError(
            f'there is a key pair named "{wanted.name}" outside this stack; choose another name ({error.code})'
        )

    async def update(self, run: Run, wanted: KeyPair, observed: Observed, fields: frozenset[str]) -> None:
        """Nothing: AWS changes only the tags of a key pair."""

    async def delete(self, run: Run, observed: Observed) -> None:
        await run.gone("ec2", "delete_key_pair", missing=self.missing, KeyName=self.of(observed).name)


async def _read_keys(aws: Aws) -> dict[str, str]:
    """The public keys of the region's key pairs, by their names."""
    rows: list[Row] = await aws.pages("ec2", "describe_key_pairs", "KeyPairs", IncludePublicKey=True)
    return {row["KeyName"]: str(row["PublicKey"]).strip() for row in rows if row.get("PublicKey")}


async def _launched_with(aws: Aws, names: Collection[str]) -> dict[str, set[str]]:
    """By key pair's name, the ids of all instances in the region that were launched with it, and of the launch templates that name it
    (EC2 DescribeLaunchTemplateVersions: the latest and the default version of each)."""
    found: dict[str, set[str]] = defaultdict(set)
    operation, key = "describe_launch_template_versions", "LaunchTemplateVersions"
    for row in await aws.pages("ec2", operation, key, Versions=["$Latest", "$Default"]):
        if (name := row["LaunchTemplateData"].get("KeyName")) in names:
            found[name].add(row["LaunchTemplateId"])
    for reservation in await aws.pages("ec2", "describe_instances", "Reservations", where={"key-name": names}):
        for row in reservation["Instances"]:
            if row["State"]["Name"] not in ("shutting-down", "terminated"):
                found[row["KeyName"]].add(row["InstanceId"])
    return found


def _why_not(found: Observed | None, others: Collection[str]) -> str:
    if found is None:
        return "is gone: nothing can be launched with it any more"
    if others:
        return f"is used by {', '.join(sorted(others)[:_MOST])}{' and others' * (len(others) > _MOST)} as well"
    return "" if getattr(found.state, "public_key", None) else "has a public key that AWS doesn't show"


KIND: Final = KeyPairKind()
