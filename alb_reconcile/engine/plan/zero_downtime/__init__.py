"""Passes over a plan that keep a service answering while it changes."""
