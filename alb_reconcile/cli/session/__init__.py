"""What the commands share: connecting to AWS, loading specs, handling signals, and asking before a change."""
