"""Takes the snapshot of the local AWS from which its traffic is made."""

import base64
import copy
from collections.abc import Iterable, Iterator
from typing import Any, Final

from cryptography import x509
from moto.wafv2.models import wafv2_backends

from alb_reconcile.model import tags
from alb_reconcile.model.text import digest
from alb_reconcile.sandbox.application import application_in
from alb_reconcile.sandbox.listening import ports_in
from alb_reconcile.sandbox.strict import StrictAws
from alb_reconcile.sandbox.strict.world import World
from alb_reconcile.sandbox.traffic.reach import find_ingress, find_mute, find_shut_out
from alb_reconcile.sandbox.traffic.snapshot import (
    HealthCheck,
    Imported,
    Instance,
    Listener,
    LoadBalancer,
    Mutual,
    Rule,
    Snapshot,
    TargetGroup,
    TargetState,
)

_DIGITS: Final = 16
"""The number of digits of the digest in an instance's `alb-reconcile:user-data` tag, which must be the same digest."""


def take_snapshot(strict: StrictAws, ports: tuple[int, ...] = (80,)) -> Snapshot:
    """The current state, of all accounts and regions, on which traffic depends.

    `ports`: the ports of instances with user data that doesn't name any. The caller holds the strict AWS's lock, and has brought every
    world to the present.
    """
    now = strict.clock()
    balancers: list[LoadBalancer] = []
    groups: dict[str, TargetGroup] = {}
    instances: list[Instance] = []
    ingress: dict[str, tuple[range, ...]] = {}
    mute: dict[str, float] = {}
    for world in _worlds():
        balancers += _balancers(world)
        groups |= {group.arn: group for group in _groups(world, now)}
        instances += _instances(world, ports)
        ingress |= find_ingress(world)
        mute |= find_mute(world)
    named = {arn for item in balancers for listener in item.listeners for arn in listener.certificates}
    certificates = {arn: names for arn in sorted(named) if (names := _names(arn))}
    imported = {arn: found for arn in sorted(named) if (found := _imported(arn))}
    return Snapshot(tuple(balancers), groups, certificates, imported, tuple(instances), ingress, mute)


def _worlds() -> Iterator[World]:
    from moto.ec2.models import ec2_backends

    for account, regions in list(ec2_backends.items()):
        for region in list(regions):
            yield World(account, region)


def _balancers(world: World) -> Iterator[LoadBalancer]:
    acls = wafv2_backends[world.account][world.region].wacls.values()
    guarded = {arn for acl in acls for arn in acl.associated_resources}
    for found in world.elb.load_balancers.values():
        if found.state == "active" and found.type == "application":
            listeners = tuple(_listener(world, listener) for listener in found.listeners.values())
            yield LoadBalancer(found.arn, found.dns_name, dict(found.attrs), listeners, found.arn in guarded)


def _listener(world: World, found: Any) -> Listener:
    others = [rule for rule in found.rules.values() if not rule.is_default]
    rules = [_rule(rule, int(rule.priority)) for rule in sorted(others, key=lambda rule: int(rule.priority))]
    default = [_rule(rule, None) for rule in found.rules.values() if rule.is_default]
    return Listener(
        found.arn,
        found.protocol,
        int(found.port),
        tuple(found.certificates),
        (*rules, *default),
        (found.ssl_policy or "") if found.protocol == "HTTPS" else "",
        {key: str(value) for key, value in found.attributes.items()},
        _mutual(world, found.arn),
    )


def _mutual(world: World, listener: str) -> Mutual | None:
    given = world.ledger.mutual.get(listener) or {}
    mode, store = given.get("Mode", "off"), world.ledger.trust_stores.get(given.get("TrustStoreArn", ""))
    if mode == "off":
        return None
    ignores = str(given.get("IgnoreClientCertificateExpiry", False)).lower() == "true"
    lists = "".join(text for _, text in sorted(store.lists.items())) if store else ""
    return Mutual(mode, store.bundle if store else "", lists, ignores)


def _rule(found: Any, priority: int | None) -> Rule:
    # Copies, since the snapshot is used while later requests change moto's objects.
    conditions = copy.deepcopy(list(found.conditions))
    actions = [copy.deepcopy(action.data) for action in found.actions]
    transforms = copy.deepcopy(list(getattr(found, "transforms", None) or []))  # which moto doesn't know
    return Rule(found.arn, priority, tuple(conditions), tuple(actions), tuple(transforms))


def _groups(world: World, now: float) -> Iterator[TargetGroup]:
    shut = set(find_shut_out(world))
    for arn, found in world.elb.target_groups.items():
        if found.protocol in ("HTTP", "HTTPS") and found.target_type in ("instance", "ip"):
            registered = world.ledger.targets.get(arn, {}).values()
            yield TargetGroup(
                arn,
                found.protocol,
                found.protocol_version or "HTTP1",
                _health_check(found),
                {key: str(value) for key, value in found.attributes.items()},
                tuple(_target(world, found, item, now, shut) for item in registered),
            )


def _target(world: World, group: Any, item: Any, now: float, shut: set[tuple[str, str, int]]) -> TargetState:
    instance = world.target_instance(group, item.id) if group.target_type == "ip" else None
    address = item.id if group.target_type == "ip" else ""
    is_open = (group.arn, item.id, item.port) not in shut
    return TargetState(instance.id if instance else item.id, item.port, item.timeline.state(now), is_open, address)


def _health_check(group: Any) -> HealthCheck:
    port, matcher = group.health_check_port, group.matcher or {}
    return HealthCheck(
        group.health_check_protocol,
        None if port in (None, "traffic-port") else int(port),
        group.health_check_path or "/",
        float(group.health_check_interval_seconds),
        float(group.health_check_timeout_seconds),
        int(group.healthy_threshold_count),
        int(group.unhealthy_threshold_count),
        str(matcher.get("HttpCode") or matcher.get("GrpcCode") or "200"),
    )


def _instances(world: World, ports: tuple[int, ...]) -> Iterator[Instance]:
    for found in world.instances():
        if found.state != "terminated":
            user_data = base64.b64decode(str(found.user_data or ""))
            held = {tag["key"]: tag["value"] for tag in found.get_tags()}
            yield Instance(
                found.id,
                found.state,
                found.placement.zone,
                found.private_ip or "",
                digest(user_data.hex(), _DIGITS) if user_data else "",
                world.ledger.boots.get(found.id, 0),
                ports_in(user_data) or ports,
                f"{held[tags.ADDRESS]} of {held[tags.STACK]}" if {tags.ADDRESS, tags.STACK} <= held.keys() else "",
                application_in(user_data),
            )


def _names(arn: str) -> tuple[str, ...]:
    """The domain names of a certificate of ACM or IAM; empty if the certificate is deleted."""
    from moto.acm.models import acm_backends
    from moto.iam.models import iam_backends

    _, partition, service, region, account, _ = arn.split(":", 5)
    if service == "iam":
        uploaded = iam_backends[account][partition].get_certificate_by_arn(arn)
        return _names_in(uploaded.cert_body) if uploaded else ()
    if service != "acm" or region not in acm_backends[account]:
        return ()
    found = acm_backends[account][region]._certificates.get(arn)
    names: Iterable[str] = (found.common_name, *found.sans) if found else ()
    return tuple(dict.fromkeys(str(name) for name in names if name))


def _imported(arn: str) -> Imported | None:
    """An imported certificate of ACM; None for any other certificate."""
    from moto.acm.models import acm_backends

    _, _, service, region, account, _ = arn.split(":", 5)
    found = acm_backends[account][region]._certificates.get(arn) if service == "acm" else None
    if found is None or found.type != "IMPORTED":
        return None
    chain = getattr(found, "strict_chain", None) or b""
    return Imported((found.cert + b"\n" + chain).decode(), found.key.decode())


def _names_in(pem: str) -> tuple[str, ...]:
    """The domain names of a certificate (PEM); empty if it can't be read."""
    try:
        extensions = x509.load_pem_x509_certificate(pem.encode()).extensions
        return tuple(
            extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
        )
    except (ValueError, x509.ExtensionNotFound):
        return ()
