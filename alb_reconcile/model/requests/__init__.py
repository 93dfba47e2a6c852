"""Decides which requests a listener rule takes: its conditions, their patterns, and rules that take all requests of another rule."""
