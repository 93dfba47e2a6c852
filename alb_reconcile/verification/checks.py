"""Lists what is to be checked: each listener's default action and each rule of a spec, with the request that proves it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.actions import Action
from alb_reconcile.model.address import Address
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.requests.conditions import Transform
from alb_reconcile.model.resource import Desired, Observed, Properties, bind, each_of
from alb_reconcile.model.service import Balancer, Entrance, Frontend, Member, Pool, RoutingRule
from alb_reconcile.verification.matching import Request, read_conditions
from alb_reconcile.verification.promises import inserted_headers
from alb_reconcile.verification.request_search import Preferences, Rules, find_request
from alb_reconcile.verification.shares import uneven

State = Literal["send", "skipped", "unreachable", "missing"]


@dataclass(frozen=True)
class Check:
    """One listener's default action, or one rule (`address`), and what the spec wants of it, bound to ids.

    If `state` isn't send, `reason` says why there is no request. `exact_host`: whether a rule or the user names the host, so that a
    certificate has to be for it. `http2`: whether the listener is meant to speak HTTP/2. `transforms` change the request, `headers` are
    in all answers.
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
    transforms: tuple[Transform, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    is_default: bool = False
    """Whether this is a default action, which takes what no rule takes."""
    wants_certificate: bool = False
    """Whether only clients with a certificate get in."""

    @property
    def keeps_out(self) -> bool:
        """Whether only clients that have logged in, or have a token, get in."""
        return self.action.authentication is not None and self.action.authentication.keeps_out


@dataclass(frozen=True)
class Choice:
    """What the user chose where the spec leaves it open. `host` is None for the load balancer's DNS name.

    `source_address` is the address from which the load balancer sees requests come, if it is known.
    """

    host: str | None = None
    path: str = "/"
    any_method: bool = False
    source_address: str | None = None


def plan_checks(discovery: Discovery, desired: Mapping[Address, Desired], choice: Choice) -> tuple[Check, ...]:
    """The checks of a stack: listener by listener, rules in their order, the default action last."""
    there = {item.address: item for item in discovery.resources if not item.is_gone}
    listeners = sorted((item.address, state) for item, state in each_of(desired.values(), Frontend))
    return tuple(
        check for address, state in listeners for check in _listener(address, state, discovery, desired, there, choice)
    )


def _listener(
    address: Address,
    state: Frontend,
    discovery: Discovery,
    desired: Mapping[Address, Desired],
    there: Mapping[Address, Observed],
    choice: Choice,
) -> Iterator[Check]:
    wanted = bind(state, _ids(address, discovery, there))
    own = [
        (item.address, bind(rule, _ids(item.address, discovery, there)))
        for item, rule in each_of(desired.values(), RoutingRule)
        if rule.listener == address
    ]
    own.sort(key=lambda row: (row[1].priority, row[0]))
    balancer = next((item for item in there.values() if item.address == state.load_balancer), None)
    found = there.get(address)
    blocked = _blocked(address, balancer, found)
    rivals = [
        rule for _, rule in each_of(discovery.resources, RoutingRule) if found is not None and rule.listener == found.id
    ]
    rivals.sort(key=lambda rule: rule.priority)
    host = choice.host or (balancer.detail(Entrance).dns_name if balancer else "")
    preferences = Preferences(host, choice.path, choice.any_method, choice.source_address or "")
    http2 = balancer is None or _attributes(balancer.address, desired).get("routing.http2.enabled") != "false"
    rows = [(row, read_conditions(rule.conditions), rule.action, rule.transforms or ()) for row, rule in own]
    for row, conditions, action, transforms in (*rows, (address, (), wanted.default_action, ())):
        check = Check(
            row,
            found.id if found else "",
            wanted.protocol.lower(),
            wanted.port,
            action,
            http2=wanted.protocol == "HTTPS" and http2,
            transforms=transforms if action.forward else (),
            headers=inserted_headers(wanted.attributes or {}),
            is_default=row == address,
            wants_certificate=wanted.wants_certificate,
        )
        reason = blocked or _missing(row, there, action)
        if reason:
            yield replace(check, state="missing", reason=reason)
        else:
            earlier = _before(there[row].state, rivals)
            yield _with_request(check, conditions, earlier, preferences, choice.host)


def _ids(row: Address, discovery: Discovery, there: Mapping[Address, Observed]) -> dict[Address, str]:
    """The ids by address; of two groups at one address, as after a swap that failed, the group to which the listener or rule forwards
    most."""
    names = {item.id: item.address for item in discovery.resources}
    parts = sorted(action_of(there[row].state if row in there else None).forward, key=lambda part: part.weight)
    asked = [str(part.target_group) for part in parts]
    return {address: item.id for address, item in there.items()} | {names[id_]: id_ for id_ in asked if id_ in names}


def _before(state: Properties, rivals: list[RoutingRule]) -> list[Rules]:
    """The conditions of the rules before a rule; before the default action come all rules."""
    return [
        read_conditions(rule.conditions)
        for rule in rivals
        if not isinstance(state, RoutingRule) or rule.priority < state.priority
    ]


def _with_request(
    check: Check, own: Rules, earlier: list[Rules], preferences: Preferences, chosen: str | None
) -> Check:
    answer = find_request(own, earlier, preferences)
    if answer.request is None:
        return replace(check, state="unreachable" if answer.unreachable else "skipped", reason=answer.reason)
    host = answer.request.host
    named = {value.lower() for condition in own if condition.field == "host-header" for value in condition.values}
    return replace(check, request=answer.request, exact_host=host.lower() in named or host == chosen)


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


def _attributes(address: Address, desired: Mapping[Address, Desired]) -> Mapping[str, str]:
    """The attributes that the spec gives a load balancer or a target group."""
    wanted = desired.get(address)
    state = wanted.state if wanted else None
    return (state.attributes if isinstance(state, Balancer | Pool) else None) or {}


def notes_on_groups(
    discovery: Discovery, desired: Mapping[Address, Desired]
) -> dict[str, tuple[str, str, tuple[str, ...]]]:
    """By ARN of the stack's target groups: the name, why the group needn't share equally (or nothing), and the targets that aren't
    registered."""
    there = {item.address for item in discovery.resources if not item.is_gone}
    absent = sorted(str(item.address) for item, _ in each_of(desired.values(), Member) if item.address not in there)
    return {
        item.id: (
            item.address.name,
            uneven(_attributes(item.address, desired)),
            tuple(name for name in absent if name.startswith(f"registration.{item.address.name}/")),
        )
        for item, _ in each_of(discovery.resources, Pool)
    }
