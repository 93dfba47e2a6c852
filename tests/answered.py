"""moto's results as boto3 would hand them out, without the XML between: making and parsing that is most of a call's work.

Each step is that of moto's XML serializers and of botocore's parser in one; test_answered.py compares the two ways.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from botocore.utils import parse_timestamp
from moto.core.serialize import (
    AttributePickerContext,
    EC2Serializer,
    QuerySerializer,
    TimestampSerializer,
    XFormedAttributePicker,
)
from moto.core.utils import get_service_model, get_value
from moto.ec2.responses import EC2Response
from moto.elbv2.responses import ELBV2Response

if TYPE_CHECKING:
    from moto.core.responses import BaseResponse

Read = Callable[[Any], Any]
_ABSENT: Any = object()
"""What is left out of an answer."""
_SERIALIZERS = {"ec2": (EC2Serializer, EC2Response), "elbv2": (QuerySerializer, ELBV2Response)}


def answer_of(response: BaseResponse, result: Any) -> dict[str, Any]:
    """What boto3 makes of a result that is no error."""
    found = _root(response.boto3_service_name, response._get_action())(result)
    return {} if found is _ABSENT else dict(found)


@cache
def _root(service: str, action: str) -> Read:
    shape = get_service_model(service).operation_model(action).output_shape
    serializer, responses = _SERIALIZERS[service]
    reader = _Reader(serializer.DEFAULT_TIMESTAMP_FORMAT, responses.RESPONSE_KEY_PATH_TO_TRANSFORMER)
    return reader.of(shape, f"{action}.{shape.name}") if shape else lambda _: _ABSENT


class _Reader:
    def __init__(self, time_format: str, transforms: dict[str, Read]) -> None:
        self._time_format = time_format
        self._transforms = transforms

    def of(self, shape: Any, path: str) -> Read:
        """What reads a value of a shape; a KeyError for shapes that no answer we read has."""
        makers: dict[str, Callable[[Any, str], Read]] = {
            "structure": self._structure, "list": self._list, "map": self._map, "timestamp": self._timestamp, "string": lambda *_: str,
            "integer": lambda *_: int, "long": lambda *_: int, "float": lambda *_: float, "double": lambda *_: float,
            "boolean": lambda *_: _is_true,
        }  # fmt: skip
        return makers[shape.type_name](shape, path)

    def _timestamp(self, shape: Any, _: str) -> Read:
        time_format = shape.serialization.get("timestampFormat", self._time_format)
        to_text = TimestampSerializer(time_format)._convert_timestamp_to_str
        return cache(lambda value: parse_timestamp(to_text(value, time_format)))

    def _list(self, shape: Any, path: str) -> Read:
        item = self.of(shape.member, f"{path}.{shape.member.name}")

        def read(value: Any) -> Any:
            found = [made for made in map(item, value) if made is not _ABSENT and made != {}]
            return found if found or not shape.is_flattened else _ABSENT

        return read

    def _map(self, shape: Any, path: str) -> Read:
        item = self.of(shape.value, f"{path}.value")
        return lambda value: {str(key): item(one) for key, one in value.items() if one is not None}

    def _structure(self, shape: Any, path: str) -> Read:
        known: dict[Any, list[tuple[str, tuple[str, ...], Read | None, Read]]] = {}
        readers: dict[str, Read] = {}

        def members(example: Any) -> list[tuple[str, tuple[str, ...], Read | None, Read]]:
            """With the names by which objects of that kind may have each."""
            if not readers:
                readers.update({name: self.of(member, f"{path}.{name}") for name, member in shape.members.items()})
            found = [
                (name, _names(example, shape, name), self._transform(f"{path}.{name}"), readers[name])
                for name in shape.members
            ]
            return [item for item in found if item[2] or any(_may_have(example, name) for name in item[1])]

        def read(value: Any) -> Any:
            if value is None:
                return _ABSENT
            kind = _kind(value)
            if kind not in known:
                known[kind] = members(value)
            look = _look(value)
            found = {}
            for member, names, transform, reader in known[kind]:
                for name in names:
                    if (item := look(name, _ABSENT)) is not _ABSENT:
                        break
                else:
                    item = None
                if transform:
                    item = transform(item)
                if item is not None and (made := reader(item)) is not _ABSENT:
                    found[member] = made
            return found

        return read

    def _transform(self, path: str) -> Read | None:
        """It is looked up when it is used: some answers have a member only if the request asks for it (`_include_in_response`)."""
        found = next((end for end in self._transforms if path.endswith(end)), None)
        return None if found is None else lambda value: self._transforms[found](value)


def _kind(value: Any) -> Any:
    """What has the same names is of one kind."""
    kind: Any = type(value)
    if kind is dict:
        return tuple(value)
    return (kind, *vars(value)) if _is_plain(kind) else kind


@cache
def _is_plain(kind: type) -> bool:
    """Whether the names of an object are those of its class and of its own dictionary."""
    return kind.__dictoffset__ != 0 and not hasattr(kind, "__getitem__") and not hasattr(kind, "__getattr__")


def _may_have(example: Any, name: str) -> bool:
    kind: Any = type(example)
    if kind is dict:
        return name in example
    return not _is_plain(kind) or name in vars(example) or hasattr(kind, name)


def _look(value: Any) -> Callable[[str, Any], Any]:
    """moto's get_value, for names without dots."""
    if type(value) is dict:
        return value.get
    return partial(get_value if hasattr(value, "__getitem__") else getattr, value)


def _names(example: Any, shape: Any, name: str) -> tuple[str, ...]:
    """By which a member of a structure may be found in such an object."""
    member = shape.members[name]
    member.parent = shape  # as the serializer does
    return tuple(XFormedAttributePicker().get_possible_keys(AttributePickerContext(example, name, member)))


def _is_true(value: Any) -> bool:
    return value is True or str(value).lower() == "true"
