# make demo: see it work (QUICK=1: in minutes).  make test: everything that must hold.  Both make .venv and install what they need.
# make fuzz (CASES=20000), make kills: more of what `make test` has a share of; see docs/robustness.md.
PYTHON ?= python3
PY := .venv/bin/python
EXTRAS := record,arena,demo,vision,controls,cloning,serve,ray,dev

.PHONY: demo test lint fuzz kills clean

demo: .venv/demo-ready
	@sh scripts/system_packages.sh xvfb-unless-display
	@$(PY) -m protege.cli demo $(if $(QUICK),--quick)

test: .venv/test-ready lint
	@sh scripts/system_packages.sh xvfb chocolate-doom freedoom ffmpeg chromium
	$(PY) -m coverage erase
	$(PY) -m pytest -n 2 --dist loadfile --cov --cov-report= --cov-fail-under=0
	$(PY) -m coverage report --fail-under=90

lint: .venv/test-ready
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m pyright

fuzz: .venv/test-ready
	$(PY) -m tests.fuzz --cases $(or $(CASES),20000) --first 2000

kills: .venv/test-ready
	$(PY) -m tests.kills

.venv/pip-ready:
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --upgrade "pip>=25"
	@touch $@

# torch first and alone: pip then takes a CPU build where one lies at hand, and nothing after it asks for another.
.venv/demo-ready: .venv/pip-ready pyproject.toml constraints.txt
	$(PY) -m pip install --quiet -c constraints.txt torch
	$(PY) -m pip install --quiet -c constraints.txt -e ".[record,arena,demo,vision,cloning]"
	@touch $@

.venv/test-ready: .venv/pip-ready pyproject.toml constraints.txt
	$(PY) -m pip install --quiet -c constraints.txt torch
	$(PY) -m pip install --quiet -c constraints.txt -e ".[$(EXTRAS)]"
	@touch $@

clean:
	rm -rf .venv .pytest_cache .ruff_cache .coverage .coverage.*
