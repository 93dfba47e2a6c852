"""Manages many accounts and regions: the stacks of each, how each is reached, and what was done there."""
