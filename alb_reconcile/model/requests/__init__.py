"""Which requests a listener rule takes: its conditions, their patterns, and which rules take all that another one does."""
