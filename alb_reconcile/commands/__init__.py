"""The commands: each takes the parsed command line and returns an exit code."""
