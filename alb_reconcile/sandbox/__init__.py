"""A local AWS: the strict emulator, for tests and for trying things out without an account."""
