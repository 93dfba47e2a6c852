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
    """Makes ready what is new, beside what serves."""
    MOVE = "move requests"
    """Changes who answers: listeners, rules and DNS names."""
    CLEAN_UP = "clean up"
    """Takes away what serves no more."""


class Need(StrEnum):
    """How a step needs an earlier one."""

    DONE = "done"
    """It can't be carried out before that has ended well."""
    ORDER = "order"
    """It comes after that, and could do without."""
    MADE = "made"
    """Both may be carried out at the same time: the later one waits itself for what the earlier one makes."""
    ANNOUNCED = "announced"
    """It waits until that, a delete, has been announced, and not for its end."""


@dataclass(frozen=True)
class Step:
    """One thing to do.

    `action` is create, update, replace or delete. A replacement is two steps: `replace` makes the new resource, and
    a `delete` that is `part_of` it removes the old one. `needs` holds the keys of the steps that come before, and how it needs each.
    """

    action: str
    address: Address
    id: str | None = None
    key: str = ""
    """Its name in the plan; made of the three above where it isn't given."""
    reason: str = ""
    changes: tuple[Change, ...] = ()
    forces: tuple[str, ...] = ()
    """Of a replacement, the paths of the changes that AWS can't make in place; none if something else forces it."""
    needs: Mapping[str, Need] = field(default_factory=dict)
    act: Act = Act.PREPARE
    part_of: str | None = None
    waits: tuple[str, ...] = ()
    """What the step waits for, in words."""
    effects: tuple[str, ...] = ()
    """What it does to those who are served, in words: stops, drains, keeps."""
    also_deletes: tuple[Address, ...] = ()
    """What AWS deletes with what it deletes, without a step of its own."""
    seconds: int = 0
    """For how long, by the spec's own numbers."""
    takes: tuple[int, int] = (0, 0)
    """How long AWS usually takes beside that, in seconds, from and to."""
    desired: Desired | None = None
    state: Properties | None = None
    """The desired properties, bound as far as ids are known; for what is made, with its defaults and its place."""
    observed: Observed | None = None
    refresh: tuple[Desired, Observed] | None = None
    """The entry whose bookkeeping tags are written with this step."""
    details: Details | None = None
    """What is special about it."""
    pause: tuple[int, str] = (0, "")
    """Seconds before it is carried out, and what is so by then: AWS takes changes over some time after its answer."""
    old_nodes: Mapping[str, tuple[Ref, ...]] = field(default_factory=dict)
    """Load balancers, by ARN with their subnets, whose nodes in subnets that they have left need what it takes away."""
    beside: str = ""
    """The id of what it replaces where the same settings need another name beside it."""
    lifts_protection: bool = False
    """Whether it may switch off what protects its resource from being deleted."""

    def __post_init__(self) -> None:
        if not self.key:
            object.__setattr__(self, "key", f"{self.action}:{self.address}" + (f"@{self.id}" if self.id else ""))

    @property
    def carried_by(self) -> str:
        """The kind that carries it out: the order of rules is no resource, but theirs."""
        return self.details.kind if isinstance(self.details, SetPriorities) else self.address.kind

    @property
    def sets_order(self) -> bool:
        """Whether it moves several rules of a listener at once."""
        return isinstance(self.details, SetPriorities)

    def plays(self, *parts: type[Properties]) -> bool:
        """Whether its resource plays one of these parts in the service (`model.service`), or is of a kind."""
        holder = self.desired or self.observed
        return holder is not None and isinstance(holder.state, parts)

    def needing(self, *how: Need) -> set[str]:
        """The keys of those of its `needs` that it needs so."""
        return {key for key, need in self.needs.items() if need in how}

    @property
    def attaches(self) -> bool:
        """Whether it puts target groups at weight 0 beside others, to be checked."""
        return isinstance(self.details, Attach)

    @property
    def takes_away(self) -> bool:
        """Whether it deletes, or removes members that were only needed until requests had moved."""
        return self.action == "delete" or (self.action == "update" and self.act is Act.CLEAN_UP)

    @property
    def tops(self) -> frozenset[str]:
        """The properties that it changes."""
        return frozenset(change.top for change in self.changes)

    def detail(self, of: type[_D]) -> _D:
        """What is special about it; where nothing is, a value of that class that says so."""
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
    """Those of the warnings that are about entries which look renamed."""
    kept: tuple[str, ...] = ()
    """Notes that need no step: what is no longer managed, what belongs to others."""
    ids: Mapping[Address, str] = field(default_factory=dict)
    """The physical ids of the resources that stay."""
    live: tuple[Observed, ...] = ()
    """What there is: the stack's resources, and strangers inside of them."""
    desired: Mapping[Address, Desired] = field(default_factory=dict)
    """What the spec wants."""
    says_applied: bool = True
    """Whether what is created may say that the whole spec is applied."""
    names: Mapping[str, Address] = field(default_factory=dict)
    """Addresses by physical id, for the reader."""
    secret_headers: Headers = None
    """The headers whose values aren't shown (`model.secrets`)."""
    total: int = 0
    """How many resources the stack has."""
    seconds: int = 0
    """How long is waited at least and in all (health checks, draining, settling), by the spec's own numbers."""
    takes: tuple[int, int] = (0, 0)
    """How long it usually takes in all, in seconds, from and to: that, and what AWS takes."""

    @property
    def applied(self) -> dict[str, str]:
        """What the tags are to say of the spec that was applied."""
        return applied_tags(self.desired) if self.says_applied else {}

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.steps

    def count(self) -> dict[str, int]:
        """Resources by what becomes of them (`model.counting`)."""
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
