"""Takes resources into a stack and lets them go: only tags are written."""
