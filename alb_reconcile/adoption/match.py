"""Matches entries of a spec to the resources of the account that they describe. Asks AWS nothing, and never guesses."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.identifiers import is_id_of
from alb_reconcile.kinds.recognition import Candidate, Evidence, Known
from alb_reconcile.model.address import Address
from alb_reconcile.model.resource import Desired, Observed
from alb_reconcile.model.text import number_of

NEW: Final = "new"
"""The word in the place of an id with which an entry is left to `apply`, whatever looks like it."""
_INTERCHANGEABLE: Final = 2
"""The rank of evidence from which on nothing distinguishes the members of an instance group from each other, nor has to."""


@dataclass(frozen=True)
class Match:
    """An entry of the spec and the resource that it describes."""

    address: Address
    found: Candidate
    how: str
    """The evidence by which the resource was recognised, in words."""


@dataclass
class Matcher:
    """Matches one kind after the other. `given` holds the user's own choices, by address."""

    stack: str
    known: Known
    given: Mapping[Address, str]
    place: str = ""
    """The region and the account, in words."""
    matches: dict[Address, Match] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    ambiguous: list[Address] = field(default_factory=list)
    """The addresses of the problems that an id would solve."""
    settled: set[Address] = field(default_factory=set)
    """The addresses for which no resource is looked for any more: matched, ambiguous, or said to be new."""

    def match(self, kind: str, candidates: Sequence[Candidate]) -> None:
        """Match the entries of a kind for which the stack has no resource."""
        entries = [
            desired
            for address, desired in self.known.desired.items()
            if address.kind == kind and address not in self.known.ids
        ]
        free = {item.found.id: item for item in candidates if not item.owner}
        for desired in entries:
            if self.given.get(desired.address) == NEW:
                self.settled.add(desired.address)
            elif desired.address in self.given:
                self._take_given(desired, candidates)
        free = {key: item for key, item in free.items() if not item.builtin}
        for rank in range(4):
            self._match_rank(rank, entries, free)
        for desired in entries:
            self._refuse_foreign(desired, candidates)

    def _weigh(self, desired: Desired, item: Candidate) -> Evidence | None:
        """What speaks for a candidate; None if nothing does, or if it is in another place."""
        kind = load_kinds()[desired.address.kind]
        is_in_place = kind.is_in_place(desired, item, self.known)
        return kind.evidence(desired, item, self.known) if is_in_place else None

    def _take(self, desired: Desired, item: Candidate, how: str) -> None:
        self.matches[desired.address] = Match(desired.address, item, how)
        self.known.ids[desired.address] = item.found.id
        self.settled.add(desired.address)

    def _take_given(self, desired: Desired, candidates: Sequence[Candidate]) -> None:
        self.settled.add(desired.address)
        physical_id = self.given[desired.address]
        item = next((item for item in candidates if item.found.id == physical_id), None)
        problem = self._objection(desired, item)
        if problem or item is None:
            self.problems.append(f"{desired.address}={physical_id}: {problem}")
        else:
            self._take(desired, item, "the given id" + (f"; note that it is {item.builtin}" if item.builtin else ""))

    def _objection(self, desired: Desired, item: Candidate | None) -> str:
        kind = desired.address.kind
        if item is None:
            physical_id = self.given[desired.address]
            if not is_id_of(kind, physical_id):
                return f"not a valid {kind.replace('_', ' ')} id; correct it"
            return (
                f"it doesn't exist in {self.place}, or nothing in this stack leads to it; correct the id, or the region"
            )
        if item.owner == self.stack:
            return f"it is already {item.found.address}; let the stack forget it first, or rename it with move"
        if item.owner:
            return f"it belongs to the stack {item.owner}; let that stack forget it first"
        if not load_kinds()[desired.address.kind].is_in_place(desired, item, self.known):
            place, where = self.known.place_of(desired), item.place
            if place is None:
                parent = "VPC" if not desired.state.parent else desired.state.parent.replace("_", " ")
                return f"it is in {where}, but the {parent} of the entry isn't matched; give its id too"
            return f"it is in {where}, not in {place}"
        return "" if self._weigh(desired, item) else self._anothers(item, kind)

    def _anothers(self, item: Candidate, kind: str) -> str:
        """The objection to a given id for which nothing speaks: which other entry it is probably meant for; empty if that can't be told."""
        for other in self.known.desired.values():
            if other.address.kind == kind and other.address not in self.given.keys() | self.known.ids.keys():
                evidence = self._weigh(other, item)
                if evidence and evidence.rank < _INTERCHANGEABLE:
                    return f"it is like {other.address}, by {evidence.words}; correct the id, or give that entry's, too"
        return ""

    def _match_rank(self, rank: int, entries: Iterable[Desired], free: dict[str, Candidate]) -> None:
        """Match the entries that have candidates of that rank."""
        claimed = {match.found.found.id for match in self.matches.values()}
        proposals: dict[Address, dict[str, str]] = {}
        suitors: dict[str, list[Desired]] = defaultdict(list)
        unsettled = [desired for desired in entries if desired.address not in self.settled]
        for desired in unsettled:
            options = {
                key: evidence.words
                for key, item in free.items()
                if key not in claimed and (evidence := self._weigh(desired, item)) and evidence.rank == rank
            }
            if options:
                proposals[desired.address] = options
                for key in options:
                    suitors[key].append(desired)
        for team in _teams(unsettled, rank):
            self._settle_team([desired for desired in team if desired.address in proposals], proposals, suitors, free)

    def _settle_team(
        self,
        team: list[Desired],
        proposals: Mapping[Address, Mapping[str, str]],
        suitors: Mapping[str, list[Desired]],
        free: Mapping[str, Candidate],
    ) -> None:
        """Match one entry alone, or members of an instance group with interchangeable instances."""
        if not team:
            return
        options = {key: words for desired in team for key, words in proposals[desired.address].items()}
        members = {desired.address for desired in team}
        rivals = {desired.address for key in options for desired in suitors[key]} - members
        if len(options) > len(team) or rivals:
            self._refuse(team, options, rivals)
            return
        ordered = sorted(options, key=lambda key: _first_named(free[key].found))
        for desired, key in zip(team, ordered, strict=False):
            self._take(desired, free[key], options[key])

    def _refuse(self, team: list[Desired], options: Mapping[str, str], rivals: set[Address]) -> None:
        names = ", ".join(str(desired.address) for desired in team)
        found = "; ".join(f"{key} by {words}" for key, words in sorted(options.items()))
        others = f" (which may be {', '.join(map(str, sorted(rivals)))} as well)" if rivals else ""
        choice = " ".join(f"{desired.address}=ID" for desired in team)
        self.problems.append(
            f"{names} could be {found}{others}; choose with {choice}, or {team[0].address}={NEW} to have apply create it"
        )
        self.settled.update(desired.address for desired in team)
        self.ambiguous += [*(desired.address for desired in team), *rivals]

    def _refuse_foreign(self, desired: Desired, candidates: Iterable[Candidate]) -> None:
        """Refuse an entry if a resource has the entry's own name and another stack's tags, so that it is neither taken nor ignored."""
        if desired.address in self.settled:
            return
        foreign = (item for item in candidates if item.owner not in ("", self.stack))
        weighed = [(evidence, item) for item in foreign if (evidence := self._weigh(desired, item))]
        named = sorted((pair for pair in weighed if pair[0].named), key=lambda pair: pair[0].rank)
        for evidence, item in named[:1]:
            self.problems.append(
                f"{desired.address} looks like {item.found.id} by {evidence.words}, which belongs to the stack {item.owner}; "
                f"let that stack forget it first, or give {desired.address}=ID of another one, or {desired.address}={NEW} to have apply create it"
            )
            self.settled.add(desired.address)


def _first_named(found: Observed) -> tuple[int, str, str]:
    """The sort key of resources that nothing distinguishes: the number in the Name, then the time of creation."""
    return number_of(found.tags.get("Name", "")), found.created, found.id


def _teams(entries: Iterable[Desired], rank: int) -> list[list[Desired]]:
    """The entries that are matched together."""
    teams: dict[object, list[Desired]] = defaultdict(list)
    for desired in entries:
        group = desired.lifecycle.group if rank >= _INTERCHANGEABLE else None
        teams[("group", group) if group else desired.address].append(desired)
    return list(teams.values())
