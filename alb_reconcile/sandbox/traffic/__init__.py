"""Carries real traffic in the sandbox: an Envoy as its load balancers, a process for each instance, and real health checks."""
