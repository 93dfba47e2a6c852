"""Values that every room may hold, and pure functions over them. No I/O."""
