"""Calculates slow start: how much of its share of the requests a new target gets next to older ones."""

from collections.abc import Callable, Mapping
from typing import Final

from alb_reconcile.sandbox.traffic.snapshot import TargetGroup

_STEPS: Final = 10
_ALWAYS: Final = float("-inf")


class SlowStart:
    """Remembers since when each target gets requests. `speed` divides the duration; `clock` is in real seconds, not AWS's.

    AWS ELB, 'Slow start mode': a target starts slowly only if another target has finished its slow start: so neither a group's first
    targets do, nor those that were registered before the mode was enabled. Envoy's own slow start isn't used: it would begin again for all
    targets of a group whenever one joins or leaves.
    """

    def __init__(self, speed: float, clock: Callable[[], float]) -> None:
        self._speed, self._clock = speed, clock
        self._since: dict[str, dict[int, float]] = {}
        """When each local port began to get requests, by target group."""
        self.is_under_way = False

    def weigh(
        self, groups: Mapping[str, TargetGroup], ports: Mapping[str, Mapping[int, int]]
    ) -> dict[str, dict[int, int]]:
        """The weight of each local port, by target group. `ports` has the number of targets on each."""
        before, self._since, self.is_under_way = self._since, {}, False
        return {arn: self._weigh(group, before.get(arn, {}), ports[arn]) for arn, group in groups.items()}

    def _weigh(self, group: TargetGroup, known: Mapping[int, float], ports: Mapping[int, int]) -> dict[int, int]:
        window = float(group.attributes.get("slow_start.duration_seconds") or 0) / self._speed
        now = self._clock()
        if any(known[port] + window <= now for port in ports.keys() & known.keys()) and window:
            since = {port: known.get(port, now) for port in ports}
        else:
            since = dict.fromkeys(ports, _ALWAYS)
        self._since[group.arn] = since
        starting = {port: begun for port, begun in since.items() if begun + window > now}
        if not starting:
            return dict(ports)
        self.is_under_way = True
        steps = {port: int(_STEPS * (now - begun) / window) or 1 for port, begun in starting.items()}
        return {port: count * steps.get(port, _STEPS) for port, count in ports.items()}
