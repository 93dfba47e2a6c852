"""Renders and prints what users see. No other package prints."""
