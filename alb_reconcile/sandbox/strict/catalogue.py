"""Builds moto's 1,301 machine images once for each process instead of once for each test."""

from collections.abc import Callable
from functools import cache
from typing import Any

from moto.moto_api._internal import mock_random


@cache
def shared_images(original: Callable[[Any], None]) -> Callable[[Any], None]:
    """A replacement for moto's `AmiBackend._load_amis`."""

    @cache
    def catalogue(account: str, region: str) -> tuple[dict[str, Any], dict[str, Any]]:
        from moto.ec2.models import EC2Backend

        shelf: Any = EC2Backend.__new__(EC2Backend)
        for base in EC2Backend.__mro__:
            if base.__name__ in ("TagBackend", "EBSBackend"):
                base.__init__(shelf)  # type: ignore[misc]  # moto builds its backends base by base
        shelf.region_name, shelf.account_id, shelf.amis = region, account, {}
        drawn = mock_random.getstate()
        mock_random.seed(0)
        original(shelf)
        mock_random.setstate(drawn)  # other ids don't depend on when this ran
        return shelf.amis, shelf.snapshots

    def load(backend: Any) -> None:
        images, snapshots = catalogue(backend.account_id, backend.region_name)
        for owned in (*images.values(), *snapshots.values()):
            owned.ec2_backend = backend
        backend.amis.update(images)
        backend.snapshots.update(snapshots)

    return load


def looked_up(original: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    """A faster replacement for `AmiBackend.describe_images`. At each launch moto compares the image id, the only filter, with all
    images."""

    def describe_images(backend: Any, ami_ids: Any = None, filters: Any = None, **others: Any) -> list[Any]:
        wanted = filters["image-id"] if filters and [*filters] == ["image-id"] else ()
        asked = [wanted] if isinstance(wanted, str) else wanted
        if asked and not ami_ids and not any(others.values()) and all(image in backend.amis for image in asked):
            return original(backend, asked)
        return original(backend, ami_ids, filters, **others)

    return describe_images
