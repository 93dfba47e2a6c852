"""Values that all parts of the tool use, and pure functions over them. No I/O."""
