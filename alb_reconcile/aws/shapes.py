"""Reads botocore's models of AWS's calls: their parameters, their lists, and the form in which each call takes tags."""

from collections.abc import Mapping
from functools import cache
from typing import Any

_NAMES_OF_TAGS = ("tags", "resourcetags")
"""What services call tags, in lower case."""


@cache
def model_of(service: str, operation: str) -> Any:
    """botocore's model of an operation. Raises ValueError, in a sentence, where the service has no operation of the name."""
    from botocore.exceptions import DataNotFoundError, UnknownServiceError
    from botocore.model import OperationNotFoundError

    from alb_reconcile.aws.models import make_session

    try:
        return make_session().get_service_model(service).operation_model(operation)
    except (DataNotFoundError, OperationNotFoundError, UnknownServiceError):
        raise ValueError(f"AWS has no operation {operation} of {service}") from None


def call_of(operation: str) -> str:
    """botocore's Python name of an operation: put_retention_policy for PutRetentionPolicy."""
    from botocore import xform_name

    return str(xform_name(operation))


def parameters(service: str, operation: str) -> Mapping[str, str]:
    """An operation's parameters, each with its type: string, integer, list, map. Raises ValueError."""
    shape = model_of(service, operation).input_shape
    return {name: item.type_name for name, item in (shape.members if shape else {}).items()}


def list_of(service: str, operation: str) -> tuple[str, Mapping[str, str]]:
    """The only list of structures in an operation's answer, and the structures' members with their types. Raises ValueError."""
    shape = model_of(service, operation).output_shape
    lists = {
        name: item.member.members
        for name, item in (shape.members if shape else {}).items()
        if item.type_name == "list" and item.member.type_name == "structure"
    }
    if len(lists) != 1:
        raise ValueError(f"{operation} of {service} answers no list, or more than one: {', '.join(lists) or 'none'}")
    ((name, members),) = lists.items()
    return name, {member: item.type_name for member, item in members.items()}


def of_resource(service: str, operation: str, arn: str) -> dict[str, Any]:
    """An ARN as TagResource and the like take it: the required parameter other than the tags. Raises ValueError."""
    shape = model_of(service, operation).input_shape
    needed = [name for name in shape.required_members if "tag" not in name.lower()]
    if len(needed) != 1:
        raise ValueError(f"{operation} of {service} takes more than an ARN and tags: {', '.join(needed)}")
    return {needed[0]: arn}


def keys_parameter(service: str, operation: str) -> str:
    """The parameter in which UntagResource takes the tags' keys. Raises ValueError."""
    return next(name for name, kind in parameters(service, operation).items() if kind == "list")


def tags_for(service: str, operation: str, wanted: Mapping[str, str]) -> dict[str, Any]:
    """Tags as an operation takes them: a map, or a list of keys and values. Raises ValueError for an operation without tags."""
    name, shape = _tags_among(service, operation, model_of(service, operation).input_shape)
    if shape.type_name == "map":
        return {name: dict(wanted)}
    key, value = _pair(shape)
    return {name: [{key: own, value: text} for own, text in sorted(wanted.items())]}


def tags_from(service: str, operation: str, answer: Mapping[str, Any]) -> dict[str, str]:
    """The tags in an operation's answer. Raises ValueError where the answer has no place for tags."""
    name, shape = _tags_among(service, operation, model_of(service, operation).output_shape)
    found = answer.get(name) or {}
    if shape.type_name == "map":
        return dict(found)
    key, value = _pair(shape)
    return {row[key]: row.get(value, "") for row in found}


def _tags_among(service: str, operation: str, shape: Any) -> tuple[str, Any]:
    for name, item in (shape.members if shape else {}).items():
        if name.lower() in _NAMES_OF_TAGS and item.type_name in ("map", "list"):
            return name, item
    raise ValueError(f"{operation} of {service} has no tags")


def _pair(shape: Any) -> tuple[str, str]:
    """The names of the key and the value in a list of tags."""
    names = list(shape.member.members)
    return next(name for name in names if name.lower().endswith("key")), next(
        name for name in names if name.lower().endswith("value")
    )
