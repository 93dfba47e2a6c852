"""The planner: decides what becomes of each resource, orders the steps, and says what they cost."""
