"""What a run leaves behind where people look: its record, metrics, news for a webhook, and log lines."""
