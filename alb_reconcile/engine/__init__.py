"""From desired resources to what AWS has: discover, plan, apply, converge."""
