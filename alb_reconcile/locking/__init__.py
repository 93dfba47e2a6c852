"""Lets one run at a time change a stack: on a host, and across hosts."""
