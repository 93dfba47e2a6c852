"""One run at a time across hosts: a lease in S3 for each account, region and stack."""
