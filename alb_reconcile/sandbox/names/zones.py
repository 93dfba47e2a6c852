"""Makes hosted zones that a stack names in the local AWS, where no domain can be registered."""

import re
from collections.abc import Iterator
from typing import Any, Final

from moto.route53.models import route53_backends

from alb_reconcile.sandbox.strict.route53_rules import plain
from alb_reconcile.sandbox.strict.world import World

_ID: Final = re.compile(r"Z[A-Z0-9]{1,31}")
_PRIVATE: Final = "/private"


def make_zones(world: World, states: list[Any]) -> Iterator[str]:
    """Make a zone for each missing `zone` of the states, which is a name or an id. A zone by id is for the parent domain of a record's or
    a certificate's name."""
    backend = route53_backends[world.account]["aws"]
    for state in states:
        text = state.get("zone") if isinstance(state, dict) else None
        if not isinstance(text, str) or not text:
            continue
        is_id = _ID.fullmatch(text) is not None
        is_private = text.endswith(_PRIVATE)
        above = plain(str(state.get("name") or state.get("domain_name") or "")).removeprefix("*.")
        name = (above.partition(".")[2] if above.count(".") > 1 else above) if is_id else text.removesuffix(_PRIVATE)
        known = backend.zones.values()
        if any(
            zone.resource_id == text or (plain(zone.name), zone.private_zone) == (name, is_private) for zone in known
        ):
            continue  # a mistyped id makes no second zone of the same name
        made = backend.create_hosted_zone(f"{name}.", is_private, comment="made by the sandbox")
        if is_id:
            backend.zones[text] = backend.zones.pop(made.resource_id)
            made.resource_id = text
        yield f"hosted zone {name}" + (" (private)" if is_private else "") + f" ({made.resource_id})"
