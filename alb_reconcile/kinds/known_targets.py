"""Notes which targets a run itself registers and deregisters, since AWS's reads lag behind the run's calls."""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from alb_reconcile.model.address import Address


class Staying(NamedTuple):
    """How many other targets of a group must stay healthy while one leaves. Where a node sends requests to no other zone, one of them must
    be in that `zone`: `names` are the targets there by their ids, or by address for targets that the run makes."""

    least: int = 0
    zone: str = ""
    names: frozenset[str] = frozenset()

    def are_among(self, keys: Collection[str]) -> bool:
        """Whether enough targets are among `keys`, and one of the zone's."""
        return len(keys) >= self.least and (not self.zone or not self.names.isdisjoint(keys))

    @property
    def words(self) -> str:
        """The part of a message that says which other targets must be healthy."""
        return f"{self.least} other healthy targets" + (f", one of them in {self.zone}," if self.zone else "")


class KnownTargets:
    """The registrations that a run changes, by their ids (`_health.target_key`): an old registration is taken out, a new one is
    brought in, and then proves healthy."""

    def __init__(self) -> None:
        self.ready: dict[str, float] = {}
        """When, on AWS's clock, this run first saw a load balancer active or a registration healthy, by id."""
        self._leaving, self._resting = frozenset[str](), frozenset[str]()
        self._out, self._new, self._proven = set[str](), set[str](), set[str]()
        self.staying: dict[str, Staying] = {}
        """By the id of a registration that leaves, the other targets that must stay. One that isn't named may leave at any time."""

    def expect(self, leaving: Iterable[str], resting: Iterable[str]) -> None:
        """Note the plan's deletes: registrations `leaving` for good, and healthy ones of instances that are restarted (`resting`)."""
        self._leaving, self._resting = frozenset(leaving), frozenset(resting)

    def take_out(self, key: str) -> None:
        """Note that a target is deregistered from now on; or, by its id, that an instance is terminated."""
        self._out.add(key)

    def bring_in(self, key: str) -> None:
        """Note that a target is registered from now on."""
        self._new.add(key)

    def put_back(self, key: str) -> None:
        """Note that AWS has registered a target, even if it was taken out before."""
        self._out.discard(key)

    def prove(self, key: str) -> None:
        """Note that a target has become healthy, and has stayed healthy for as long as it must."""
        self._proven.add(key)

    def is_out(self, key: str) -> bool:
        """Whether this run has taken out a target, or the target's instance, whatever a read shows."""
        return not self._out.isdisjoint((key, key.partition("|")[2].split(":")[0]))

    def is_new(self, key: str) -> bool:
        """Whether this run has registered a target; the id may also be that of an earlier instance's registration."""
        return key in self._new

    def staying_with(self, key: str, ids: Mapping[Address, str]) -> Staying:
        """The other targets that must stay when a target leaves; targets that this run has made by their `ids`."""
        least, zone, names = self.staying.get(key, Staying())
        made = (known for address, known in ids.items() if str(address) in names and self.is_new(known))
        return Staying(least, zone, names.union(made))

    def is_going(self, key: str) -> bool:
        """Whether a target is gone at the end of this run."""
        return (key in self._leaving or key in self._out) and key not in self._new

    def proven(self, group: str) -> set[str]:
        """The targets of a group that this run has registered and that have proved healthy, by their names."""
        return {name for known, _, name in (key.partition("|") for key in self._proven) if known == group}

    def restarting(self) -> set[str]:
        """The groups with a formerly healthy target that comes back, because its instance is being restarted."""
        return {key.partition("|")[0] for key in self._out & self._resting}
