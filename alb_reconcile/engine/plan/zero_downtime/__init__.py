"""Keeps a service answering while it changes: the rules for the order of steps, and what the rules leave open.

- `flow`: what is new is ready before requests come to it, requests have left before anything goes, and what takes requests up comes before
  what gives them up. A rehearsal by the safety rule finds the rest of the order (`engine.plan.rehearsal`).
- `rule_order`: rules change places in one call.
- `attach`: a new target group is forwarded to at weight 0, so that its targets are checked before they get requests.
- `rollout`: members of an instance entry change `max_surge` or `max_unavailable` at a time.
- `traffic`: forwards come after the targets that join; a restart and a turn of requests to the same group come one after the other; a load
  balancer goes when those in its place answer.
- `propagation`: how long changes take to be everywhere, in one table, and which steps wait for that.
- `capacity`: how many healthy targets each of these steps must find or leave. The kinds wait for that immediately before their call.
- `costs`: what each step waits for, and for how long, in words.

`forwards` and `requests` answer questions that several of these modules ask. None of the modules asks AWS; what must be true when a step
runs is written into its `details` (`model.steps`).
"""
