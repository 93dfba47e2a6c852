"""What users see. Nothing else prints."""
