"""Keeps an issue for each stack, in GitHub or a folder: open while drift requires manual action or runs fail, else closed."""
