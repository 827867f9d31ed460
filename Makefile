# make demo: see it work (QUICK=1: in minutes).  make test: everything that must hold.  make test-windows: the same for
# Windows, under wine.  make test-unsloth: training through unsloth.  make coverage: the tests of `make test`, and which
# lines they reach (half as slow again).
# All of them make .venv and install what they need.
# make fuzz (CASES=20000), make kills: more of what `make test` has a share of; see docs/robustness.md.
PYTHON ?= python3
PY := .venv/bin/python
EXTRAS := record,arena,demo,vision,controls,cloning,serve,ray,studio,dev

.PHONY: demo test coverage test-programs test-windows test-unsloth lint fuzz kills clean

demo: .venv/demo-ready
	@sh scripts/system_packages.sh xvfb-unless-display
	@$(PY) -m protege.cli demo $(if $(QUICK),--quick)

# A file stays with one worker, since most have fixtures of the module: a trained model, a game, an X server. Three
# workers keep two cores busy: what plays, records or starts processes waits for most of its time.
WORKERS ?= 3

test: .venv/test-ready lint test-programs
	$(PY) -m pytest -n $(WORKERS) --dist loadfile

# pytest-cov's own limit is off: it would be checked before the processes that tests start have been added.
coverage: .venv/test-ready test-programs
	$(PY) -m coverage erase
	$(PY) -m pytest -n $(WORKERS) --dist loadfile --cov --cov-report= --cov-fail-under=0
	$(PY) -m coverage report --fail-under=90

test-programs:
	@sh scripts/system_packages.sh xvfb x11-xkb-utils xserver-xephyr tigervnc-standalone-server chocolate-doom freedoom \
		ffmpeg chromium xdotool

# A real Windows Python under wine, with real windows and keys; made once, in .wine (needs .venv to be Python 3.11).
test-windows: .venv/test-ready
	@sh scripts/system_packages.sh wine wine64 gcc-mingw-w64-x86-64-win32 xvfb unzip
	@bash scripts/windows/make_python.sh
	@bash scripts/windows/run_tests.sh

# Training, scoring, labeling and playing through unsloth, which needs older libraries, in an environment of its own
# (3 GB). On a machine without a GPU: its own switch says so, and tests/with_unsloth/stub stands in for what it asks a
# card; nothing is compiled. A warning of its libraries fails no test.
UNSLOTH := .venv-unsloth/bin/python

test-unsloth: .venv-unsloth/ready
	UNSLOTH_ALLOW_CPU=1 UNSLOTH_COMPILE_DISABLE=1 TORCHDYNAMO_DISABLE=1 OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 \
	PYTHONPATH=tests/with_unsloth/stub $(UNSLOTH) -W ignore -m pytest tests/with_unsloth \
	-o addopts= -o filterwarnings=ignore --import-mode=importlib

.venv-unsloth/ready: pyproject.toml constraints-unsloth.txt
	$(PYTHON) -m venv .venv-unsloth
	$(UNSLOTH) -m pip install --quiet --upgrade "pip>=25"
	$(UNSLOTH) -m pip install --quiet -c constraints-unsloth.txt torch
	$(UNSLOTH) -m pip install --quiet -c constraints-unsloth.txt -e ".[record,vision,unsloth]" pytest pytest-timeout \
	hypothesis
	@touch $@

lint: .venv/test-ready
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m pyright

fuzz: .venv/test-ready
	$(PY) -m tests.fuzz --cases $(or $(CASES),20000) --first 800

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
	rm -rf .venv .venv-unsloth .wine .pytest_cache .ruff_cache .coverage .coverage.*
