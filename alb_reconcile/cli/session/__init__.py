"""What the commands share: the way to AWS, loading specs, signals, and the question before a change."""
