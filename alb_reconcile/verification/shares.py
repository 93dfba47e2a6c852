"""Calculates which share of the requests each target should get, and whether what the target got is within chance."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from alb_reconcile.model.actions import Forward

ENOUGH: Final = 30
"""Requests below which a share says nothing."""


@dataclass(frozen=True)
class AnsweringTarget:
    """A registered target: `health` and `reason` as in DescribeTargetHealth, `name` as in the stack."""

    id: str
    port: int
    health: str
    reason: str = ""
    name: str = ""

    @property
    def label(self) -> str:
        """The target's name for a person."""
        return self.name or f"{self.id}:{self.port}"


@dataclass(frozen=True)
class Group:
    """A target group's targets. `uneven` is why the load balancer needn't share equally among them, or nothing; `absent` are the spec's
    targets that aren't registered."""

    arn: str
    name: str
    targets: tuple[AnsweringTarget, ...] = ()
    uneven: str = ""
    absent: tuple[str, ...] = ()

    @property
    def serving(self) -> tuple[AnsweringTarget, ...]:
        """The targets that get requests: the healthy ones; without any, all that aren't leaving (the ALB fails open)."""
        healthy = tuple(item for item in self.targets if item.health == "healthy")
        return healthy or tuple(item for item in self.targets if item.health not in ("draining", "unused"))

    @property
    def fails_open(self) -> bool:
        """Whether targets get requests though none of them is healthy."""
        return bool(self.serving) and all(item.health != "healthy" for item in self.targets)


def uneven(attributes: Mapping[str, str]) -> str:
    """Why a target group with these attributes needn't share equally among its targets, or nothing.

    See AWS's "Edit target group attributes".
    """
    algorithm = attributes.get("load_balancing.algorithm.type", "round_robin")
    if algorithm == "least_outstanding_requests":
        return "least_outstanding_requests doesn't share equally"
    if attributes.get("load_balancing.algorithm.anomaly_mitigation", "off") == "on":
        return "anomaly mitigation doesn't share equally"
    if attributes.get("slow_start.duration_seconds", "0") != "0":
        return "new targets get less during slow start"
    if attributes.get("load_balancing.cross_zone.enabled") == "false":
        return "without cross-zone balancing each zone shares for itself"
    return ""


def expected_shares(forward: Sequence[Forward], groups: Mapping[str, Group]) -> dict[str, float]:
    """The share (0 to 1) by target id of what targets answer: by weight among groups, then equally in each group.

    Groups without serving targets aren't counted: the ALB answers their requests itself, with 503. A target in several groups, or on
    several ports, gets the sum.
    """
    served = [(item.weight, groups[str(item.target_group)].serving) for item in forward]
    total = sum(weight for weight, serving in served if serving)
    shares: dict[str, float] = {}
    for weight, serving in served:
        for target in serving:
            part = weight / total / len(serving) if total else 0.0
            shares[target.id] = shares.get(target.id, 0.0) + part
    return shares


def is_within(count: int, requests: int, share: float, sigmas: float) -> bool:
    """Whether `count` of `requests` is no further from `share` than chance goes.

    By the exact binomial distribution: each tail is allowed what a normal one has beyond `sigmas` standard
    deviations. A load balancer that takes turns stays far inside.
    """
    below = binomial_tail(count, requests, share)
    above = binomial_tail(requests - count, requests, 1 - share)
    return min(below, above) >= _allowed(sigmas)


def judge_share(fewest: int, most: int, requests: int, share: float, sigmas: float) -> bool | None:
    """Whether a count of `fewest` to `most` is within chance (`is_within`); None where that depends on the exact count."""
    allowed = _allowed(sigmas)
    if (
        binomial_tail(most, requests, share) < allowed
        or binomial_tail(requests - fewest, requests, 1 - share) < allowed
    ):
        return False
    return True if all(is_within(count, requests, share, sigmas) for count in (fewest, most)) else None


def _allowed(sigmas: float) -> float:
    return math.erfc(sigmas / math.sqrt(2)) / 2


def binomial_tail(count: int, requests: int, share: float) -> float:
    """The probability of `count` or less of `requests`, each with the probability `share`."""
    if count >= requests or share <= 0:
        return 1.0
    if count < 0 or share >= 1:
        return 0.0
    rate, other, everything = math.log(share), math.log1p(-share), math.lgamma(requests + 1)
    # from the largest term down, until nothing is added any more
    total, most = 0.0, min(count, int(share * (requests + 1)))
    for steps in (range(most, -1, -1), range(most + 1, count + 1)):
        for number in steps:
            ways = everything - math.lgamma(number + 1) - math.lgamma(requests - number + 1)
            term = math.exp(ways + number * rate + (requests - number) * other)
            total += term
            if term < total * 1e-17:
                break
    return min(total, 1.0)


def read_targets(
    health: Mapping[str, Mapping[str, Any]], names: Mapping[str, str], ids: Mapping[str, str]
) -> tuple[AnsweringTarget, ...]:
    """The targets in DescribeTargetHealth, by `target:port`, with the stack's names by target id.

    `ids` are ids of instances that are registered by their addresses, by `target:port` as well.
    """
    targets = []
    for key, item in health.items():
        target, _, port = (key, "", "") if key.startswith("arn:") else key.rpartition(":")
        target = ids.get(key, target)
        reason = " ".join(filter(None, (item.get("Reason"), item.get("Description"))))
        number = int(port) if port.isdigit() else 0
        targets.append(AnsweringTarget(target, number, str(item["State"]), reason, names.get(target, "")))
    return tuple(sorted(targets, key=lambda item: (item.name, item.id, item.port)))
