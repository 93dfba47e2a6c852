"""From what runs to a spec: what is read, which of it is meant, what it is called, how entries say it."""
