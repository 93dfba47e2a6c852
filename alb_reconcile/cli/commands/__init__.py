"""The commands of the command line, one function each; the parser names the function, which is imported when it is run."""
