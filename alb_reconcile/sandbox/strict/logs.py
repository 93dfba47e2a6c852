"""Imitates log groups of CloudWatch Logs: their KMS keys can be changed, and tags go with their group (moto has neither).

CloudWatch Logs API Reference, AssociateKmsKey, DisassociateKmsKey, DeleteLogGroup, ListTagsForResource: ResourceNotFoundException.
"""

import functools
from collections.abc import Callable
from typing import Any

from moto.core.responses import EmptyResult
from moto.logs.exceptions import ResourceNotFoundException
from moto.logs.models import LogsBackend
from moto.logs.responses import LogsResponse


def _associate(response: Any) -> EmptyResult:
    return _with_key(response, response._get_param("kmsKeyId"))


def _disassociate(response: Any) -> EmptyResult:
    return _with_key(response, None)


def _with_key(response: Any, key: str | None) -> EmptyResult:
    groups = response.logs_backend.groups
    if (name := response._get_param("logGroupName")) not in groups:
        raise ResourceNotFoundException()
    groups[name].kms_key_id = key
    return EmptyResult()


def _with_tags(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def delete_log_group(backend: Any, log_group_name: str) -> None:
        found = backend.groups.get(log_group_name)
        original(backend, log_group_name)
        backend.tagger.delete_all_tags_for_resource(found.arn)

    return delete_log_group


def _of_what_is_there(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def change(backend: Any, arn: str, *given: Any) -> Any:
        if ":log-group:" in arn and arn not in [group.arn for group in backend.groups.values()]:
            raise ResourceNotFoundException()
        return original(backend, arn, *given)

    return change


def patches() -> list[tuple[Any, str, Any]]:
    own = ("list_tags_for_resource", "tag_resource", "untag_resource")
    return [
        (LogsResponse, "associate_kms_key", _associate),
        (LogsResponse, "disassociate_kms_key", _disassociate),
        (LogsBackend, "delete_log_group", _with_tags(LogsBackend.delete_log_group)),
        *((LogsBackend, name, _of_what_is_there(getattr(LogsBackend, name))) for name in own),
    ]
