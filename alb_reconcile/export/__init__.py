"""Writes a spec of what runs: reads it, chooses what is meant, names it, and writes the entries."""
