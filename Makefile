# `make demo`, `make test` and `make experiments` set everything up in .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

EXPERIMENTS ?= all
SEEDS ?= 1
SYNTHETIC := runs/synthetic

.PHONY: demo experiments test lint quick clean

demo: $(INSTALLED)
	@$(BIN)/python -m tfac.cli.demo

# Every experiment of both papers by the small protocol on synthetic faces: some 3 hours a seed on
# 2 cores. May be stopped and gone on with. Fewer: make experiments EXPERIMENTS=dmm_table1,mgg_net
experiments: $(INSTALLED)
	@$(BIN)/python -m tfac.cli.prepare --dataset=synthetic_faces --data_dir=$(SYNTHETIC)/data \
	  --synthetic_image_size=64 --synthetic_train_count=3000 \
	  --synthetic_validation_count=600 --synthetic_test_count=1000
	@$(BIN)/python -m tfac.cli.experiment --experiment=$(EXPERIMENTS) --protocol=small \
	  --seeds=$(SEEDS) --data_dir=$(SYNTHETIC)/data --output_dir=$(SYNTHETIC)

test: lint
	$(BIN)/python -m pytest

quick: $(INSTALLED)
	$(BIN)/python -m pytest -m "not slow"

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

$(INSTALLED): setup.py pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "tfac needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.11"; exit 1; }
	@echo "Setting up $(VENV) (a few minutes, once)"
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "Python's venv module is missing; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) demo saved_models/demo build *.egg-info
