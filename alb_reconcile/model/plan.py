"""Plans and their steps, and a plan's JSON, which other programs read."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeVar

from alb_reconcile.model.actions import Secret
from alb_reconcile.model.address import Address, Ref, UserData
from alb_reconcile.model.counting import by_resource, count_resources
from alb_reconcile.model.policy_document import PolicyDocument
from alb_reconcile.model.resource import Change, Desired, Observed, Properties
from alb_reconcile.model.secrets import Headers, hide_all, redact, redact_change
from alb_reconcile.model.steps import Attach, Details, SetPriorities
from alb_reconcile.model.tags import applied_tags

VERSION: Final = 2
_D = TypeVar("_D")


class Act(StrEnum):
    """The three parts of a run (expand and contract)."""

    PREPARE = "prepare"
    """Makes the new resources ready, while the old ones serve."""
    MOVE = "move requests"
    """Moves requests to the new resources: listeners, rules and DNS names."""
    CLEAN_UP = "clean up"
    """Deletes the resources that serve no more."""


class Need(StrEnum):
    """How a step needs an earlier one."""

    DONE = "done"
    """The step can't be carried out before the earlier step has ended well."""
    ORDER = "order"
    """The step comes after the earlier step, and doesn't need its success."""
    MADE = "made"
    """Both may be carried out at the same time: the later one waits itself for what the earlier one makes."""
    ANNOUNCED = "announced"
    """The step waits until the earlier step, a delete, has been announced, and not for its end."""


@dataclass(frozen=True)
class Step:
    """One change of a plan.

    `action` is create, update, replace or delete. A replacement is two steps: `replace` makes the new resource, and
    a `delete` that is `part_of` it removes the old one. `needs` holds the keys of the steps that come before, and how each is needed.
    """

    action: str
    address: Address
    id: str | None = None
    key: str = ""
    """The step's name in the plan; made from the three fields above where it isn't given."""
    reason: str = ""
    changes: tuple[Change, ...] = ()
    forces: tuple[str, ...] = ()
    """For a replacement, the paths of the changes that AWS can't make in place; none if something else forces the replacement."""
    needs: Mapping[str, Need] = field(default_factory=dict)
    act: Act = Act.PREPARE
    part_of: str | None = None
    waits: tuple[str, ...] = ()
    """What the step waits for, in words."""
    effects: tuple[str, ...] = ()
    """What the step does to clients, in words: stops, drains, keeps."""
    also_deletes: tuple[Address, ...] = ()
    """The resources that AWS deletes with the step's resource, without steps of their own."""
    seconds: int = 0
    """Seconds that the step waits, by the spec's own numbers."""
    takes: tuple[int, int] = (0, 0)
    """How long AWS usually takes in addition to `seconds`, in seconds, from and to."""
    desired: Desired | None = None
    state: Properties | None = None
    """The desired properties, bound as far as ids are known; for a new resource, with its defaults and its place."""
    observed: Observed | None = None
    refresh: tuple[Desired, Observed] | None = None
    """The entry of which the bookkeeping tags are written with this step."""
    details: Details | None = None
    """What is special about the step (`model.steps`)."""
    pause: tuple[int, str] = (0, "")
    """Seconds before the step is carried out, and what is the case by then: changes take effect some time after AWS's answer."""
    old_nodes: Mapping[str, tuple[Ref, ...]] = field(default_factory=dict)
    """Load balancers, by ARN with their subnets, that have nodes in former subnets which need what the step takes away."""
    beside: str = ""
    """The id of the resource that the step replaces, where a new resource with the same settings needs another name."""
    lifts_protection: bool = False
    """Whether the step may switch off what protects its resource from being deleted."""

    def __post_init__(self) -> None:
        if not self.key:
            object.__setattr__(self, "key", f"{self.action}:{self.address}" + (f"@{self.id}" if self.id else ""))

    @property
    def carried_by(self) -> str:
        """The kind that carries the step out: the kind of rules for their order, which is no resource."""
        return self.details.kind if isinstance(self.details, SetPriorities) else self.address.kind

    @property
    def sets_order(self) -> bool:
        """Whether the step moves several rules of a listener at once."""
        return isinstance(self.details, SetPriorities)

    def plays(self, *parts: type[Properties]) -> bool:
        """Whether the step's resource plays one of these parts in the service (`model.service`), or is of one of these kinds."""
        holder = self.desired or self.observed
        return holder is not None and isinstance(holder.state, parts)

    def needing(self, *how: Need) -> set[str]:
        """The keys of the steps in `needs` that are needed in the given way."""
        return {key for key, need in self.needs.items() if need in how}

    @property
    def attaches(self) -> bool:
        """Whether the step puts target groups at weight 0 into a forward, to be checked."""
        return isinstance(self.details, Attach)

    @property
    def takes_away(self) -> bool:
        """Whether the step deletes, or removes members that were only needed until requests had moved."""
        return self.action == "delete" or (self.action == "update" and self.act is Act.CLEAN_UP)

    @property
    def tops(self) -> frozenset[str]:
        """The properties that the step changes."""
        return frozenset(change.top for change in self.changes)

    def detail(self, of: type[_D]) -> _D:
        """What is special about the step, as a value of the class `of`; where nothing is, the class's empty value."""
        return self.details if isinstance(self.details, of) else of()


@dataclass(frozen=True)
class Plan:
    """Steps in an order that keeps `needs`; empty if all is as wanted."""

    stack: str
    region: str
    account: str
    steps: tuple[Step, ...] = ()
    warnings: tuple[str, ...] = ()
    renames: tuple[str, ...] = ()
    """The warnings about entries that look renamed."""
    kept: tuple[str, ...] = ()
    """Notes that need no step: what is no longer managed, what belongs to others."""
    ids: Mapping[Address, str] = field(default_factory=dict)
    """The physical ids of the resources that stay."""
    live: tuple[Observed, ...] = ()
    """The existing resources: the stack's, and others' inside of them."""
    desired: Mapping[Address, Desired] = field(default_factory=dict)
    """The resources that the spec wants."""
    resting: frozenset[Address] = frozenset()
    """The registrations among `desired` that aren't made, since the spec allows their instance to be stopped."""
    says_applied: bool = True
    """Whether the tags of new resources may say that the whole spec is applied."""
    names: Mapping[str, Address] = field(default_factory=dict)
    """Addresses by physical id, for the reader."""
    secret_headers: Headers = None
    """The headers that are shown without their values (`model.secrets`)."""
    total: int = 0
    """How many resources the stack has."""
    seconds: int = 0
    """The least and the whole time of all waits (health checks, draining, settling) in seconds, by the spec's own numbers."""
    takes: tuple[int, int] = (0, 0)
    """How long the plan usually takes in all, in seconds, from and to: these waits, and AWS's time."""

    @property
    def applied(self) -> dict[str, str]:
        """The tags that say which spec was applied."""
        return applied_tags(self.desired) if self.says_applied else {}

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.steps

    def count(self) -> dict[str, int]:
        """The number of resources by action (`model.counting`)."""
        return count_resources(by_resource(self.steps))

    def shown(self, step: Step) -> tuple[Change, ...]:
        """A step's changes as they may be shown: without secrets."""
        return tuple(redact_change(change, self.secret_headers) for change in step.changes)

    def redact(self, value: Any) -> Any:
        """A property as it may be shown."""
        return redact(value, self.secret_headers)

    def to_json(self) -> str:
        """The documented form, in stable order, without secrets."""
        data = {
            "version": VERSION,
            "stack": self.stack,
            "region": self.region,
            "account": self.account,
            "summary": self.count(),
            "steps": [_step(step, self.shown(step)) for step in self.steps],
            "warnings": [*self.warnings, *self.kept],
            "estimated_seconds": self.seconds,
            "estimated_total_seconds": list(self.takes),
        }
        return json.dumps(hide_all(data), indent=2, ensure_ascii=False)


def _step(step: Step, changes: Iterable[Change]) -> dict[str, Any]:
    return {
        "key": step.key,
        "act": step.act,
        "action": step.action,
        "address": str(step.address),
        "id": step.id,
        "reason": step.reason,
        "changes": [{"path": item.path, "before": plain(item.before), "after": plain(item.after)} for item in changes],
        "needs": sorted(step.needs),
        "waits": list(step.waits),
        "effects": list(step.effects),
        "also_deletes": list(map(str, step.also_deletes)),
        "estimated_seconds": step.seconds,
    }


def plain(value: Any) -> Any:
    """A property as JSON has it; references by address, user data by its digest, a policy as its text."""
    if isinstance(value, Address | UserData | PolicyDocument | Secret | str):
        return str(value)
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {key: plain(item) for key, item in value._asdict().items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if hasattr(value, "__dataclass_fields__"):
        return {
            name: plain(item) for name in value.__dataclass_fields__ if (item := getattr(value, name)) not in (None, ())
        }
    return value
