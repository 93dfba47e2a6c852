"""The version, for whoever is below the package that says it to users."""

from typing import Final

__version__: Final = "0.1.0"
