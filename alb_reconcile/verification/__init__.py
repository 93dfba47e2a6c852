"""Real requests through each listener and rule, and what their answers prove."""
