"""Resolves the names of the sandbox's hosted zones: makes zones that stacks name, and runs a name server on this machine."""
