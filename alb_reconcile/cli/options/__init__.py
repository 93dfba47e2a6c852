"""The options and arguments of the command line."""
