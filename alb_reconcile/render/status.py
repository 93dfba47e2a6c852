"""A stack as it is: its resources, the health of its targets, its address."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from alb_reconcile.kinds.listener import Listener
from alb_reconcile.render.plan import short_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alb_reconcile.discover import Discovery
    from alb_reconcile.kind import Observed
    from alb_reconcile.render.style import Style
    from alb_reconcile.values import Address


def urls(discovery: Discovery) -> list[str]:
    """Where the stack's listeners answer."""
    hosts = {
        item.id: item.facts["dns_name"]
        for item in discovery.resources
        if item.address.kind == "load_balancer"
    }
    found = []
    for item in discovery.resources:
        if isinstance(item.state, Listener) and item.state.load_balancer in hosts:
            scheme, port = item.state.protocol.lower(), item.state.port
            default = {"http": 80, "https": 443}[scheme]
            found.append(
                f"{scheme}://{hosts[str(item.state.load_balancer)]}{'' if port == default else f':{port}'}/"
            )
    return sorted(found)


def _visible(discovery: Discovery) -> list[Observed]:
    shown = [item for item in discovery.resources if not item.is_gone]
    return sorted(shown, key=lambda item: (item.address.kind, item.address.name, item.id))


def status_json(stack: str, region: str, discovery: Discovery) -> str:
    """The documented form."""
    resources: list[dict[str, Any]] = []
    for item in _visible(discovery):
        entry = {"address": str(item.address), "id": item.id, "status": item.status or "present"}
        if item.facts.get("reason"):
            entry["reason"] = item.facts["reason"]
        resources.append(entry)
    return json.dumps(
        {
            "version": 1,
            "stack": stack,
            "region": region,
            "account": discovery.account,
            "resources": resources,
            "urls": urls(discovery),
        },
        indent=2,
    )


def status_text(stack: str, region: str, discovery: Discovery, style: Style) -> str:
    """The same to read."""
    return "\n".join(_lines(stack, region, discovery, style))


def _lines(stack: str, region: str, discovery: Discovery, style: Style) -> Iterator[str]:
    yield style.paint(f"{stack} · {region} · account {discovery.account}", "bold")
    yield ""
    shown = _visible(discovery)
    if not shown:
        yield "Nothing here belongs to this stack."
        return
    width = max(len(_label(item.address)) for item in shown)
    broad = max(len(item.status or "present") for item in shown)
    for item in shown:
        status = item.status or "present"
        color = (
            "green"
            if status in ("healthy", "running", "active", "available", "attached", "present")
            else "yellow"
        )
        reason = " ".join(filter(None, (item.facts.get("reason"), item.facts.get("description"))))
        yield (
            f"  {_label(item.address):<{width}}  {style.paint(f'{status:<{broad}}', color)}  {style.paint(_id(item), 'dim')}"
            + (f"  {reason}" if reason else "")
        ).rstrip()
    found = urls(discovery)
    if found:
        yield ""
        yield from found


def _label(address: Address) -> str:
    return str(address)


def _id(item: Observed) -> str:
    return "" if item.address.kind == "registration" else short_id(item.id)
