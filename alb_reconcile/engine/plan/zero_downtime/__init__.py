"""What keeps a service answering beside the two rules of order (`plan.flow`): rounds, gates, and rules of certain kinds.

`planner._make_plan` has the order in which these are called. Each says what it assumes:

- `rule_order`: the rules of a listener change places in one call, and who takes requests comes before who gives them up.
- `attach`: a new target group stands at weight 0 beside one that serves, to be checked.
- `rollout`: members of an instance entry are changed `max_surge` or `max_unavailable` at a time, in rounds.
- `traffic`: forwards come after targets that join, a group is handed on without a gap, a load balancer waits for its heirs.
- `capacity`: how many healthy targets each step that moves requests must leave or find.
- `departures`: whether requests turn first to a group whose instances restart, or after.
- `costs`: what each step waits for, for how long, and how many healthy targets stay, in words.

`forwards` and `requests` have the questions that several of them ask. None of them asks AWS; what must be true when a step runs is
written into its `details` (`model.steps`), and the kinds wait for it.
"""
