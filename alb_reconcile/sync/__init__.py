"""Corrects drift of one stack or many, unattended."""
