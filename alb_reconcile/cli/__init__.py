"""The command line: options, commands, and what users see."""
