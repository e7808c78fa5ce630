# Each target sets everything up in .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

EXPERIMENTS ?= dmm_table1,dmm_table2,dmm_table3,mgg_table1,mgg_table2,mgg_table3,lga_table
SEEDS ?= 1
# A process takes up to 6 GB of memory.
PROCESSES ?= -n logical --maxprocesses=4
SYNTHETIC := runs/synthetic

.PHONY: demo experiments pipeline test lint quick clean

demo: $(INSTALLED)
	@$(BIN)/python -m tfac.cli.demo

# The tables of both papers and LGA-Net's by the small protocol on synthetic faces: 35 runs, some 80
# minutes on 2 cores a seed. May be stopped and gone on with. Fewer: make experiments
# EXPERIMENTS=dmm_table1,mgg_net; mgg_table4, the other backbones, too: EXPERIMENTS=all
experiments: $(INSTALLED)
	@$(BIN)/python -m tfac.cli.prepare --dataset=synthetic_faces --data_dir=$(SYNTHETIC)/data \
	  --synthetic_image_size=64 --synthetic_train_count=1500 \
	  --synthetic_validation_count=300 --synthetic_test_count=500
	@$(BIN)/python -m tfac.cli.experiment --experiment=$(EXPERIMENTS) --protocol=small \
	  --seeds=$(SEEDS) --data_dir=$(SYNTHETIC)/data --output_dir=$(SYNTHETIC)

# From drawn faces to a blessed, pushed model, under pipeline_runs/ and saved_models/. Again: what
# has not changed is taken from the cache.
pipeline: $(INSTALLED)
	@$(BIN)/python -m pipelines.draw_faces --folder=pipeline_runs/synthetic_photos
	@$(BIN)/python -m pipelines.run --config=synthetic

test: lint
	$(BIN)/python -m pytest $(PROCESSES)

quick: $(INSTALLED)
	$(BIN)/python -m pytest $(PROCESSES) -m "not slow"

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

$(INSTALLED): setup.py pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "tfac needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.11"; exit 1; }
	@echo "Setting up $(VENV) (a few minutes, once)"
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "Python's venv module is missing; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) demo saved_models/demo build *.egg-info
