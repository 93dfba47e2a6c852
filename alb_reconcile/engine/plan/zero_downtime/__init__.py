"""Keeps a service answering while it changes: the rules for the order of steps, and what the rules leave open.

- `flow`: a new resource is ready before it gets requests, requests have moved away before a resource is deleted, and the steps that take
  requests over come before those that give them up. A rehearsal by the safety rule finds the rest of the order (`engine.plan.rehearsal`).
- `rule_order`: rules change places in one call.
- `attach`: a new target group is forwarded to at weight 0, so that its targets are checked before they get requests.
- `rollout`: members of an instance entry change `max_surge` or `max_unavailable` at a time.
- `traffic`: forwards come after the registration of new targets; restarts in a group and a move of requests to it come one after the other;
  a load balancer is deleted when its successors answer.
- `propagation`: how long changes take to be in effect everywhere, in one table, and which steps wait for that.
- `capacity`: how many healthy targets each of these steps must find or leave. The kinds wait for that immediately before their call.
- `costs`: what each step waits for, and for how long, in words.

`forwards` and `requests` answer questions that several of these modules ask. None of the modules asks AWS; what must be true when a step
runs is written into its `details` (`model.steps`).
"""
