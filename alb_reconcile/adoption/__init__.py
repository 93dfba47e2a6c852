"""Bringing resources under the tool's care and letting them go: only tags are written."""
