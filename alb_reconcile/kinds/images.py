"""Reads and writes references to images (AMIs) by an SSM parameter or a search. `engine.discover` reads the id behind a reference."""

from collections.abc import Mapping
from typing import Any, Final

RESOLVE: Final = "resolve:"
"""The beginning of every reference."""
PARAMETER: Final = "resolve:ssm:"
SEARCH: Final = "resolve:image:"


def search_for(image: Mapping[str, str]) -> str:
    """The reference for a spec's `image`."""
    return f"{SEARCH}{image['owner']}:{image['architecture']}:{image['name']}"


def entry_for(reference: str) -> dict[str, Any]:
    """The entry's keys for an image's id or reference."""
    if not reference.startswith(SEARCH):
        return {"image_id": reference}
    owner, architecture, name = reference.removeprefix(SEARCH).split(":", 2)
    return {"image": {"owner": owner, "name": name, "architecture": architecture}}


def explain_lost(reference: str) -> tuple[str, str]:
    """What is wrong with a reference without an image: the entry's key, and a text."""
    if reference.startswith(PARAMETER):
        name = reference.removeprefix(PARAMETER)
        return "image_id", f"there is no SSM parameter {name} in this region; correct image_id"
    owner, architecture, name = reference.removeprefix(SEARCH).split(":", 2)
    text = f'there is no available image of {owner} named "{name}" for {architecture} in this region; correct image'
    return "image", text
