"""The examples of docs/python.md as one program, for the type checker: `test_python_api.py` holds the two to each other."""

from alb_reconcile import Event, PlanRefusedError, UnfinishedError
from alb_reconcile import apply, destroy, discover, load, plan, to_json, to_text, validate, verify

for problem in validate("stack.yaml"):
    print(problem.render("stack.yaml"))

stack = load("stack.yaml", variables={"TEAM": "shop"})
print(stack.name, stack.region, len(stack.addresses))

try:
    changes = plan(stack)
except PlanRefusedError as refused:
    print(refused, to_text(refused.plan))
    raise

for step in changes.steps:
    print(step.action, step.address, [change.path for change in step.changes])
print(to_text(changes))


def tell(event: Event) -> None:
    if event.what in ("done", "failed"):
        print(event.step.address, event.what, f"{event.elapsed:.0f} s")


try:
    result = apply(stack, expected=changes, on_event=tell)
except UnfinishedError as unfinished:
    print([outcome.step.address for outcome in unfinished.result.outcomes if outcome.how == "failed"])
    raise
print(result.urls, result.times)

apply(stack, confirm=lambda made: made.count()["delete"] == 0)

status = discover(stack)
print(status.urls, status.not_ready, status.missing)
for resource in status.resources:
    print(resource.address, resource.id, resource.status)

report = verify(stack, requests=40, rate=1000, connect_to={80: ("localhost", 8080)})
print(report.ok, to_json(report))

destroy(stack, confirm=lambda made: made.stack == "demo")
