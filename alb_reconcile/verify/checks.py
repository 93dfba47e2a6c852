"""What is to be checked: each listener's default action and each rule of a spec, with the request that proves it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from alb_reconcile.kinds.listener import Listener
from alb_reconcile.kinds.load_balancer import Entrance, LoadBalancer
from alb_reconcile.kinds.rule import Rule
from alb_reconcile.kinds.target_group import TargetGroup
from alb_reconcile.model.actions import Action
from alb_reconcile.model.address import Address
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.resource import Desired, Observed, Properties, bind, each_of
from alb_reconcile.verify.matching import Request, read_conditions
from alb_reconcile.verify.request_search import Preferences, Rules, find_request
from alb_reconcile.verify.shares import uneven

State = Literal["send", "skipped", "unreachable", "missing"]


@dataclass(frozen=True)
class Check:
    """One listener's default action, or one rule (`address`), and what the spec wants of it, bound to ids.

    `state` other than send: why there is no request, in `reason`. `exact_host`: whether somebody said the host, so
    that a certificate has to be for it. `http2`: whether the listener is meant to speak it.
    """

    address: Address
    listener: str
    scheme: str
    port: int
    action: Action
    state: State = "send"
    reason: str = ""
    request: Request | None = None
    exact_host: bool = False
    http2: bool = False

    @property
    def is_default(self) -> bool:
        """Whether it is what no rule takes."""
        return self.address.kind == "listener"


@dataclass(frozen=True)
class Choice:
    """What the user chose for where the spec leaves it open. `host` is None for the load balancer's DNS name."""

    host: str | None = None
    path: str = "/"
    any_method: bool = False

    def preferences(self, dns_name: str) -> Preferences:
        """For one load balancer."""
        return Preferences(self.host or dns_name, self.path, self.any_method)


def plan_checks(discovery: Discovery, desired: Mapping[Address, Desired], choice: Choice) -> tuple[Check, ...]:
    """The checks of a stack: listener by listener, rules in their order, the default action last."""
    there = {item.address: item for item in discovery.resources if not item.is_gone}
    ids = {address: item.id for address, item in there.items()}
    listeners = sorted(item.address for item, _ in each_of(desired.values(), Listener))
    return tuple(check for address in listeners for check in _listener(address, discovery, desired, there, ids, choice))


def _listener(
    address: Address,
    discovery: Discovery,
    desired: Mapping[Address, Desired],
    there: Mapping[Address, Observed],
    ids: Mapping[Address, str],
    choice: Choice,
) -> Iterator[Check]:
    wanted = bind(desired[address].state, ids)
    assert isinstance(wanted, Listener)  # noqa: S101 (for mypy: the caller picked them)
    rules = {
        item.address: bind(state, ids) for item, state in each_of(desired.values(), Rule) if state.listener == address
    }
    balancer = there.get(_balancer(desired[address].state))
    found = there.get(address)
    blocked = _blocked(address, balancer, found)
    rivals = [
        item for item, state in each_of(discovery.resources, Rule) if found is not None and state.listener == found.id
    ]
    preferences = choice.preferences(balancer.detail(Entrance).dns_name if balancer else "")
    rows: list[tuple[Address, Properties]] = sorted(rules.items(), key=lambda row: (_priority(row[1]), row[0]))
    for row, state in [*rows, (address, wanted)]:
        action = state.action if isinstance(state, Rule) else wanted.default_action
        base = Check(
            row,
            found.id if found else "",
            wanted.protocol.lower(),
            wanted.port,
            action,
            http2=wanted.protocol == "HTTPS" and _speaks_http2(balancer, desired),
        )
        reason = blocked or _missing(row, there, action)
        if reason:
            yield replace(base, state="missing", reason=reason)
        else:
            yield _with_request(base, state, there[row], rivals, preferences, choice)


def _with_request(
    base: Check, wanted: Properties, found: Observed, rivals: list[Observed], preferences: Preferences, choice: Choice
) -> Check:
    own = read_conditions(wanted.conditions) if isinstance(wanted, Rule) else ()
    limit = _priority(found.state)
    earlier: list[Rules] = [
        read_conditions(state.conditions)
        for item, state in each_of(sorted(rivals, key=lambda item: _priority(item.state)), Rule)
        if item.id != found.id and state.priority < limit
    ]
    answer = find_request(own, earlier, preferences)
    if answer.request is None:
        return replace(base, state="unreachable" if answer.unreachable else "skipped", reason=answer.reason)
    host = answer.request.host
    literal = any(
        value.lower() == host.lower()
        for condition in own
        if condition.field == "host-header"
        for value in condition.values
    )
    return replace(base, request=answer.request, exact_host=literal or host == choice.host)


def _blocked(address: Address, balancer: Observed | None, found: Observed | None) -> str:
    if balancer is None:
        return "its load balancer doesn't exist; run apply first"
    if balancer.status not in ("active", "active_impaired"):
        return f"its load balancer isn't active yet (now {balancer.status}); wait, or run apply"
    return "" if found else f"{address} doesn't exist; run apply first"


def _missing(address: Address, there: Mapping[Address, Observed], action: Action) -> str:
    if address not in there:
        return f"{address} doesn't exist; run apply first"
    absent = [str(item.target_group) for item in action.forward if isinstance(item.target_group, Address)]
    return f"{', '.join(absent)} doesn't exist; run apply first" if absent else ""


def _balancer(state: Properties) -> Address:
    assert isinstance(state, Listener)  # noqa: S101 (for mypy)
    assert isinstance(state.load_balancer, Address)  # noqa: S101 (for mypy: a spec's listener is inside of its own)
    return state.load_balancer


def _priority(state: Properties) -> int:
    """A rule's; the default action comes after all of them (AWS's highest is 50,000)."""
    return state.priority if isinstance(state, Rule) else 1_000_000


def _speaks_http2(balancer: Observed | None, desired: Mapping[Address, Desired]) -> bool:
    wanted = desired.get(balancer.address) if balancer else None
    attributes = wanted.state.attributes if wanted and isinstance(wanted.state, LoadBalancer) else None
    return (attributes or {}).get("routing.http2.enabled") != "false"


def names_of_targets(discovery: Discovery) -> dict[str, str]:
    """The stack's names of instances, by id."""
    return {item.id: item.address.name for item in discovery.resources if item.address.kind == "instance"}


def notes_on_groups(discovery: Discovery, desired: Mapping[Address, Desired]) -> dict[str, tuple[str, str]]:
    """By ARN of the stack's target groups: the name, and why it needn't share equally (or nothing)."""
    notes = {}
    for item, _ in each_of(discovery.resources, TargetGroup):
        wanted = desired.get(item.address)
        attributes = getattr(wanted.state, "attributes", None) if wanted else None
        notes[item.id] = (item.address.name, uneven(attributes or {}))
    return notes
