"""The names of the sandbox's hosted zones: which zones it has from the beginning, and a name server on this machine."""
