"""The version of this package, in a module that every other module may import."""

from typing import Final

__version__: Final = "0.2.0"
