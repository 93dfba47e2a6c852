"""Images that a spec names by something other than their id: what such a reference is. Where it leads is read with the stack (`engine.discover`)."""

from collections.abc import Mapping
from typing import Final

RESOLVE: Final = "resolve:"
"""How every reference begins."""
PARAMETER: Final = "resolve:ssm:"
SEARCH: Final = "resolve:image:"


def search_for(image: Mapping[str, str]) -> str:
    """The reference for what a spec says under `image`."""
    return f"{SEARCH}{image['owner']}:{image['architecture']}:{image['name']}"
