"""Turns desired resources into what AWS has: discovers, plans, applies, and waits until the stack serves."""
