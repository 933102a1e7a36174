# Two commands do all the set-up: make run, make test.
PYTHON ?= python3
PARAMS ?= params/rehearsal.yaml
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
export MPLCONFIGDIR := $(CURDIR)/$(VENV)/matplotlib

.DEFAULT_GOAL := help
.PHONY: help run test jupyter record bench strip clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' Makefile | awk -F'|' '{printf "make %-10s %s\n", $$1, $$2}'

run: $(VENV)/ready  ## the whole runbook; PARAMS=params/server.yaml for a real server, ARGS="--mode apply" to change it
	@"$(BIN)/runbook" run --params "$(PARAMS)" $(ARGS)

test: $(VENV)/ready  ## all tests that this machine can run
	@"$(BIN)/python" -m pytest $(ARGS)

jupyter: $(VENV)/ready  ## step through the notebooks in JupyterLab; runbook close turns it into a run of the journal
	@folder=$$("$(BIN)/runbook" draft --params "$(PARAMS)" --quiet) && "$(BIN)/jupyter" lab $(ARGS) "$$folder"

record: $(VENV)/ready  ## take the rehearsal's recordings anew from the cluster of KUBECONFIG
	@"$(BIN)/python" -m runbook.rehearsal.record --kubeconfig "$(KUBECONFIG)" --params params/rehearsal.yaml

bench: $(VENV)/ready  ## measure, one line each
	@for b in tests/bench/bench_*.py; do "$(BIN)/python" "$$b" || exit 1; done

strip: $(VENV)/ready  ## take the outputs out of the stored notebooks
	@"$(BIN)/nbstripout" notebooks/*.ipynb

clean:  ## forget the environment and the rehearsal's state
	@rm -rf "$(VENV)" .rehearsal

$(VENV)/ready: requirements.txt pyproject.toml
	@echo "Making the environment in $(VENV) (a minute or two, once) …"
	@$(PYTHON) -m venv "$(VENV)"
	@"$(BIN)/pip" install --quiet --disable-pip-version-check -e .
	@touch "$@"
