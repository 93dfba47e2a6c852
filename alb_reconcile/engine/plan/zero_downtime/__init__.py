"""Passes over a plan in the making (`plan.graph`) that keep a service answering while it changes.

`planner.make_plan` calls them in this order; each may rely on what those before it guarantee:

1. `traffic.add_traffic`: rules change places in one call; each target group whose health must be known is forwarded to
   (`attach`, at weight 0) before it gets requests; listeners and rules follow the registrations in the groups that they
   take up (not a listener that is made where none answers and that has targets which serve), registrations end after whoever
   forwards to them, and who hands a group on to another listener or rule lets it go after that.
2. `redirects.redirect_last`: a listener begins to redirect to another one when that one answers, and anybody gets there;
   that one goes after it has stopped.
3. `removals.take_away_late`: an update that adds and removes is two steps; the one that removes rules, routes or zones
   follows everything that moves traffic; `removals.swap_groups_late` lets security groups be worn beside one another.
4. `order.add_edges`, outside of this package: what holds for every kind; then `traffic.stick_after_forwards`: a group becomes sticky
   after the forwards that it shares with others.
5. `rollout.add_rollout`: an instance that stops leaves its target groups first; members change `max_surge` or `max_unavailable`
   at a time, who fails first, and entries that share groups one after the other; then
   `capacity.guard_capacity` says how many healthy targets each step that moves requests must leave or find.
6. `aliases.lead_names_late`: a DNS name leads to another load balancer when that serves, and the old one stays until clients
   have forgotten it.
7. `families.forget_addresses_first`: a load balancer gives up IPv6, or public IPv4, when clients have forgotten the addresses.
8. `departures.leave_in_time`: targets stay in a group until requests have turned away from it, and who is restarted is back, or leaves
   later, where requests turn to it. All of these edges give way.
9. When all edges are known: `rollout.add_pauses`: targets of a group that nothing forwards to any more stay for its deregistration
   delay; `removals.wait_for_old_nodes`: what old nodes of a load balancer need stays until they have gone.
10. `costs.add_costs`: what each step waits for, for how long, and how many healthy targets stay, in words.

`forwards` has the questions that several of them ask: who forwards to which group, now and as desired, and who takes it up. None of them asks
AWS; what must be true when a step runs is written into its `details` (`model.steps`), and the kinds wait for it.
"""
