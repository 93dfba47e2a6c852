"""Who sends a request: what the sandbox's load balancers ask, and the local provider that stands for everybody's own."""
