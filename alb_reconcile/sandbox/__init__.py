"""A local AWS: a strict emulator, for tests and for trials without an account."""
