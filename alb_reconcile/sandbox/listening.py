"""Finds the ports on which instances listen in the sandbox, which runs no user data but an `application`. Never imports moto."""

import re
from collections.abc import Mapping
from typing import Final

from alb_reconcile.kinds.instance import Instance
from alb_reconcile.kinds.registration import Registration
from alb_reconcile.kinds.target_group import TargetGroup
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.resource import Desired, each_of
from alb_reconcile.sandbox.application import application_in

_PORT: Final = re.compile(rb"""(?<![A-Za-z0-9_])PORT=["']?([0-9]{1,5})(?![A-Za-z0-9_])""")

_HOW: Final = "User data isn't run there: write PORT={} into it, or: sandbox stop, and sandbox start --serve-ports {}"


def ports_in(user_data: bytes) -> tuple[int, ...]:
    """The ports on which user data makes the web API listen: an application's own port, else the values of the variable PORT in the text,
    since other user data isn't run."""
    if application := application_in(user_data):
        return (application.port,)
    return tuple(dict.fromkeys(int(port) for port in _PORT.findall(user_data)))


def find_refused(desired: Mapping[Address, Desired], served: str) -> list[str]:
    """The ports at which target groups expect instances that don't listen there, in words. `served`: the ports, separated by commas, of
    instances with user data that doesn't name any."""
    lines, known = [], dict[Ref, Desired](desired.items())
    for _, state in each_of(desired.values(), Registration):
        group, instance = known.get(state.target_group), known.get(state.target)
        if group is None or instance is None or not isinstance(instance.creation, Instance):
            continue
        data = instance.creation.user_data
        content = data.content or b"" if data else b""
        own = ports_in(content)
        there = own or tuple(map(int, served.split(",")))
        checked = (group.creation.health_check or {}).get("port") if isinstance(group.creation, TargetGroup) else None
        wanted = {int(text) for text in (str(state.port), str(checked)) if text.isdigit()}
        if lacking := ",".join(map(str, sorted(wanted.difference(there)))):
            first = lacking.partition(",")[0]
            how = f"PORT in their user data says so: write PORT={first}" if own else _HOW.format(first, lacking)
            lines.append(
                f"{group.at('port')}: in the sandbox, instances of {instance.lifecycle.group} listen on port "
                f"{','.join(map(str, there))} and not on {lacking}, where {group.address} expects them, so its targets won't be healthy. "
                + (f"Their application says so: give it port {first}" if application_in(content) else how)
            )
    return list(dict.fromkeys(lines))
