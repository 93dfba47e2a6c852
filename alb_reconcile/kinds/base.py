"""The interface that each kind of resource implements: how the kind is read, created, updated and deleted, and how AWS names and lists it."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from types import EllipsisType
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds import waits
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.grants import Grant, Scope
from alb_reconcile.kinds.quotas import Quota
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.kinds.recognition import Candidate, Evidence, Known, by_settings
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.decisions import Decisions
from alb_reconcile.model.discovery import Discovery, Finding, Other
from alb_reconcile.model.errors import Problem
from alb_reconcile.model.lookup import Lookup
from alb_reconcile.model.nodes import Node, Path
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import Change, Desired, Observed, Properties
from alb_reconcile.model.service import Foreign
from alb_reconcile.model.steps import SetPriorities
from alb_reconcile.model.text import camel

P = TypeVar("P", bound=Properties)
T = TypeVar("T")


@dataclass(frozen=True)
class Listing:
    """How EC2 lists the resources of a kind: the Describe action, the key of its list, and of the id in it.

    `id_filter` is the filter by id, `vpc_filter` the one by VPC; where that is empty, everything is read. What somebody
    else's resource is like is read where a spec names it by its id, if a plan `needs_foreign` ones. `default_filter` is the one that
    shows what an account has by default. `is_nested`: what is in that list are lists of them, in which look-ups by tags find nothing.
    """

    operation: str
    key: str
    id_key: str
    id_filter: str
    vpc_filter: str = "vpc-id"
    needs_foreign: bool = False
    default_filter: str = ""
    is_nested: bool = False


@dataclass(frozen=True)
class IamActions:
    """The IAM actions that a kind calls (Service Authorization Reference), by what it does."""

    read: tuple[str, ...]
    """To find what there is, for every command that looks at AWS."""
    look: tuple[str, ...] = ()
    """To find out beforehand what AWS would refuse; without them AWS says it half-way."""
    create: tuple[str, ...] = ()
    update: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()
    on: Mapping[str, str] = field(default_factory=dict)
    """By action of EC2 or ELBv2: the types of resources that AWS checks it on, where these aren't the kind's own alone, or any.

    `subnet+`: one that the call makes and tags. `image*`: any. `vpc`: those of the stack, and those that its spec names.
    """
    fields: Mapping[str, str] = field(default_factory=dict)
    """By action: the properties of which an entry has to say one, or it isn't called."""


@dataclass(frozen=True)
class Keep:
    """What of the resources that are adopted counts as the spec's though it can't be seen: that `images` are those that references
    lead to, and that the client `secrets` are those that the spec names."""

    images: bool = False
    secrets: bool = False


@dataclass(frozen=True)
class Adopted:
    """A resource that is adopted, and what is written to it."""

    desired: Desired
    found: Observed
    tags: Mapping[str, str]
    """Those that creating it would have written, as far as they are true of it."""
    volumes: tuple[str, ...] = ()
    """The ids of its volumes that become the stack's, too."""
    note: str = ""
    """What of it isn't as the spec says, and stays."""


Entry = dict[str, Any]
"""One entry of a spec: checked, as plain data."""
Part = str | int | EllipsisType


class Reference(NamedTuple):
    """A reference in a spec: where it stands, to which kind, and its text."""

    path: Path
    kind: str
    target: str


class Unmet(NamedTuple):
    """A control of Security Hub that an entry doesn't meet. `path` is what has to be written or changed, whether it is there or not."""

    control: str
    address: str
    path: Path
    problem: str
    change: str


class Around(Protocol):
    """The spec around an entry, as far as it fits the schema. What the schema refused is missing here, or None in a list."""

    @property
    def stack(self) -> str:
        """The stack's name; empty where it has none yet."""

    @property
    def folder(self) -> FilePath:
        """The folder of the spec's file."""

    @property
    def region(self) -> str | None:
        """The stack's region, if it is known."""

    @property
    def references(self) -> Sequence[Reference]:
        """All that refers to an entry or to a literal id."""

    @property
    def is_sound(self) -> bool:
        """Whether no mistake has been found until now: what is read then is whole."""

    def entries(self, section: str) -> dict[str, Entry]:
        """A section's entries by name."""

    def all_of(self, kind: str) -> list[tuple[Path, Entry]]:
        """All entries of a kind with their paths, those that nest in other entries too."""

    def mappings(self, *pattern: Part) -> list[tuple[Path, Entry]]:
        """The mappings whose paths fit a pattern, in which `...` stands for any key or index."""

    def texts(self, *pattern: Part) -> list[tuple[Path, str]]:
        """The texts whose paths fit a pattern."""

    def given(self, path: Path) -> Mapping[str, object]:
        """The keys of a mapping as it is written, those that the schema refused included."""

    def schema(self, kind: str) -> Mapping[str, Any]:
        """The schema of a kind's entries."""

    def is_wrong(self, path: Path) -> bool:
        """Whether a mistake has been found until now at a path or below it."""

    def is_misnamed(self, section: str) -> bool:
        """Whether a section itself is wrong: refused, or there under another name. That its entries are missing follows."""

    def error(self, path: Path, message: str, *, at_key: bool = False) -> None:
        """Report a mistake at a path's value, or at its key."""

    def warn(self, path: Path, message: str, *, at_key: bool = False) -> None:
        """Report a risk."""

    def kept(self, find: Callable[..., T], *of: str | None) -> T:
        """What a function finds in this spec, of these: it is called once."""


Check = Callable[[Around], None]
"""Reports to a spec what is wrong with it."""
Audit = Callable[[Around], Iterable[Unmet]]
"""Finds the controls of Security Hub that entries of a valid spec don't meet."""


class Named(Protocol):
    """What the resources around an observed one are called, for the entry that is to describe it."""

    region: str

    def name_of(self, physical_id: str) -> str:
        """The name of the entry that describes a resource; its id where none does."""

    def state_of(self, physical_id: str) -> Properties | None:
        """What was observed of a resource, whether an entry describes it or not."""

    def id_of(self, kind: str, name: str) -> str:
        """The id of a resource that others know by AWS's name of it; that name where nothing is known of it."""

    def remark(self, text: str) -> None:
        """Say beside the entry what it can't say."""


class Kind(ABC, Generic[P]):
    """One kind of resource. It has no state: what it works on is handed to it.

    Its verbs are `discover`, `create`, `update` and `delete`; each returns when AWS is done with it. What only some kinds
    can do is in the protocols below.
    """

    properties: ClassVar[type[Properties]]
    noun: ClassVar[str]
    """What it is called in a sentence, with its article: a VPC."""
    position: ClassVar[int]
    """Its place in a spec and among alike steps of a plan; what is referred to comes first."""
    section: ClassVar[str] = ""
    """The section of a spec that holds its entries; empty for members of another kind's entries."""
    used_by: ClassVar[str] = ""
    """What messages call its user, where that isn't the entry in which it is named: the target group."""
    has_default: ClassVar[bool] = False
    """Whether AWS has a default one, which a spec can look up."""
    id_prefix: ClassVar[str] = ""
    """How its ids begin (EC2): vpc-."""
    arn_type: ClassVar[str] = ""
    """The type of resource in its ARNs (ELBv2): loadbalancer/app."""
    listing: ClassVar[Listing | None] = None
    is_rare: ClassVar[bool] = False
    """Whether most stacks have none of it, so that it is read only where there may be one (`kinds._rare`)."""
    recognized_after: ClassVar[tuple[str, ...]] = ()
    """Kinds that tell which of the account's resources an entry means, so that `adopt` matches them first."""
    missing: ClassVar[tuple[str, ...]] = ()
    """AWS's codes for one that isn't there."""
    in_use: ClassVar[waits.Codes] = {}
    """AWS's codes for one that something still uses, and for how long a delete waits for that."""
    ready: ClassVar[frozenset[str]] = frozenset()
    """AWS's words for the status of one that is in order."""

    usual: ClassVar[Mapping[str, Any]] = {}
    """What AWS gives to one where nothing is said, by path, as a spec would say it. False, nothing and the schema's defaults
    go without saying."""
    vital: ClassVar[frozenset[str]] = frozenset()
    """The paths that `export` writes also where they are usual: a change there costs requests, and a plan sees what a spec says."""
    chosen: ClassVar[frozenset[str]] = frozenset()
    """The fields, or paths below them, that AWS chooses where nothing is said, for each resource otherwise."""

    is_always_read: ClassVar[bool] = True
    """Whether it is looked for also where a spec declares none, unless it `is_rare`. Of any other kind `is_hinted` says that."""
    iam_type: ClassVar[str | None] = None
    """What the Service Authorization Reference calls its type of resource, where that isn't its `arn_type`, nor its name."""
    entry_checks: ClassVar[tuple[Check, ...]] = ()
    """What reports entries that AWS would refuse, as far as no schema can say it."""
    use_checks: ClassVar[tuple[Check, ...]] = ()
    """What reports, once the entries of all kinds have been checked, what couldn't work together, or would cost in vain."""
    audits: ClassVar[tuple[Audit, ...]] = ()
    quotas: ClassVar[tuple[Quota, ...]] = ()
    """How many AWS allows, as far as a plan can exceed it."""

    @property
    def name(self) -> str:
        """Its name: `vpc`."""
        return self.properties.kind

    @property
    def iam_actions(self) -> IamActions:
        """What it calls; a class variable of most."""
        raise NotImplementedError

    @property
    def id_key(self) -> str:
        """What AWS calls its id in calls and answers: VpcId, ListenerArn."""
        return self.listing.id_key if self.listing else f"{camel(self.name)}Arn"

    async def is_hinted(self, reader: Reader) -> bool:
        """Whether what is read anyway says that the stack may have one that its spec doesn't declare. Raises AwsError."""
        return False

    @abstractmethod
    async def discover(self, reader: Reader) -> list[Observed]:
        """All of the stack's resources of this kind, and strangers inside of them. Raises AwsError."""

    @abstractmethod
    async def create(self, run: Run, wanted: P, desired: Desired) -> str:
        """Create the resource as `wanted` says (bound, with defaults), with the tags of `desired`. Returns its id."""

    @abstractmethod
    async def update(self, run: Run, wanted: P, observed: Observed, fields: frozenset[str]) -> None:
        """Change those fields to what `wanted` says (bound)."""

    async def delete(self, run: Run, observed: Observed) -> None:
        """Delete the resource and wait until it is gone; already gone is success."""
        await self.call_delete(run, observed.id, self.in_use)

    async def call_delete(self, run: Run, physical_id: str, retry: waits.Codes) -> None:
        """The one call that deletes it, repeated for the codes in `retry`."""
        params: dict[str, Any] = {self.id_key: physical_id}
        await run.gone(self.properties.service, f"delete_{self.name}", retry=retry, missing=self.missing, **params)

    def read_entry(self, name: str, entry: Entry, fields: dict[str, Any], around: Around) -> P:
        """The properties that an entry of a spec describes.

        `fields` holds those of its keys that are fields, with references instead of names, and its VPC.
        """
        return self.properties(**fields)  # type: ignore[return-value]  # P is bound to that class

    def write_out(self, root: Node, invalid: Iterable[Path], schema: Mapping[str, Any]) -> list[Problem]:
        """Put entries in the place of what entries of this kind say in short (in place). Returns what is in their way."""
        return []

    def addresses_of(self, name: str, entry: Entry) -> Iterable[Address]:
        """What an entry describes, as far as a user may name it."""
        yield Address(self.name, name)

    def scope_of(self, name: str, label: str, around: Around) -> tuple[str | None, str]:
        """Where AWS has one of a name only (None for the region), and that name as AWS compares it. `label` is its own `name`."""
        return None, label

    def write_entry(self, observed: Observed, entry: Entry, named: Named) -> Entry:
        """The inverse of `read_entry`: the entry that describes what is observed.

        `entry` has the fields that are as plain in a spec, with names instead of ids, and without what goes without saying.
        """
        return entry

    def write_remembered(self, entry: Entry, own: Mapping[str, str]) -> Entry:
        """An entry of what this tool has made, with what only the tags of that remember of its spec."""
        return entry

    def write_member(self, observed: Observed, entry: Entry, own: Entry, named: Named) -> None:
        """The inverse of `members`, of one of them: add it to the entry that describes it. `own` has its plain fields."""
        entry.update(own)

    def grants(self, wanted: P, scope: Scope) -> Iterable[Grant]:
        """What an entry needs of what AWS knows by name rather than by a stack's tag. Of its `iam_actions`, those of other services
        than EC2 and ELBv2 are needed only as far as a grant names them."""
        return ()

    def is_in_place(self, desired: Desired, item: Candidate, known: Known) -> bool:
        """Whether a candidate is where the resource must be."""
        place = known.place_of(desired)
        return place is not None and place == item.place

    def evidence(self, desired: Desired, item: Candidate, known: Known) -> Evidence | None:
        """What speaks for a candidate, which is in place, being the resource that an entry describes; None if nothing does."""
        return by_settings(desired, item, known)

    async def adopt(self, aws: Aws, item: Adopted, known: Known, keep: Keep) -> Adopted:
        """What is written to an adopted resource, of all that creating it would have written. Reads only. Raises AwsError."""
        return item

    def check_plan(self, decisions: Decisions, discovery: Discovery) -> Iterable[Finding | str]:
        """What AWS would refuse half-way, or what is probably not meant, of this kind's resources in a plan."""
        return ()

    def tell_plan(self, steps: Sequence[Step], discovery: Discovery) -> Iterable[tuple[Step, str]]:
        """What the reader of a plan is to know of some of its steps."""
        return ()

    def locate(self, row: Mapping[str, Any]) -> Foreign:
        """Where something is that EC2 describes so."""
        return Foreign(row.get("VpcId"), row.get("AvailabilityZone"))

    def entry_of(self, name: str) -> Address | None:
        """The entry that describes a resource with that name; None where it is called as the entry is, or its tags say it."""
        return None

    def suggest_name(self, state: P) -> str:
        """What to call an entry whose resource has no name; empty for its kind's name."""
        return ""

    def is_in_vpc(self, entry: Entry) -> bool:
        """Whether an entry of a kind that has a `vpc` is in one."""
        return True

    def members(self, name: str, entry: Entry, around: Around) -> Iterable[tuple[Address, Properties]]:
        """What an entry describes beside itself: resources without tags, which others can have put there too."""
        return ()

    def defaults_for(self, wanted: P, defaults: dict[str, Any]) -> dict[str, Any]:
        """Of the schema's defaults, by field, those that a resource with these properties is created with."""
        return defaults

    def takes(self, action: str, fields: Collection[str]) -> tuple[int, int]:
        """How many seconds AWS usually takes for it, from and to, beside what the spec has us wait for. `fields` are those
        that an update changes."""
        return 0, 2

    def why_builtin(self, row: Mapping[str, Any]) -> str:
        """Why a resource (as AWS describes it) is AWS's own rather than somebody's; empty if it isn't."""
        return ""

    def of(self, observed: Observed) -> P:
        """The observed properties. Raises TypeError for a resource of another kind."""
        if not isinstance(observed.state, self.properties):
            raise TypeError(f"{observed.address} isn't a {self.name}")
        return observed.state  # type: ignore[return-value]  # P is bound to the class that was just looked at


AnyKind = Kind[Any]
"""A kind whose properties' class doesn't matter."""


@runtime_checkable
class Grouped(Protocol):
    """A kind of which an entry describes several alike resources (`count`), numbered from 1."""

    def group_of(self, name: str) -> str:
        """The entry that a member with that name belongs to."""

    def member_of(self, state: Any, number: int) -> Any:
        """The properties of a member, of those that the entry describes."""

    def tells_apart(self, entry: Entry) -> bool:
        """Whether an entry gives each member something of its own, so that they can't stand for each other."""


@runtime_checkable
class NamedInAccount(Protocol):
    """A kind whose resources' names are unique in their account and region."""

    @property
    def name(self) -> str:
        """The kind's name."""

    async def others(self, reader: Reader) -> dict[str, Other]:
        """By name, those that aren't the stack's. Raises AwsError."""


@runtime_checkable
class FoundByDomain(Protocol):
    """A kind of which a spec may mean the one for a domain."""

    async def find_by_domain(
        self, aws: Aws, wanted: Sequence[Lookup], stack: str
    ) -> dict[Lookup, tuple[list[str], str]]:
        """By look-up the ids of those that there are, and what is wrong with them. Raises AwsError."""

    def finding_grants(self, scope: Scope) -> Iterable[Grant]:
        """What that needs of IAM."""


@runtime_checkable
class HasNodes(Protocol):
    """A kind whose resources leave network interfaces for a while in the subnets that they have left."""

    async def wait_for_old_nodes(self, run: Run, subnets: Mapping[str, Collection[Ref]]) -> None:
        """Wait until none is left outside of the given subnets, by ARN. Raises WaitError, AwsError."""


@runtime_checkable
class ListedApart(Protocol):
    """A kind whose resources EC2's list of tags doesn't tell, or not by itself, nor the lists of load balancers and target groups."""

    async def owners(self, reader: Reader) -> list[str]:
        """The stack of each in the region, whatever stack that is. Raises AwsError."""


@runtime_checkable
class UsedUnseen(Protocol):
    """A kind that is used also by what this tool doesn't read: the network interfaces of a database wear security groups."""

    async def find_users(self, aws: Aws, ids: Iterable[str], besides: Collection[str]) -> list[tuple[str, str]]:
        """Who uses these, in words, each with the id of the one that it uses; but for those whose ids are in `besides`. Raises
        AwsError."""


@dataclass(frozen=True)
class Used:
    """What others use, or what leads to them, though nothing around them leads to it."""

    users: tuple[str, ...]
    """The ids of those others."""
    words: str
    """What it is, for people: key pair ops."""
    id: str = ""
    """Its id; empty where nothing can be said of it."""
    observed: Observed | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    """Those that it has."""
    why: str = ""
    """Why an entry can't describe it, or shouldn't; empty where one can."""


@runtime_checkable
class FoundByUse(Protocol):
    """A kind of which no network leads to a resource: what uses it names it, or it names what it leads to."""

    async def find_used(self, reader: Reader, users: Sequence[Observed]) -> list[Used]:
        """What these use, or are led to by. Raises AwsError."""


@runtime_checkable
class Prepares(Protocol):
    """A kind that reads early what `create` will need, while other steps still run."""

    def prepare(self, run: Run, wanted: Any) -> None:
        """Begin to read it."""


@dataclass(frozen=True)
class Intent:
    """A resource that is to be made or changed."""

    desired: Desired
    wanted: Any
    """Its properties, bound as far as ids are known; with defaults, where it is to be made."""
    fields: frozenset[str] | None
    """The properties that are to be changed in place; None where it is to be made."""
    replaces: bool = False
    """Whether it is to be made beside one that goes afterwards."""
    paths: frozenset[str] = frozenset()
    """The same with the keys of mappings: `attributes.idle_timeout.timeout_seconds`."""
    zones: tuple[str, ...] = ()
    """The zones of the subnets that it may be in, as far as they are known."""
    id: str = ""
    """The id of what is to be changed."""
    stack: str = ""
    """The stack's name."""


Zones = Awaitable[Collection[str]]


@runtime_checkable
class HasFile(Protocol):
    """A kind of which a part of the entry is a file's, and of which AWS can tell what it was."""

    file_key: ClassVar[str]
    """The key that names the file; it stands for the field of that name without `_file`."""

    async def read_file(self, aws: Aws, observed: Observed) -> bytes:
        """What would be in the file; nothing where there is none. It may hold secrets."""


@runtime_checkable
class HasUnshown(Protocol):
    """A kind with properties that AWS shows only in calls of their own, so that only an export asks for them."""

    async def read_unshown(self, aws: Aws, observed: Observed) -> Properties:
        """Its state with these."""


@runtime_checkable
class HasPreconditions(Protocol):
    """A kind of which AWS can be asked beforehand whether it would take what is to be made or changed."""

    async def check_preconditions(
        self, aws: Aws, intents: Sequence[Intent], desired: Mapping[Address, Desired], zones: Zones
    ) -> list[Finding]:
        """What stands against it. Reads only; what these credentials can't read isn't found.

        The region's zones are read meanwhile: there are none where no subnet is made, or they can't be read.
        """


@runtime_checkable
class Ordered(Protocol):
    """A kind whose members have an order that is set for all of them in one call."""

    ordered_by: ClassVar[str]
    """The property that says it."""

    async def set_order(self, run: Run, order: SetPriorities) -> None:
        """Set it."""


@runtime_checkable
class Serves(Protocol):
    """A kind that takes part in answering requests."""

    async def wait_until_serving(self, run: Run, observed: Observed, timeout: float) -> None:
        """Wait until it does. Raises WaitError with what is waited for after `timeout` seconds."""


@runtime_checkable
class Protected(Protocol):
    """A kind that AWS can protect from being deleted."""

    protections: ClassVar[Mapping[str, str]]
    """By the property that switches it on, what that is called."""

    async def find_protections(self, aws: Aws, observed: Observed) -> Collection[str]:
        """Which of those properties AWS has on, so that it would refuse to delete it: none of one that is gone."""


@runtime_checkable
class StopProtected(Protocol):
    """A kind that AWS can protect from being stopped."""

    stop_protection: ClassVar[str]
    """What that is called."""

    def stops(self, changes: Sequence[Change]) -> bool:
        """Whether changes in place need it to be stopped, and leave that protection as it is."""

    async def is_stop_protected(self, aws: Aws, observed: Observed) -> bool:
        """Whether AWS would refuse to stop it. One that is gone isn't."""
