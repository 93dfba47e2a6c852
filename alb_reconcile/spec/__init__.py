"""Reads a spec: from YAML text to the checked resources that a stack is to have."""
