"""Authenticates requests in the sandbox: the check that its load balancers make, and a local provider in place of the users' own."""
