"""One client for AWS's API: calls are paced, paged, guarded, repeated and waited for here."""
