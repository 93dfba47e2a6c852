"""The client for AWS's API: it paces, pages, guards and repeats calls, and waits for their effects."""
