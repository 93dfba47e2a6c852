"""Translates the actions of listeners and rules: from a spec, to ELBv2's parameters, and back from what ELBv2 describes."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.transport import Response
from alb_reconcile.kinds.base import Around, Entry, Named
from alb_reconcile.kinds.identifiers import refer
from alb_reconcile.model.actions import SHORTEST, Action, Authentication, Forward, Secret, canonical
from alb_reconcile.model.address import Ref
from alb_reconcile.model.errors import AwsError
from alb_reconcile.model.nodes import Path
from alb_reconcile.model.text import camel, snake

_ROUTING: Final = {
    "forward": ("ForwardConfig", "TargetGroups", "TargetGroupStickinessConfig"),
    "redirect": ("RedirectConfig", "Protocol", "Port", "Host", "Path", "Query", "StatusCode"),
    "fixed-response": ("FixedResponseConfig", "StatusCode", "ContentType", "MessageBody"),
}
"""The types of action that end a rule: the key of their settings, and the settings that a spec can say."""
_ASKED: Final = (
    "SessionCookieName",
    "Scope",
    "SessionTimeout",
    "AuthenticationRequestExtraParams",
    "OnUnauthenticatedRequest",
)
_AUTHENTICATING: Final = {
    "authenticate-oidc": (
        "AuthenticateOidcConfig", "Issuer", "AuthorizationEndpoint", "TokenEndpoint", "UserInfoEndpoint", "ClientId", *_ASKED,
    ),
    "authenticate-cognito": (
        "AuthenticateCognitoConfig", "UserPoolArn", "UserPoolClientId", "UserPoolDomain", *_ASKED,
    ),
    "jwt-validation": ("JwtValidationConfig", "JwksEndpoint", "Issuer", "AdditionalClaims"),
}  # fmt: skip
"""The same for the types of authentication, which come before; a rule has one at most (ELBv2, Action)."""
_UNSEEN: Final = ("ClientSecret", "UseExistingClientSecret")
_LEFT_OUT: Final = {
    "session_cookie_name": "AWSELBAuthSessionCookie",
    "scope": "openid",
    "session_timeout": "604800",
    "on_unauthenticated_request": "authenticate",
    "authentication_request_extra_params": "{}",
    "additional_claims": "[]",
}
"""What AWS fills in for the settings of an authentication that were left out (ELBv2, AuthenticateOidcActionConfig)."""


def in_words(item: Mapping[str, Any]) -> str:
    """The words for an action, condition or transform that no spec can say: its type, and AWS's whole description."""
    rest = {key: value for key, value in item.items() if key not in ("Type", "Field", "Order") and value is not None}
    return f"{item.get('Type') or item.get('Field')} {json.dumps(rest, sort_keys=True)}"


def from_words(words: str) -> tuple[str, dict[str, Any]]:
    """The type and the description in the words of `in_words`."""
    kind, _, rest = words.partition(" ")
    return kind, json.loads(rest)


# -- to AWS


def actions_to_aws(action: Action, secret: str | None = None, *, existing_secret: bool = False) -> list[dict[str, Any]]:
    """The actions as CreateListener, ModifyListener, CreateRule and ModifyRule take them. `secret` is the client secret of an
    authenticate-oidc action; with `existing_secret` AWS's present secret stays."""
    found = [_routing_to_aws(action)]
    if action.authentication:
        found.insert(0, _authentication_to_aws(action.authentication, secret, existing=existing_secret))
    for words in action.unsupported:
        kind, rest = from_words(words)
        known = next((item for item in found if item["Type"] == kind), None)
        if known:
            known[{**_ROUTING, **_AUTHENTICATING}[kind][0]] |= rest
        else:
            found.insert(-1, {"Type": kind, **rest})
    if len(found) > 1:  # "This value is required for rules with multiple actions"
        found = [{**item, "Order": order} for order, item in enumerate(found, 1)]
    return found


def _routing_to_aws(action: Action) -> dict[str, Any]:
    if action.redirect:
        return {"Type": "redirect", "RedirectConfig": {camel(key): value for key, value in action.redirect}}
    if action.fixed_response:
        response = {camel(key): value for key, value in action.fixed_response}
        return {"Type": "fixed-response", "FixedResponseConfig": response}
    config: dict[str, Any] = {
        "TargetGroups": [{"TargetGroupArn": group, "Weight": weight} for group, weight in action.forward]
    }
    if action.stickiness_seconds is not None:
        config["TargetGroupStickinessConfig"] = {"Enabled": True, "DurationSeconds": action.stickiness_seconds}
    elif len(action.forward) > 1:
        config["TargetGroupStickinessConfig"] = {"Enabled": False}
    return {"Type": "forward", "ForwardConfig": config}


async def call_with_actions(aws: Aws, operation: str, **params: Any) -> Response:
    """Call CreateListener, ModifyListener, CreateRule or ModifyRule. Where a group is sticky, a forward of several groups must be, too:
    "You must enable group stickiness on a rule if you enabled target stickiness on one of its target groups"."""
    try:
        return await aws.call("elbv2", operation, **params)
    except AwsError as error:
        if not error.matches("InvalidLoadBalancerAction~group stickiness"):
            raise
    for action in (*params.get("DefaultActions", ()), *params.get("Actions", ())):
        if "ForwardConfig" in action:
            sticky = {"Enabled": True, "DurationSeconds": SHORTEST}
            action["ForwardConfig"]["TargetGroupStickinessConfig"] = sticky
    return await aws.call("elbv2", operation, **params)


def _authentication_to_aws(wanted: Authentication, secret: str | None, *, existing: bool) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for key, text in wanted.settings:
        is_data = key in ("session_timeout", "authentication_request_extra_params", "additional_claims")
        config[camel(key)] = json.loads(text) if is_data else text
    if wanted.type == "authenticate-oidc":
        config |= {"UseExistingClientSecret": True} if existing else {"ClientSecret": secret or ""}
    return {"Type": wanted.type, _AUTHENTICATING[wanted.type][0]: config}


# -- from AWS


def actions_from_aws(actions: Sequence[Mapping[str, Any]]) -> Action:
    """A listener's or rule's action, with the settings that no spec can say."""
    *before, last = sorted(actions, key=lambda item: item.get("Order", 0)) or [{}]
    further: list[Mapping[str, Any]] = []
    authentication = None
    for item in before:
        if authentication is None and item["Type"] in _AUTHENTICATING:
            authentication, rest = _authentication_from_aws(item)
            further += [{**rest, "Type": item["Type"]}] if rest else ()
        else:
            further.append(item)
    action, left = _routing_from_aws(last)
    further += [{**left, "Type": last.get("Type", "forward")}] if left is not None else ()
    return replace(action, authentication=authentication, unsupported=tuple(map(in_words, further)))


def _authentication_from_aws(item: Mapping[str, Any]) -> tuple[Authentication, dict[str, Any]]:
    key, *known = _AUTHENTICATING[item["Type"]]
    config = item.get(key) or {}
    settings = {snake(name): config[name] for name in known if config.get(name) is not None}
    rest = {name: value for name, value in config.items() if name not in (*known, *_UNSEEN)}
    return Authentication(type=item["Type"], settings=_settings(settings)), rest


def _routing_from_aws(action: Mapping[str, Any]) -> tuple[Action, dict[str, Any] | None]:
    """The action that ends the rule, and its settings that no spec can say; None where there are none."""
    kind = action.get("Type", "forward")
    if kind not in _ROUTING:
        return Action(), {name: value for name, value in action.items() if name not in ("Type", "Order")}
    key, *known = _ROUTING[kind]
    config = action.get(key) or {}
    rest = {name: value for name, value in config.items() if name not in known} or None
    if kind == "redirect":
        return Action(redirect=canonical({snake(name): config.get(name) for name in known})), rest
    if kind == "fixed-response":
        return Action(fixed_response=canonical({snake(name): config.get(name) for name in known})), rest
    groups = config.get("TargetGroups") or [{"TargetGroupArn": action.get("TargetGroupArn", "")}]
    stickiness = config.get("TargetGroupStickinessConfig") or {}
    found = Action(
        forward=_forward((item["TargetGroupArn"], item.get("Weight", 1)) for item in groups),
        stickiness_seconds=stickiness.get("DurationSeconds") if stickiness.get("Enabled") else None,
    )
    return found, rest


def _settings(given: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The settings of an authentication in a canonical form, without values that mean the same as leaving them out."""
    pairs = {key: _text(value) for key, value in given.items()}
    return tuple(sorted((key, text) for key, text in pairs.items() if _LEFT_OUT.get(key) != text))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):  # additional claims: neither the claims nor their values have an order
        value = sorted(({**item, "Values": sorted(item["Values"])} for item in value), key=lambda item: item["Name"])
    return json.dumps(value, sort_keys=True)


def _forward(parts: Iterable[tuple[Ref, int]]) -> tuple[Forward, ...]:
    """The parts of a forward in a canonical order; a single group gets all requests, whatever its weight is."""
    groups = sorted((Forward(*part) for part in parts), key=str)
    return tuple(groups) if len(groups) > 1 else tuple(group._replace(weight=1) for group in groups)


# -- from a spec


def actions_in(around: Around) -> Sequence[tuple[Path, Entry]]:
    """All actions of listeners and rules, with their paths. Ask for it as `around.kept(actions_in)`."""
    return [
        action
        for path, _ in around.all_of("listener")
        for below in (("default_action",), ("rules", ..., "action"))
        for action in around.mappings(*path, *below)
    ]


def forwards_in(around: Around) -> Sequence[tuple[str, Path, str]]:
    """Each (load balancer, path, target group) that a listener or rule forwards to. Ask for it as `around.kept(forwards_in)`."""
    return [
        (str(path[1]), path, group)
        for action, _ in around.kept(actions_in)
        for below in ((), ("target_groups", ..., "target_group"))
        for path, group in around.texts(*action, "forward", *below)
    ]


def read_action(entry: Entry, around: Around) -> Action:
    """The action that an entry of a spec describes."""
    found = _read_routing(entry, around)
    for kind in _AUTHENTICATING:
        if (given := entry.get(kind.replace("-", "_"))) is not None:
            return replace(found, authentication=_read_authentication(kind, given, around))
    return found


def _read_authentication(kind: str, entry: Entry, around: Around) -> Authentication:
    settings = {key: value for key, value in entry.items() if key != "client_secret"}
    if claims := settings.get("additional_claims"):
        settings["additional_claims"] = [{camel(key): value for key, value in item.items()} for item in claims]
    secret = None
    if given := entry.get("client_secret"):
        ((source, name),) = ((key, value) for key, value in given.items() if key not in ("version", "json_key"))
        beside = {key: given.get(key, "") for key in ("version", "json_key")}
        secret = Secret(source=source, name=name, folder=str(around.folder), **beside)
    return Authentication(type=kind, settings=_settings(settings), client_secret=secret)


def _read_routing(entry: Entry, around: Around) -> Action:
    if "redirect" in entry:
        return Action(redirect=canonical(entry["redirect"]))
    if "fixed_response" in entry:
        return Action(fixed_response=canonical(entry["fixed_response"]))
    forward = entry["forward"]
    if isinstance(forward, str):
        forward = {"target_groups": [{"target_group": forward}]}
    names = [item["target_group"] for item in forward["target_groups"]]
    groups = ((refer("target_group", item["target_group"]), item.get("weight", 1)) for item in forward["target_groups"])
    stickiness, known = forward.get("stickiness", {}), around.entries("target_groups")
    shortest = SHORTEST if len(names) > 1 and any(is_sticky(known.get(name, {})) for name in names) else None
    return Action(
        forward=_forward(groups),
        stickiness_seconds=stickiness.get("duration_seconds") if stickiness.get("enabled") else shortest,
        keeps_split=True if "weights" in forward else None,
    )


def is_sticky(group: Entry) -> bool:
    """Whether clients are to stay with a target of a group, so that AWS wants a forward of several groups to be sticky, too."""
    return str((group.get("attributes") or {}).get("stickiness.enabled")).lower() == "true"


# -- back to a spec


def write_action(action: Action, named: Named) -> Entry:
    """The inverse of `read_action`. Settings that no spec can say become remarks."""
    for words in action.unsupported:
        named.remark(f"no spec can say this of what it does, which stays as it is: {words}")
    found = _write_authentication(action.authentication, named) if action.authentication else {}
    if action.redirect:
        return {**found, "redirect": {key: _port(text) if key == "port" else text for key, text in action.redirect}}
    if action.fixed_response:
        given = dict(action.fixed_response)
        return {**found, "fixed_response": {**given, "status_code": int(given["status_code"])}}
    groups = [(named.name_of(str(group)), weight) for group, weight in action.forward]
    if len(groups) == 1 and action.stickiness_seconds is None:
        return {**found, "forward": groups[0][0]}
    forward: Entry = {"target_groups": [{"target_group": name, "weight": weight} for name, weight in groups]}
    if action.stickiness_seconds is not None:
        forward["stickiness"] = {"enabled": True, "duration_seconds": action.stickiness_seconds}
    return {**found, "forward": forward}


def _port(text: str) -> int | str:
    return int(text) if text.isdigit() else text


def _write_authentication(found: Authentication, named: Named) -> Entry:
    entry: Entry = {}
    for key, text in found.settings:
        entry[key] = text
        if key in ("session_timeout", "authentication_request_extra_params"):
            entry[key] = json.loads(text)
        elif key == "additional_claims":
            entry[key] = [{snake(name): value for name, value in item.items()} for item in json.loads(text)]
    if found.type == "authenticate-oidc":
        entry["client_secret"] = {"env": "OIDC_CLIENT_SECRET", "version": "1"}
        named.remark(
            "AWS shows no client secret: say where yours is (ssm, secretsmanager, env, file); "
            "adopt --keep-secrets takes it for the one that AWS has"
        )
    return {found.type.replace("-", "_"): entry}
