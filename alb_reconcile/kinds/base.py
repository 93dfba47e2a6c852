"""The interface that each kind of resource implements: how the kind is read, created, updated and deleted, and how AWS names and lists it."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
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
from alb_reconcile.model.requests.conditions import Condition
from alb_reconcile.model.resource import Change, Desired, Observed, Properties
from alb_reconcile.model.service import Foreign
from alb_reconcile.model.steps import SetPriorities
from alb_reconcile.model.text import camel

P = TypeVar("P", bound=Properties)
T = TypeVar("T")


@dataclass(frozen=True)
class Listing:
    """How EC2 lists the resources of a kind: the Describe action, the key of the answer's list, and the key of the id in a row.

    `id_filter` is the filter by id, `vpc_filter` the filter by VPC; where `vpc_filter` is empty, all resources are read. `needs_foreign`:
    whether a plan needs the settings of others' resources, which are read where a spec names one by its id. `default_filter` is the filter
    for an account's default resources. `is_nested`: the answer's list holds lists of resources, in which look-ups by tags find nothing.
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
    """To read existing resources, for every command that reads AWS."""
    look: tuple[str, ...] = ()
    """To check before a run what AWS would refuse; without these actions, AWS refuses in the middle of the run."""
    create: tuple[str, ...] = ()
    update: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()
    on: Mapping[str, str] = field(default_factory=dict)
    """By action of EC2 or ELBv2: the types of resources on which AWS checks the action, where this isn't the kind's own type alone, or any.

    `subnet+`: a subnet that the call makes and tags. `image*`: any image. `vpc`: the stack's VPCs, and VPCs that its spec names.
    """
    fields: Mapping[str, str] = field(default_factory=dict)
    """By action: the properties of which an entry must have at least one, or the action isn't called."""


@dataclass(frozen=True)
class Keep:
    """What is taken to be as the spec says in an adopted resource, though it can't be read: the `images` to which references lead, and the
    client `secrets` that the spec names."""

    images: bool = False
    secrets: bool = False


@dataclass(frozen=True)
class Adopted:
    """A resource that is adopted, and what is written to the resource."""

    desired: Desired
    found: Observed
    tags: Mapping[str, str]
    """The tags that creating the resource would have written, as far as they are true of the resource."""
    volumes: tuple[str, ...] = ()
    """The ids of the resource's volumes that are adopted with it."""
    note: str = ""
    """How the resource differs from the spec and stays different, for the user."""


Entry = dict[str, Any]
"""An entry of a spec: checked, as plain data."""
Part = str | int | EllipsisType


class Reference(NamedTuple):
    """A reference in a spec: its path, the kind that it refers to, and its text."""

    path: Path
    kind: str
    target: str


class Unmet(NamedTuple):
    """A control of Security Hub that an entry doesn't meet. `path` is the key to be written or changed, whether the spec has it or not."""

    control: str
    address: str
    path: Path
    problem: str
    change: str


class Around(Protocol):
    """The spec around an entry, as far as the spec fits the schema. What the schema refused is missing here, or None in a list."""

    @property
    def stack(self) -> str:
        """The stack's name; empty where the stack has no name yet."""

    @property
    def folder(self) -> FilePath:
        """The folder of the spec's file."""

    @property
    def region(self) -> str | None:
        """The stack's region; None where the region isn't known."""

    @property
    def references(self) -> Sequence[Reference]:
        """All references to an entry or to a literal id."""

    @property
    def is_sound(self) -> bool:
        """Whether no mistake has been found until now, so that what is read from the spec is complete."""

    def entries(self, section: str) -> dict[str, Entry]:
        """A section's entries by name."""

    def all_of(self, kind: str) -> list[tuple[Path, Entry]]:
        """All entries of a kind with their paths, also entries that nest in other entries."""

    def mappings(self, *pattern: Part) -> list[tuple[Path, Entry]]:
        """The mappings at paths that fit a pattern, in which `...` stands for any key or index."""

    def texts(self, *pattern: Part) -> list[tuple[Path, str]]:
        """The texts at paths that fit a pattern."""

    def given(self, path: Path) -> Mapping[str, object]:
        """The keys of a mapping as the spec has them, also keys that the schema refused."""

    def schema(self, kind: str) -> Mapping[str, Any]:
        """The schema of a kind's entries."""

    def variables_of(self, path: Path) -> Mapping[str, str]:
        """The variables that were given for the values of an entry that outlive the command."""

    def template(self, path: Path) -> str:
        """A text of the spec as it was before variables were filled in."""

    def is_wrong(self, path: Path) -> bool:
        """Whether a mistake has been found until now at a path or below it."""

    def is_misnamed(self, section: str) -> bool:
        """Whether a section itself is wrong: refused, or written under another name. Its entries are missing then."""

    def error(self, path: Path, message: str, *, at_key: bool = False) -> None:
        """Report a mistake at a path's value, or at its key."""

    def warn(self, path: Path, message: str, *, at_key: bool = False) -> None:
        """Report a risk."""

    def kept(self, find: Callable[..., T], *of: str | None) -> T:
        """The result of `find` for this spec and the arguments `of`; `find` is called once for the same arguments."""


Check = Callable[[Around], None]
"""A function that reports the mistakes in a spec to `Around`."""
Audit = Callable[[Around], Iterable[Unmet]]
"""A function that finds the controls of Security Hub that entries of a valid spec don't meet."""


class Named(Protocol):
    """Names of the resources around an observed resource, for the entry that is to describe the observed resource."""

    region: str

    def name_of(self, physical_id: str) -> str:
        """The name of the entry that describes a resource; the resource's id where no entry does."""

    def state_of(self, physical_id: str) -> Properties | None:
        """The observed properties of a resource, whether an entry describes the resource or not."""

    def id_of(self, kind: str, name: str) -> str:
        """The id of a resource that other resources refer to by its name in AWS; the name itself where no such resource is known."""

    def remark(self, text: str) -> None:
        """Add to the entry a remark about what the entry can't say."""


class Kind(ABC, Generic[P]):
    """A kind of resource. A kind has no state: its methods get the resources as arguments.

    Its verbs are `discover`, `create`, `update` and `delete`; each returns when AWS is done with the resource. What only some kinds
    can do is in the protocols below.
    """

    properties: ClassVar[type[Properties]]
    noun: ClassVar[str]
    """The kind's name in a sentence, with its article: a VPC."""
    position: ClassVar[int]
    """The kind's place in a spec and among similar steps of a plan; kinds that others refer to come first."""
    section: ClassVar[str] = ""
    """The section of a spec that holds the kind's entries; empty for members of another kind's entries."""
    used_by: ClassVar[str] = ""
    """What messages call the resource that uses one of this kind, where that isn't the entry that names it: the target group."""
    has_default: ClassVar[bool] = False
    """Whether AWS has a default resource of this kind, which a spec can look up."""
    id_prefix: ClassVar[str] = ""
    """The beginning of the kind's ids (EC2): vpc-."""
    arn_type: ClassVar[str] = ""
    """The type of resource in the kind's ARNs (ELBv2): loadbalancer/app."""
    listing: ClassVar[Listing | None] = None
    is_rare: ClassVar[bool] = False
    """Whether most stacks have no resource of this kind, so that it is read only where a stack may have one (`kinds._rare`)."""
    recognized_after: ClassVar[tuple[str, ...]] = ()
    """Kinds that show which of the account's resources an entry of this kind means, so that `adopt` matches those kinds first."""
    missing: ClassVar[tuple[str, ...]] = ()
    """AWS's error codes for a resource that doesn't exist."""
    in_use: ClassVar[waits.Codes] = {}
    """AWS's error codes for a resource that is still in use, each with the seconds for which a delete is repeated."""
    ready: ClassVar[frozenset[str]] = frozenset()
    """AWS's words for the status of a resource that is in order."""

    usual: ClassVar[Mapping[str, Any]] = {}
    """What AWS sets where a create call sets nothing, by path, as a spec would say it. False, empty values and the schema's defaults
    aren't listed."""
    vital: ClassVar[frozenset[str]] = frozenset()
    """The paths that `export` writes also where they are `usual`: a change there costs requests, and a plan sees only what a spec says."""
    chosen: ClassVar[frozenset[str]] = frozenset()
    """The fields, or paths below them, that AWS chooses where a spec says nothing, differently for each resource."""

    is_always_read: ClassVar[bool] = True
    """Whether the kind is read also where a spec declares no resource of it, unless the kind `is_rare`. Otherwise `is_hinted` decides."""
    iam_type: ClassVar[str | None] = None
    """The Service Authorization Reference's name of this type of resource, where that is neither the kind's `arn_type` nor its name."""
    entry_checks: ClassVar[tuple[Check, ...]] = ()
    """Functions that report entries that AWS would refuse, as far as no schema can say it."""
    use_checks: ClassVar[tuple[Check, ...]] = ()
    """Functions that report, after the `entry_checks` of all kinds, entries that couldn't work together, or that would cost for no use."""
    audits: ClassVar[tuple[Audit, ...]] = ()
    quotas: ClassVar[tuple[Quota, ...]] = ()
    """How many resources AWS allows, as far as a plan can exceed the number."""

    @property
    def name(self) -> str:
        """The kind's name: `vpc`."""
        return self.properties.kind

    @property
    def iam_actions(self) -> IamActions:
        """The IAM actions that the kind calls; a class variable of most kinds."""
        raise NotImplementedError  # each kind says it, most by a class variable

    @property
    def id_key(self) -> str:
        """AWS's name of the resource's id in calls and answers: VpcId, ListenerArn."""
        return self.listing.id_key if self.listing else f"{camel(self.name)}Arn"

    async def is_hinted(self, reader: Reader) -> bool:
        """Whether the reads that are made anyway show that the stack may have a resource that its spec doesn't declare. Raises AwsError."""
        return False

    @abstractmethod
    async def discover(self, reader: Reader) -> list[Observed]:
        """All of the stack's resources of this kind, and others' resources inside of the stack's. Raises AwsError."""

    @abstractmethod
    async def create(self, run: Run, wanted: P, desired: Desired) -> str:
        """Create the resource as `wanted` says (bound, with defaults), with the tags of `desired`. Returns the resource's id."""

    @abstractmethod
    async def update(self, run: Run, wanted: P, observed: Observed, fields: frozenset[str]) -> None:
        """Change the given fields to what `wanted` says (bound)."""

    async def delete(self, run: Run, observed: Observed) -> None:
        """Delete the resource and wait until the resource is gone; already gone is success."""
        await self.call_delete(run, observed.id, self.in_use)

    async def call_delete(self, run: Run, physical_id: str, retry: waits.Codes) -> None:
        """Make the call that deletes the resource; the call is repeated for the codes in `retry`."""
        params: dict[str, Any] = {self.id_key: physical_id}
        await run.gone(self.properties.service, f"delete_{self.name}", retry=retry, missing=self.missing, **params)

    def read_entry(self, name: str, entry: Entry, fields: dict[str, Any], around: Around) -> P:
        """The properties that an entry of a spec describes.

        `fields` holds the entry's keys that are fields, with references instead of names, and the entry's VPC.
        """
        return self.properties(**fields)  # type: ignore[return-value]  # P is bound to that class

    def write_out(
        self, root: Node, invalid: Iterable[Path], schema: Mapping[str, Any], region: str | None
    ) -> list[Problem]:
        """Replace short forms in entries of this kind by the entries that they stand for (in place). Returns the problems found.

        `region` is the stack's region, where it is known."""
        return []

    def addresses_of(self, name: str, entry: Entry) -> Iterable[Address]:
        """The addresses of the resources that an entry describes, as far as a user may name them."""
        yield Address(self.name, name)

    def scope_of(self, name: str, label: str, around: Around) -> tuple[str | None, str]:
        """Where a name is unique in AWS (None for the region), and the name as AWS compares it. `label` is the entry's `name`."""
        return None, label

    def write_entry(self, observed: Observed, entry: Entry, named: Named) -> Entry:
        """The inverse of `read_entry`: the entry that describes an observed resource.

        `entry` has the fields that a spec writes in the same form, with names instead of ids, and without the usual values.
        """
        return entry

    def write_remembered(self, entry: Entry, own: Mapping[str, str]) -> Entry:
        """The entry of a resource that this tool has made, completed by what only the resource's tags keep of its spec."""
        return entry

    def write_member(self, observed: Observed, entry: Entry, own: Entry, named: Named) -> None:
        """The inverse of `members`, for one member: add the member to the entry that describes it. `own` has the member's plain fields."""
        entry.update(own)

    def grants(self, wanted: P, scope: Scope) -> Iterable[Grant]:
        """The permissions that an entry needs on what AWS knows by name rather than by a stack's tag. `iam_actions` of services other
        than EC2 and ELBv2 are needed only as far as a grant names them."""
        return ()

    def is_in_place(self, desired: Desired, item: Candidate, known: Known) -> bool:
        """Whether a candidate is where the resource must be."""
        place = known.place_of(desired)
        return place is not None and place == item.place

    def evidence(self, desired: Desired, item: Candidate, known: Known) -> Evidence | None:
        """The evidence that a candidate, which is in place, is the resource that an entry describes; None without any evidence."""
        return by_settings(desired, item, known)

    async def adopt(self, aws: Aws, item: Adopted, known: Known, keep: Keep) -> Adopted:
        """What is written to an adopted resource: the true part of what creating it would have written. Reads only. Raises AwsError."""
        return item

    def check_plan(self, decisions: Decisions, discovery: Discovery) -> Iterable[Finding | str]:
        """Changes to this kind's resources in a plan that AWS would refuse in the middle of a run, or that are probably a mistake."""
        return ()

    def loses_data(self, found: Observed) -> bool:
        """Whether AWS deletes data with a resource that the resource's replacement doesn't have."""
        return False

    def tell_plan(self, steps: Sequence[Step], discovery: Discovery) -> Iterable[tuple[Step, str]]:
        """Notes on some of a plan's steps, for the plan's reader."""
        return ()

    def locate(self, row: Mapping[str, Any]) -> Foreign:
        """The location of a resource that EC2 describes by a row."""
        return Foreign(row.get("VpcId"), row.get("AvailabilityZone"))

    def entry_of(self, name: str) -> Address | None:
        """The entry that describes a resource with a name; None where the entry has the same name, or the resource's tags say the entry."""
        return None

    def suggest_name(self, state: P) -> str:
        """A name for the entry of a resource that has no name; empty for the kind's name."""
        return ""

    def is_in_vpc(self, entry: Entry) -> bool:
        """Whether an entry of a kind that has a `vpc` is in a VPC."""
        return True

    def members(self, name: str, entry: Entry, around: Around) -> Iterable[tuple[Address, Properties]]:
        """The resources that an entry describes in addition to its own: resources without tags, which others can add, too."""
        return ()

    def defaults_for(self, wanted: P, defaults: dict[str, Any]) -> dict[str, Any]:
        """The part of the schema's defaults, by field, with which a resource with these properties is created."""
        return defaults

    def takes(self, action: str, fields: Collection[str]) -> tuple[int, int]:
        """The least and the most seconds that AWS usually takes for an action, without waits that the spec sets. `fields` are the fields
        that an update changes."""
        return 0, 2

    def why_builtin(self, row: Mapping[str, Any]) -> str:
        """Why a resource (as AWS describes it) is made by AWS rather than by a user; empty if a user made it."""
        return ""

    def of(self, observed: Observed) -> P:
        """The resource's observed properties. Raises TypeError for a resource of another kind."""
        if not isinstance(observed.state, self.properties):
            raise TypeError(f"{observed.address} isn't a {self.name}")
        return observed.state  # type: ignore[return-value]  # P is bound to the class that was just looked at


AnyKind = Kind[Any]
"""A kind with properties of any class."""


@runtime_checkable
class Grouped(Protocol):
    """A kind of which an entry can describe several alike resources (`count`), numbered from 1."""

    def group_of(self, name: str) -> str:
        """The entry that a member with the given name belongs to."""

    def member_of(self, state: Any, number: int) -> Any:
        """The properties of one member; `state` has the properties that the entry describes."""

    def tells_apart(self, entry: Entry) -> bool:
        """Whether an entry gives each member a setting of its own, so that one member can't stand for another."""


@runtime_checkable
class NamedInAccount(Protocol):
    """A kind of resources with names that are unique in the account and region."""

    @property
    def name(self) -> str:
        """The kind's name."""

    async def others(self, reader: Reader) -> dict[str, Other]:
        """By name, the resources of this kind that aren't the stack's. Raises AwsError."""


@runtime_checkable
class FoundByDomain(Protocol):
    """A kind of resources that a spec can look up by a domain (certificates)."""

    async def find_by_domain(
        self, aws: Aws, wanted: Sequence[Lookup], stack: str
    ) -> dict[Lookup, tuple[list[str], str]]:
        """By look-up: the ids of the resources that were found, and what is wrong with them. Raises AwsError."""

    def finding_grants(self, scope: Scope) -> Iterable[Grant]:
        """The IAM permissions that `find_by_domain` needs."""


@runtime_checkable
class HasNodes(Protocol):
    """A kind of resources that keep network interfaces for a while in subnets that they have left."""

    async def wait_for_old_nodes(self, run: Run, subnets: Mapping[str, Collection[Ref]]) -> None:
        """Wait until no network interface is left outside of the given subnets, by ARN of the resource. Raises WaitError, AwsError."""


@runtime_checkable
class ListedApart(Protocol):
    """A kind of resources that neither EC2's list of tags alone, nor the lists of load balancers and target groups, show."""

    async def owners(self, reader: Reader) -> list[str]:
        """The stack of each such resource in the region, for all stacks. Raises AwsError."""


@runtime_checkable
class UsedUnseen(Protocol):
    """A kind that is used by resources that this tool doesn't read: a database's network interfaces use security groups."""

    async def find_users(self, aws: Aws, ids: Iterable[str], besides: Collection[str]) -> list[tuple[str, str]]:
        """The users of these resources, in words, each with the id of the resource that it uses; without users with ids in `besides`.
        Raises AwsError."""


@dataclass(frozen=True)
class Used:
    """A resource that other resources use, or that leads to them, and that can't be found by the network that they are in."""

    users: tuple[str, ...]
    """The ids of those other resources."""
    words: str
    """The resource's kind and name, for people: key pair ops."""
    id: str = ""
    """The resource's id; empty where nothing is known about the resource."""
    observed: Observed | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    """The resource's tags."""
    why: str = ""
    """Why an entry can't or shouldn't describe the resource; empty where an entry can."""


@runtime_checkable
class FoundByUse(Protocol):
    """A kind of resources that can't be found by their network: other resources name them, or they name the resources that they lead to."""

    async def find_used(self, reader: Reader, users: Sequence[Observed]) -> list[Used]:
        """The resources that `users` use, or that lead to `users`. Raises AwsError."""


@runtime_checkable
class Prepares(Protocol):
    """A kind that reads early what `create` will need, while other steps still run."""

    def prepare(self, run: Run, wanted: Any) -> None:
        """Begin to read what `create` will need."""


@dataclass(frozen=True)
class Intent:
    """A resource that is to be made or changed."""

    desired: Desired
    wanted: Any
    """The resource's properties, bound as far as ids are known; with defaults, where the resource is to be made."""
    fields: frozenset[str] | None
    """The properties that are to be changed in place; None where the resource is to be made."""
    replaces: bool = False
    """Whether the resource is to be made before an old one, which it replaces, is deleted."""
    paths: frozenset[str] = frozenset()
    """`fields` with the keys of mappings: `attributes.idle_timeout.timeout_seconds`."""
    zones: tuple[str, ...] = ()
    """The zones of the subnets that the resource may be in, as far as these zones are known."""
    id: str = ""
    """The id of the resource that is to be changed."""
    stack: str = ""
    """The stack's name."""


Zones = Awaitable[Collection[str]]


@runtime_checkable
class HasFile(Protocol):
    """A kind with entries that keep a part in a file, and of which AWS shows the file's contents."""

    file_key: ClassVar[str]
    """The entry's key that names the file; the key stands for the field of that name without `_file`."""

    async def read_file(self, aws: Aws, observed: Observed) -> bytes:
        """The contents that the file would have, which may hold secrets; empty where there are none."""


@runtime_checkable
class KeepsValues(Protocol):
    """A kind that keeps in tags which variables an apply was given for the values of its entries."""

    async def read_values(self, aws: Aws, stack: str) -> Mapping[str, str]:
        """The variables that a stack's newest resource was given, by name. Raises AwsError."""


@runtime_checkable
class Pinned(Protocol):
    """A kind of which entries name things that have versions, such as an object in S3: a plan looks the versions up, and pins them."""

    def places_of(self, state: Any) -> Mapping[str, str]:
        """Where each such thing is, by its name; empty where the entry names none."""

    def path_of(self, name: str) -> str:
        """The path of the key that names a thing, below the entry."""

    def takes_new(self, state: Any, name: str) -> bool:
        """Whether an unattended run is to take a new version of a thing."""

    def pinned(self, state: Any, versions: Mapping[str, str]) -> Any:
        """The properties with these versions, by name."""

    async def read_version(self, aws: Aws, place: str) -> tuple[str, str]:
        """The newest version at a place, or why there is none. Raises AwsError."""

    async def read_pinned(self, aws: Aws, stack: str) -> Mapping[str, Mapping[str, str]]:
        """The versions that the newest resource of each entry of a stack was made with. Raises AwsError."""


@runtime_checkable
class LeadsByHeader(Protocol):
    """A kind of resources that lead requests by conditions, one of which can be made for a short time for one header."""

    def leading(
        self, aws: Aws, stack: str, listener: str, group: str, header: tuple[str, str]
    ) -> AbstractAsyncContextManager[None]:
        """A resource that leads requests with a header (name and value) to a target group, before all others of the listener, for the length
        of a block. Raises AwsError."""

    def conditions_in(self, row: Mapping[str, Any]) -> tuple[Condition, ...]:
        """The conditions of such a resource, as AWS describes it."""


@runtime_checkable
class HasRole(Protocol):
    """A kind of resources that call AWS by a role of their own."""

    def role_statements(self, state: Any, account: str) -> Sequence[dict[str, Any]]:
        """The statements of the policy that the role needs; none where the entry's role is made by the stack."""


@runtime_checkable
class HasUnshown(Protocol):
    """A kind with properties that AWS shows only in separate calls, so that only an export reads them."""

    async def read_unshown(self, aws: Aws, observed: Observed) -> Properties:
        """The resource's observed properties, with these properties added."""


@runtime_checkable
class HasPreconditions(Protocol):
    """A kind of which AWS can be asked before a run whether it would accept what is to be made or changed."""

    async def check_preconditions(
        self, aws: Aws, intents: Sequence[Intent], desired: Mapping[Address, Desired], zones: Zones
    ) -> list[Finding]:
        """What prevents the given changes. Reads only; what these credentials can't read isn't found.

        `zones` gives the region's zones, which are read meanwhile: no zones where no subnet is made, or where zones can't be read.
        """


@runtime_checkable
class Ordered(Protocol):
    """A kind with members in an order that one call sets for all of them."""

    ordered_by: ClassVar[str]
    """The property that says the order."""

    async def set_order(self, run: Run, order: SetPriorities) -> None:
        """Set the order."""


@runtime_checkable
class Serves(Protocol):
    """A kind that takes part in answering requests."""

    async def wait_until_serving(self, run: Run, observed: Observed, timeout: float) -> None:
        """Wait until the resource answers requests. Raises WaitError with what is waited for after `timeout` seconds."""


@runtime_checkable
class Protected(Protocol):
    """A kind that AWS can protect from being deleted."""

    protections: ClassVar[Mapping[str, str]]
    """By the property that switches a protection on, the protection's name."""

    async def find_protections(self, aws: Aws, observed: Observed) -> Collection[str]:
        """The properties in `protections` that are on, so that AWS would refuse to delete the resource; none for one that is gone."""


@runtime_checkable
class StopProtected(Protocol):
    """A kind that AWS can protect from being stopped."""

    stop_protection: ClassVar[str]
    """The name of that protection."""

    def stops(self, changes: Sequence[Change]) -> bool:
        """Whether changes in place need the resource to be stopped, and leave its protection as it is."""

    async def is_stop_protected(self, aws: Aws, observed: Observed) -> bool:
        """Whether AWS would refuse to stop the resource. A resource that is gone isn't protected."""
