"""Weighs the evidence that a resource of the account is the one that an entry of a spec describes: its name and its settings."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from alb_reconcile.model.address import Address
from alb_reconcile.model.resource import Desired, Observed, bind

_T = TypeVar("_T")


@dataclass(frozen=True)
class Candidate:
    """A resource of the account, as its kind reads it."""

    found: Observed
    owner: str = ""
    """The stack in its tag; empty without such a tag."""
    vpc: str = ""
    builtin: str = ""
    """Why the candidate is never matched unless the user names it; empty if it may be matched."""

    @property
    def place(self) -> str:
        """The id of the VPC or the parent that the candidate is in; empty for a VPC."""
        state = self.found.state
        return str(getattr(state, state.parent)) if state.parent else self.vpc


@dataclass(frozen=True)
class Evidence:
    """The evidence for a candidate. Of several candidates, those with the lowest rank count. A name alone and a shape alone have the same
    rank, so that neither is preferred without asking the user."""

    rank: int
    words: str
    named: bool = False
    """Whether a name, or a value that only one resource can have, is in the evidence: then another stack's candidate isn't passed over."""


@dataclass
class Known:
    """What is known while resources are matched, one kind after the other."""

    desired: Mapping[Address, Desired]
    stack: str
    ids: dict[Address, str] = field(default_factory=dict)
    """The ids of resources that are the stack's already, and of those that were matched so far."""
    images: Mapping[str, str] = field(default_factory=dict)
    """AMI ids by `resolve:ssm:…`."""
    subnet_vpcs: Mapping[str, str] = field(default_factory=dict)
    found: Mapping[str, Sequence[Candidate]] = field(default_factory=dict)
    """The candidates by kind; empty while VPCs are matched."""
    _bound: dict[Address, tuple[int, Any]] = field(default_factory=dict)
    """Bound properties by address, each with the number of ids that were known then. Ids are only added, so the number shows a change."""
    _derived: dict[object, Any] = field(default_factory=dict)

    def learn(self, found: Mapping[str, Sequence[Candidate]]) -> None:
        """Replace the candidates, and forget what was derived from the earlier ones."""
        self.found = found
        self._derived.clear()

    def once(self, derive: "Callable[[Known], _T]") -> _T:
        """The result of a function of this object; the function is called once until `learn` is called."""
        if derive not in self._derived:
            self._derived[derive] = derive(self)
        return cast("_T", self._derived[derive])

    def wanted(self, kind: str) -> list[Desired]:
        """The spec's resources of a kind."""
        return [item for item in self.desired.values() if item.address.kind == kind]

    def there(self, kind: str) -> list[Any]:
        """The properties of all candidates of a kind."""
        return [item.found.state for item in self.found.get(kind, ())]

    def bound(self, desired: Desired) -> Any:
        """The desired properties with the ids that are known by now."""
        known, found = self._bound.get(desired.address, (-1, None))
        if known != len(self.ids):
            found = bind(desired.state, self.ids)
            self._bound[desired.address] = len(self.ids), found
        return found

    def place_of(self, desired: Desired) -> str | None:
        """The id of the VPC, or of the parent, that the resource must be in: None while that isn't known, empty for a resource in none."""
        state = self.bound(desired)
        if state.parent:
            place = getattr(state, state.parent)
        elif isinstance(subnet := getattr(state, "subnet", None), str) and subnet in self.subnet_vpcs:
            place = self.subnet_vpcs[subnet]
        elif hasattr(state, "vpc"):
            place = "" if state.vpc is None else state.vpc
        elif hasattr(state, "subnets"):
            vpcs = {self.subnet_vpcs.get(item) for item in state.subnets if isinstance(item, str)} - {None}
            place = vpcs.pop() if len(vpcs) == 1 else None
        else:
            place = ""
        return place if isinstance(place, str) else None


def name_in_common(desired: Desired, item: Candidate) -> str:
    """The name of a candidate that the spec wants, in words: its name in AWS, or its Name tag; empty if no name fits."""
    explicit, physical = getattr(desired.state, "name", None), getattr(item.found.state, "name", None)
    if explicit:
        return f"its name {explicit}" if explicit.lower() == str(physical).lower() else ""
    wanted = desired.tags["Name"]
    if item.found.tags.get("Name") == wanted:
        return f"its Name tag {wanted}"
    if physical and (physical == wanted or re.fullmatch(re.escape(wanted) + "-[0-9a-f]{8}", physical)):
        return f"its name {physical}"
    return ""


def by_name_and_shape(name: str, shape: str) -> Evidence | None:
    """Evidence for a kind of which the shape alone, such as an address range or an attachment, is telling. Both are words, or empty."""
    if name and shape:
        return Evidence(0, f"{name} and {shape}", named=True)
    return Evidence(1, name or shape, named=bool(name)) if name or shape else None


def by_settings(desired: Desired, item: Candidate, known: Known) -> Evidence | None:
    """Evidence by the candidate's name, and by the properties that AWS can't change."""
    wanted = known.bound(desired)
    immutable = sorted(desired.state.replaced_on - {"vpc", "name", desired.state.parent})
    pairs = [(getattr(wanted, field), getattr(item.found.state, field)) for field in immutable]
    said = [field for field, (want, _) in zip(immutable, pairs, strict=True) if want not in (None, "")]
    alike = bool(said) and all(want in (None, have) for want, have in pairs)
    return by_name_and_shape(name_in_common(desired, item), f"its {' and '.join(said)}" if alike else "")
