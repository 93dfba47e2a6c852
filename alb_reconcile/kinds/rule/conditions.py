"""Translates the conditions and transforms of rules: from a spec, to ELBv2's parameters, and back from what ELBv2 describes."""

import json
from collections.abc import Iterable, Mapping
from ipaddress import ip_network
from typing import Any, Final, TypeVar

from alb_reconcile.kinds.base import Entry, Named
from alb_reconcile.kinds.listener.actions import from_words, in_words
from alb_reconcile.model.requests.conditions import FIELDS, TRANSFORMS, Condition, Transform

_KNOWN: Final = frozenset({"Values", "RegexValues", "HttpHeaderName"})

_S = TypeVar("_S", Condition, Transform)


# -- conditions


def read_conditions(entries: Iterable[Entry]) -> tuple[Condition, ...]:
    """The conditions that an entry of a spec describes, in a canonical order."""
    return tuple(sorted(_read(field, given) for item in entries for field, given in item.items()))


def _read(field: str, given: Any) -> Condition:
    if field == "query_string":
        items = given if isinstance(given, list) else [given]
        return Condition(field, pairs=tuple(sorted((item.get("key", ""), item["value"]) for item in items)))
    entry = given if isinstance(given, dict) else {"values": given}
    values = _listed(entry.get("values", ()))
    if field == "source_ip":
        values = tuple(sorted(map(_network, values)))
    # AWS ignores the case of header names
    return Condition(field, values, _listed(entry.get("regex_values", ())), entry.get("http_header_name", "").lower())


def _listed(values: str | Iterable[str]) -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else tuple(sorted(values))


def _network(text: str) -> str:
    """A range of addresses in its canonical form; AWS may write IPv6 in another form."""
    try:
        return str(ip_network(text, strict=False))
    except ValueError:
        return text


def conditions_to_aws(conditions: Iterable[Condition]) -> list[dict[str, Any]]:
    """Conditions as CreateRule and ModifyRule take them."""
    return [_condition_to_aws(item) for item in conditions]


def _condition_to_aws(item: Condition) -> dict[str, Any]:
    if item.unsupported:
        kind, rest = from_words(item.unsupported)
        return {"Field": kind, **rest}
    field, key = FIELDS[item.field]
    config: dict[str, Any] = {"HttpHeaderName": item.name} if item.name else {}
    if item.pairs:
        config["Values"] = [{**({"Key": name} if name else {}), "Value": value} for name, value in item.pairs]
    if item.values:
        config["Values"] = list(item.values)
    if item.regex_values:
        config["RegexValues"] = list(item.regex_values)
    return {"Field": field, key: config}


def conditions_from_aws(items: Iterable[Mapping[str, Any]]) -> tuple[Condition, ...]:
    """A rule's conditions in a canonical order, also conditions that no spec can say."""
    return tuple(sorted(map(_condition_from_aws, items)))


def _condition_from_aws(item: Mapping[str, Any]) -> Condition:
    for name, (field, key) in FIELDS.items():
        if item["Field"] != field:
            continue
        config = item.get(key) or {}
        values = config.get("Values") or item.get("Values") or ()
        regex = tuple(sorted(config.get("RegexValues") or item.get("RegexValues") or ()))
        known = {"Field", "Values", "RegexValues", key}
        if any(value for part in item.keys() - known if (value := item[part])) or config.keys() - _KNOWN:
            break
        if name == "query_string":
            return Condition(name, pairs=tuple(sorted((pair.get("Key") or "", pair["Value"]) for pair in values)))
        if not values and not regex:
            break
        texts = map(_network, values) if name == "source_ip" else values
        return Condition(name, tuple(sorted(texts)), regex, config.get("HttpHeaderName", "").lower())
    kind, _, rest = in_words(item).partition(" ")
    return Condition(kind, (rest,))


# -- transforms


def read_transforms(entries: Iterable[Entry] | None) -> tuple[Transform, ...] | None:
    """The transforms that an entry of a spec describes; None where the entry says nothing of transforms."""
    if entries is None:
        return None
    return tuple(
        sorted(Transform(kind, given["regex"], given["replace"]) for item in entries for kind, given in item.items())
    )


def transforms_to_aws(transforms: Iterable[Transform]) -> list[dict[str, Any]]:
    """Transforms as CreateRule and ModifyRule take them."""
    return [_transform_to_aws(item) for item in transforms]


def _transform_to_aws(item: Transform) -> dict[str, Any]:
    if item.unsupported:
        kind, rest = from_words(item.unsupported)
        return {"Type": kind, **rest}
    kind, key = TRANSFORMS[item.type]
    return {"Type": kind, key: {"Rewrites": [{"Regex": item.regex, "Replace": item.replacement}]}}


def transforms_from_aws(items: Iterable[Mapping[str, Any]]) -> tuple[Transform, ...]:
    """A rule's transforms, also transforms that no spec can say."""
    return tuple(sorted(map(_transform_from_aws, items)))


def _transform_from_aws(item: Mapping[str, Any]) -> Transform:
    for name, (kind, key) in TRANSFORMS.items():
        config = item.get(key) or {}
        rewrites: list[dict[str, str]] = config.get("Rewrites") or []
        is_plain = len(rewrites) == 1 and rewrites[0].keys() == {"Regex", "Replace"} and config.keys() == {"Rewrites"}
        if item["Type"] == kind and is_plain:
            return Transform(name, rewrites[0]["Regex"], rewrites[0]["Replace"])
    kind, _, rest = in_words(item).partition(" ")
    return Transform(kind, json.dumps(json.loads(rest), sort_keys=True))


# -- back to a spec


def write_conditions(conditions: Iterable[Condition], named: Named) -> list[Entry]:
    """The inverse of `read_conditions`. Conditions that no spec can say become remarks."""
    return [{item.field: _write(item)} for item in _sayable(conditions, "a condition", named)]


def _write(item: Condition) -> Any:
    if item.field == "query_string":
        return [{**({"key": key} if key else {}), "value": value} for key, value in item.pairs]
    entry: Entry = {"http_header_name": item.name} if item.name else {}
    entry |= {"values": list(item.values)} if item.values else {}
    entry |= {"regex_values": list(item.regex_values)} if item.regex_values else {}
    return entry if item.name or item.regex_values else _one_or_many(item.values)


def _one_or_many(values: tuple[str, ...]) -> str | list[str]:
    return values[0] if len(values) == 1 else list(values)


def write_transforms(transforms: Iterable[Transform], named: Named) -> list[Entry]:
    """The inverse of `read_transforms`. Transforms that no spec can say become remarks."""
    return [
        {item.type: {"regex": item.regex, "replace": item.replacement}}
        for item in _sayable(transforms, "a transform", named)
    ]


def _sayable(items: Iterable[_S], what: str, named: Named) -> list[_S]:
    found = list(items)
    for item in found:
        if item.unsupported:
            named.remark(f"no spec can say {what} of it, which stays as it is: {item.unsupported}")
    return [item for item in found if not item.unsupported]
