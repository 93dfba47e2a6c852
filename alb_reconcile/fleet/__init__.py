"""Many accounts and regions: which stacks each of them has, how it is reached, and what was done there."""
