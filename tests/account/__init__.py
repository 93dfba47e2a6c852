"""`make test-aws`: what the sandbox's tests show, in a real account; docs/explanation/real-account.md. Nothing here runs in `make test` by itself."""
