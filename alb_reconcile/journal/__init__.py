"""Records of runs: history, metrics and notifications."""
