"""What runs leave behind: records, history, metrics and notifications."""
