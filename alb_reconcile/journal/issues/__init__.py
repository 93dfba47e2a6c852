"""One issue a stack, in GitHub or a folder: open while drift requires manual action or runs fail, closed when the stack is in sync."""
