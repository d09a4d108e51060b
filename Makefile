# Everything works from a fresh clone with Python (3.11 or newer), make and git.
#
#   make demo    run the main job: hello-world from a notebook, cold and cached
#   make lab     open the notebooks in JupyterLab
#   make test    all tests; ends with the counts of passed, failed and skipped
#   make kernel  the runtime's tests on Debian's kernel, in an emulated machine (minutes)
#   make networks  the tests of bridges, with two hundred containers one after another
#   make lint    ruff, mypy, the layering and the limits of the style
#   make docs    write the reference of the magics and the command again
#   make bench   the side-by-side measurements (benchmarks/README.md)
#   make clean   remove the environment and all that the targets wrote

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
# The first interpreter that is new enough and can make an environment.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { command -v $$p; break; }; done)
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --root-user-action=ignore

.PHONY: demo lab test kernel networks lint format docs bench clean
.DELETE_ON_ERROR:

demo: $(VENV)/.demo
	$(BIN)/python scripts/demo.py

lab: $(VENV)/.lab
	$(BIN)/jupyter lab notebooks/01-hello-world.ipynb

# ARGS narrows the run: make test ARGS=tests/unit
test: $(VENV)/.test
	$(BIN)/python -m pytest $(ARGS)

# As root, with qemu-system-x86 and linux-image-amd64; a part of `make test`, too.
kernel: $(VENV)/.test
	$(BIN)/python -m pytest tests/kernels

# As root: two hundred containers come and go on a bridge, and nothing is left.
networks: $(VENV)/.test
	DOCKERLAB_TEST_RUNS=200 $(BIN)/python -m pytest tests/integration/test_networks.py

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/style_score.py --check dockerlab

format: $(VENV)/.test
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

docs: $(VENV)/.test
	$(BIN)/python scripts/reference.py

bench: $(VENV)/.test
	$(BIN)/python benchmarks/run_latency.py
	$(BIN)/python benchmarks/run_latency.py --network bridge
	$(BIN)/python benchmarks/rootless_latency.py

clean:
	rm -rf $(VENV) .demo demo build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

# One environment; a stamp a set of extras, renewed when the project file changes.
$(VENV)/pyvenv.cfg:
	@test -n "$(PYTHON)" || { echo "dockerlab needs Python 3.11 or newer with its venv module" \
		"(Debian, Ubuntu: apt install python3-venv); or say make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: EXTRAS := demo
$(VENV)/.lab: EXTRAS := demo,lab
$(VENV)/.test: EXTRAS := test
$(VENV)/.demo $(VENV)/.lab $(VENV)/.test: pyproject.toml $(VENV)/pyvenv.cfg
	@echo "installing jupyter-dockerlab[$(EXTRAS)] into $(VENV)"
	@$(PIP_INSTALL) --editable '.[$(EXTRAS)]'
	@touch $@
