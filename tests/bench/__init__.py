"""`make bench`: what the tool costs, in ratios against floors that are measured in the same run."""
