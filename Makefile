# `make codesign` and `make test` set up everything they need; nothing else has to be known.
# Needs: python3 (3.11 or newer) with venv, a C++17 compiler with OpenMP, make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= runs/codesign
RESULTS ?= .benchmarks
PIP_INSTALL := $(BIN)/pip install -q --disable-pip-version-check -c constraints.txt
requirements = $(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))$(1), sep="\n")'
KERNEL_SOURCES := CMakeLists.txt setup.py $(wildcard csrc/*)

.PHONY: setup codesign test test-slow sanitize fuzz valgrind peers bench clean

codesign: setup
	if [ -f $(OUT)/run.json ]; then $(BIN)/nasrec codesign --resume $(OUT); else $(BIN)/nasrec codesign --out $(OUT); fi

# A process of tests for each core, at most eight: each loads torch. Threads that wait leave the core to the others.
test: setup
	$(BIN)/ruff check .
	OMP_WAIT_POLICY=passive $(BIN)/pytest -m "not slow" --benchmark-disable -n auto --maxprocesses 8 --dist worksteal

test-slow: setup
	$(BIN)/pytest -m slow --benchmark-disable

# Whole forms of what `make test` has in short; all are part of `make test-slow`.
sanitize: setup
	$(BIN)/pytest tests/csrc/test_sanitizers.py

fuzz: setup
	$(BIN)/pytest tests/csrc/test_hostile_input.py -v

valgrind: setup
	$(BIN)/pytest tests/csrc/test_valgrind.py

# Kernels beside their peers; make bench ISA=avx2 RESULTS=benchmarks/results. The environment: benchmarks/README.md.
bench: setup
	OPENBLAS_NUM_THREADS=1 MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=8589934592 MALLOC_TOP_PAD_=268435456 \
	  $(BIN)/pytest benchmarks --benchmark-only $(if $(ISA),--isa $(ISA)) --results $(RESULTS)

# What they are compared with, beside torch; CrossSim is a checkout that CROSSSIM names.
peers: setup
	$(PIP_INSTALL) --no-build-isolation -e ".[dev,peers]"

setup: $(VENV)/.setup-done

$(VENV)/.tools-done: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "python 3.11 or newer is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(call requirements,["build-system"]["requires"]) >$(VENV)/tools.txt
	$(PIP_INSTALL) -r $(VENV)/tools.txt
	touch $@

$(VENV)/.requirements-done: $(VENV)/.tools-done
	$(call requirements,["project"]["dependencies"]) >$(VENV)/requirements.txt
	$(call requirements,["project"]["optional-dependencies"]["dev"]) >>$(VENV)/requirements.txt
	$(PIP_INSTALL) -r $(VENV)/requirements.txt
	touch $@

$(VENV)/.kernels-done: $(VENV)/.tools-done $(KERNEL_SOURCES)
	MAKEFLAGS= $(BIN)/python setup.py -q build_ext --inplace
	touch $@

# Kernels are compiled while packages are installed: either takes minutes. (Ninja is not told of make's -j2, whose pipes
# do not reach it.) Editable: an edit of a Python file needs no new installation, an edit of a kernel does.
$(VENV)/.setup-done: pyproject.toml constraints.txt $(KERNEL_SOURCES)
	+$(MAKE) --no-print-directory $(VENV)/.tools-done
	+$(MAKE) --no-print-directory -j2 $(VENV)/.requirements-done $(VENV)/.kernels-done
	$(PIP_INSTALL) --no-build-isolation -e ".[dev]"
	touch $@

clean:
	rm -rf build $(VENV) nasrec/_kernels*.so pimsim/_kernels*.so *.egg-info
