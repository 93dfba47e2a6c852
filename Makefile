# Every target sets up its own environment on a fresh machine: Python 3.11 or newer is all it needs. `demo` and `deploy-demo` have what a user
# gets, in .venv-demo, and the others what developers need, in .venv.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
DEMO := .venv-demo/bin
DEMO_READY := .venv-demo/.ready
QUIET := --quiet --disable-pip-version-check
NEEDED = @$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; call make PYTHON=/path/to/it" >&2; exit 1; }

.PHONY: demo deploy-demo fleet-demo test test-slow mutants test-aws test-aws-clean check docs docs-update house coverage bench soak lock clean

$(READY): requirements-dev.lock pyproject.toml
	$(NEEDED)
	@echo "Setting up .venv, for development: about 155 packages, a minute or two, once."
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install $(QUIET) --no-deps --only-binary :all: --require-hashes --requirement requirements-dev.lock
	@$(BIN)/pip install $(QUIET) --no-deps --no-build-isolation --editable .
	@$(BIN)/alb-reconcile schema > specs/stack.schema.json # for editors
	@touch $(READY)

# by uv where there is one, which fetches packages side by side, else (and where it fails) by pip. Bytecode is made on all cores, which pip doesn't, and before the story, whose
# processes would each make it
$(DEMO_READY): requirements-demo.lock pyproject.toml
	$(NEEDED)
	@echo "Setting up .venv-demo, once: $$(grep -c '^[a-z].*==' requirements-demo.lock) packages, about 70 MB to fetch. Waiting for the package index …"
	@{ command -v uv > /dev/null \
	    && uv venv --quiet --clear --python $(PYTHON) .venv-demo \
	    && uv pip install --python .venv-demo --no-deps --only-binary :all: --require-hashes --requirement requirements-demo.lock \
	    && uv pip install --quiet --python .venv-demo --no-deps --no-build-isolation --editable .; } \
	|| { $(PYTHON) -m venv --clear .venv-demo \
	    && echo "Waiting for pip, about 20 s …" \
	    && $(DEMO)/pip install $(QUIET) --no-compile --no-deps --only-binary :all: --require-hashes --requirement requirements-demo.lock \
	    && $(DEMO)/pip install $(QUIET) --no-compile --no-deps --no-build-isolation --editable .; }
	@echo "Waiting for Python, which compiles them …"
	-@$(DEMO)/python -m compileall -qq -j 0 -x '/(pip|setuptools)/' .venv-demo/lib alb_reconcile
	@touch $(DEMO_READY)

# the main job, on an emulated AWS on this machine: from nothing, through drift by hand, to nothing
demo: $(DEMO_READY)
	@echo "Waiting for Python, which reads the demo …"
	@$(DEMO)/python -m tests.demo

# new versions of an application beside the one that serves, under load: a good one, and one that answers wrongly
deploy-demo: $(DEMO_READY)
	@echo "Waiting for Python, which reads the demo …"
	@$(DEMO)/python -m tests.demo deploy

# forty stacks in eight accounts drift, and are corrected by three workers of which one is killed
fleet-demo: $(READY)
	@$(BIN)/python -m tests.fleet_demo

# in longer slices of a core than the usual 3 ms (where the kernel has them) the processes lose less of what is in its caches: a tenth of the time
SLICES = $(shell chrt --other --sched-runtime 10000000 0 true 2>/dev/null && echo chrt --other --sched-runtime 10000000 0)
test: $(READY)
	$(SLICES) $(BIN)/pytest --numprocesses=3 --dist=worksteal -m "not slow"

# what `make test` leaves out: real processes, load, and more cases of what it tries
test-slow: $(READY)
	$(SLICES) $(BIN)/pytest --numprocesses=4 --dist=worksteal -m slow

# how often the tests notice that the product is broken, in 120 places that are drawn from a seed; under two hours; SEED=n draws others
mutants: $(READY)
	@$(BIN)/python -m tests.mutants $(if $(filter command line,$(origin SEED)),--seed $(SEED))

# in a real account, where it costs money: docs/explanation/real-account.md; STACKS="demo private", MEASURE=name, LIST=1, ROLE=arn
test-aws: $(READY)
	@$(BIN)/python -m tests.account $(if $(LIST),list,$(if $(MEASURE),measure $(MEASURE),try $(STACKS)) $(if $(ROLE),--role $(ROLE)))

# what a test-aws that was killed has left there; RUN=id for one run only
test-aws-clean: $(READY)
	@$(BIN)/python -m tests.account clean $(if $(RUN),--run $(RUN))

# what .pre-commit-config.yaml runs as well; types as for the oldest Python, since newer ones' library has narrower ones in places
check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --python-version 3.11
	$(BIN)/lint-imports
	$(BIN)/python scripts/iam_table.py
	$(BIN)/python scripts/house.py --check
	$(BIN)/codespell
	$(BIN)/python scripts/dependencies.py
	$(BIN)/python -m scripts.docs_site

# the documentation's site, in build/docs/site; every link and page is checked, and nothing is fetched
docs: $(READY)
	@$(BIN)/python -m scripts.docs_site

# pages with what commands print now, and pictures of a run; read the difference
docs-update: $(READY)
	$(BIN)/python scripts/iam_table.py --write
	UPDATE_GOLDENS=1 $(BIN)/pytest --numprocesses=2 tests/docs
	$(BIN)/python -m scripts.docs_pictures

# the numbers that the architecture is held to, with the places that were counted
house: $(READY)
	@$(BIN)/python scripts/house.py --verbose

# branches that are covered by what runs in pytest's own processes, with a floor; see tests/README.md
coverage: $(READY)
	$(BIN)/pytest --numprocesses=3 --dist=worksteal --ignore=tests/e2e --ignore=tests/load --ignore=tests/properties --cov --cov-report=term-missing:skip-covered

# ratios against floors measured in the same run
bench: $(READY)
	$(BIN)/python -m tests.bench

# what is random, at length: other seeds, and many more of them; SEED=n repeats a run (see tests/README.md)
SEED ?= $(shell date +%s)
soak: $(READY)
	SOAK=$(SEED) PYTHONHASHSEED=0 $(BIN)/pytest --numprocesses=4 --dist=worksteal tests/properties tests/fuzz tests/spec/test_loader_properties.py

# the lock files, after a change of pyproject.toml: of the development environment, and of the demos', which has the same versions of what
# a user gets. UPGRADE=1 takes the newest versions that are three days old, in which a stolen release is usually found. They are made by
# the uv that the lock file has
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --annotation-style split
lock:
	$(PYTHON) -m venv .venv
	sed -n '/^uv==/,/# via/p' requirements-dev.lock > .venv/uv.txt
	$(BIN)/pip install $(QUIET) --no-deps --require-hashes --requirement .venv/uv.txt
	$(COMPILE) --extra terminal --extra websocket --extra sandbox --extra fleet --extra otel --group dev $(if $(UPGRADE),--upgrade --exclude-newer "3 days") pyproject.toml --output-file requirements-dev.lock
	$(COMPILE) --extra sandbox --group build --upgrade --constraint requirements-dev.lock pyproject.toml --output-file requirements-demo.lock

clean:
	rm -rf .venv .venv-demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage* build dist
