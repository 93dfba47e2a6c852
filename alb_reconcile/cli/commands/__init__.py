"""One function a command. Each is named by the parser and imported when it is run."""
