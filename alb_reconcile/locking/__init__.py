"""One run at a time over a stack: on a host, and across hosts."""
