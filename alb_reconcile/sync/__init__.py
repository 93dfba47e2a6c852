"""Drift of one stack or many, corrected unattended."""
