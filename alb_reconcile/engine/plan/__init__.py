"""The planner: what becomes of each resource, in which order, and what it costs."""
