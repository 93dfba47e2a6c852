"""Sends real requests through each listener and rule, and judges what the answers prove."""
