"""Notes which targets a run itself registers and deregisters, since AWS's reads lag behind the run's calls."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from alb_reconcile.model.address import Address


class Near(NamedTuple):
    """The targets of a group in a zone whose node asks no others: by their ids, and those that a run makes by their addresses. One must
    stay healthy while another one leaves. Without a zone any will do."""

    zone: str = ""
    names: frozenset[str] = frozenset()

    def have(self, keys: Iterable[str]) -> bool:
        """Whether one of them is among these."""
        return not self.zone or not self.names.isdisjoint(keys)

    @property
    def words(self) -> str:
        """Where one of several must be."""
        return f", one of them in {self.zone}," if self.zone else ""


class KnownTargets:
    """Registrations, by their ids (`_health.target_key`). In the order of their lives: an old one is taken out, a new one is
    brought in, and proves healthy."""

    def __init__(self) -> None:
        self.ready: dict[str, float] = {}
        """When, on AWS's clock, this run first saw a load balancer active or a registration healthy, by id."""
        self._leaving, self._resting = frozenset[str](), frozenset[str]()
        self._out, self._new, self._proven = set[str](), set[str](), set[str]()
        self.near: dict[str, Near] = {}
        """By the id of one that leaves, the others in its zone."""

    def expect(self, leaving: Iterable[str], resting: Iterable[str]) -> None:
        """Note what the plan deletes: what is `leaving` for good, and healthy registrations whose instances are restarted."""
        self._leaving, self._resting = frozenset(leaving), frozenset(resting)

    def take_out(self, key: str) -> None:
        """Note that one is deregistered from now on; or, by its id, that an instance is terminated."""
        self._out.add(key)

    def bring_in(self, key: str) -> None:
        """Note that one is registered from now on."""
        self._new.add(key)

    def put_back(self, key: str) -> None:
        """Note that AWS has registered it, whatever was taken out before."""
        self._out.discard(key)

    def prove(self, key: str) -> None:
        """Note that it has become healthy, and has stayed so for as long as it must."""
        self._proven.add(key)

    def is_out(self, key: str) -> bool:
        """Whether this run has taken it out, or its instance, whatever a read shows."""
        return not self._out.isdisjoint((key, key.partition("|")[2].split(":")[0]))

    def is_new(self, key: str) -> bool:
        """Whether this run has registered it: also one by address that an earlier instance with that address had."""
        return key in self._new

    def near_of(self, key: str, ids: Mapping[Address, str]) -> Near:
        """The others in the zone of one that leaves, those that this run has made by their `ids`."""
        zone, names = self.near.get(key, Near())
        return Near(
            zone, names.union(made for address, made in ids.items() if str(address) in names and self.is_new(made))
        )

    def is_going(self, key: str) -> bool:
        """Whether it is gone at the end of this run."""
        return (key in self._leaving or key in self._out) and key not in self._new

    def proven(self, group: str) -> set[str]:
        """The targets of a group that this run has registered and that have proved healthy, by their names."""
        return {name for known, _, name in (key.partition("|") for key in self._proven) if known == group}

    def restarting(self) -> set[str]:
        """The groups to which a target comes back that was healthy: its instance is being restarted."""
        return {key.partition("|")[0] for key in self._out & self._resting}
