"""Checks listeners of a spec: their ports, certificates and actions."""

from alb_reconcile.kinds.base import Around, Entry
from alb_reconcile.kinds.certificate.serving import misnamed
from alb_reconcile.kinds.listener.actions import actions_in, is_sticky
from alb_reconcile.model.nodes import Path

_MOST = 25
"""AWS's quota of certificates of a load balancer, without default certificates."""


def check_entries(around: Around) -> None:
    """Report listeners that AWS would refuse, and actions that can't work."""
    for path, listener in around.all_of("listener"):
        _check_certificates(around, path, listener)
        _check_hosts(around, path, listener)
    check_unique(around, "listener", "port", "port")
    listeners = dict(around.all_of("listener"))
    for path, action in around.kept(actions_in):
        _check_action(around, path, action, listeners[path[:4]])


def check_unique(around: Around, kind: str, key: str, what: str) -> None:
    """Report a number that another entry of the kind in the same place has, too."""
    seen: dict[tuple[Path, int], str | int] = {}
    for path, entry in around.all_of(kind):
        number = entry.get(key)
        if number is not None and (first := seen.setdefault((path[:-1], number), path[-1])) != path[-1]:
            around.error((*path, key), f"the {kind} {first} already has {key} {number}; choose another {what}")


def _check_certificates(around: Around, path: Path, listener: Entry) -> None:
    for index, arn in enumerate(listener.get("certificates") or ()):
        if arn is not None and arn == listener.get("certificate_arn"):
            text = "is the listener's certificate_arn, so it is used anyway; remove it here"
            around.error((*path, "certificates", index), text)
    given = listener.get("certificates")
    if given is None or listener.get("protocol") != "HTTPS":
        return
    place = (*path, "certificates")
    if "certificate_arn" in around.given(path):
        if len(given) > _MOST:
            text = f"has {len(given)} entries beside certificate_arn; AWS takes {_MOST} for a load balancer"
            around.error(place, text)
    elif not given:
        around.error(place, "is empty, and HTTPS needs a certificate; name one, or give certificate_arn")


def _check_hosts(around: Around, path: Path, listener: Entry) -> None:
    """Check rules' hosts against the stack's requested certificates; a plan asks ACM for the names of other certificates."""
    wanted = [*filter(None, [listener.get("certificate_arn")]), *(listener.get("certificates") or ())]
    own, given = around.entries("certificates"), (*path, "rules", ..., "conditions", ..., "host_header")
    entries = [own.get(ref, {}) if isinstance(ref, str) else {} for ref in wanted]
    if wanted and all("domain_name" in entry for entry in entries):
        names = {name for item in entries for name in (item["domain_name"], *item.get("subject_alternative_names", ()))}
        hosts = {host for _, host in (*around.texts(*given), *around.texts(*given, ...))}
        if text := misnamed(len(wanted), names, hosts):
            around.warn((*path, "certificate_arn" if "certificate_arn" in listener else "certificates"), text)


def _check_action(around: Around, path: Path, action: Entry, listener: Entry) -> None:
    forward = action.get("forward")
    if isinstance(forward, dict):
        names = [item.get("target_group") for item in forward.get("target_groups") or () if isinstance(item, dict)]
        for index, name in enumerate(names):
            if name is not None and name in names[:index]:
                text = f"{name} is given twice; add up the weights in one"
                around.error((*path, "forward", "target_groups", index), text)
        groups = around.entries("target_groups")
        sticky = [name for name in names if name in groups and is_sticky(groups[name])]
        if len(names) > 1 and sticky and not (forward.get("stickiness") or {}).get("enabled"):
            around.warn(
                (*path, "forward"),
                f"{sticky[0]} is sticky, so AWS keeps a client on one of these groups, too, and apply asks for the shortest time, 1 s; "
                "say stickiness to choose another time",
            )
    redirect = action.get("redirect")
    if isinstance(redirect, dict):
        same = {**listener, "host": "#{host}", "path": "/#{path}"}
        given = around.given((*path, "redirect")).keys() & {"protocol", "port", "host", "path"}
        if all(key in redirect and str(redirect[key]) in (str(same.get(key)), f"#{{{key}}}") for key in given):
            text = "redirects the client to where it already is, in a loop; change protocol, port, host or path"
            around.error((*path, "redirect"), text)
