"""Real traffic in the sandbox: an Envoy for its load balancers, a process for each instance, health that is probed."""
