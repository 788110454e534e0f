# `make run` tries it, `make test` checks it. Nothing has to be installed first but make and Python 3.11 or newer.

.PHONY: help run test compiled faults lint type bench docs screens binary binary-check test-binary lock clean .venv
.PHONY: release release-tools release-inputs release-check
.DEFAULT_GOAL := help

VENV := .venv
PY := $(VENV)/bin/python
#: Written last, so that a set-up that was cut short is done again.
STAMP := $(VENV)/.complete
#: All that is built on the way, apart from the tracked folder build/.
WORK := .work

#: The first Python that is new enough, best one that can also make environments. `make PYTHON=… test` takes another.
PYTHON ?= $(shell for also in ', ensurepip' ''; do for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c "import sys$$also; sys.exit(sys.version_info < (3, 11))" 2>/dev/null && echo $$p && exit; done; done)

help:
	@echo 'make run     start a principal with an agent on the sample workflows'
	@echo 'make test    lint, types and all tests'
	@echo 'make faults  break everything in turn, at length, and keep what was found in docs/reliability.md'
	@echo 'make lint    ruff and mypy; make type: mypy alone'
	@echo 'make bench   measure, and compare with the targets'
	@echo 'make docs    write the pages of settings and commands anew'
	@echo 'make screens take the pictures of the terminal UI anew, into docs/screens/'
	@echo 'make binary  the program without Python, one file: dist/cdktr'
	@echo 'make release the same for old hosts: dist/cdktr-linux-x86_64 runs with glibc 2.28; ten minutes the first time'
	@echo 'make test-binary   what it must do on hosts of all kinds, with BINARY=FILE another than dist/cdktr'
	@echo 'make binary-check, make release-check   another build is the same, byte for byte'
	@echo 'make lock    pin requirements.in again, with hashes, in requirements.lock'
	@echo 'make clean   back to a fresh clone, .venv included'

.venv: $(STAMP)

# ensurepip: what Debian keeps in a package of its own, without which `python3 -m venv` fails half-way.
$(STAMP): requirements.lock
	@python='$(PYTHON)'; \
	if ! "$${python:-false}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		echo "cdktr needs Python 3.11 or newer$${python:+, and $$python is not}: install one, or name it with make PYTHON=/path/to/python." >&2; \
		exit 1; \
	fi; \
	if ! "$$python" -c 'import ensurepip' 2>/dev/null; then \
		if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
			echo "This Python cannot make environments: sudo apt-get install python3-venv adds what is missing (on Debian and Ubuntu)." >&2; \
			exit 1; \
		fi; \
		echo 'Installing python3-venv …'; \
		apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install python3-venv >/dev/null || exit 1; \
	fi; \
	echo "Setting up $(VENV) with $$("$$python" -V), a minute the first time …"; \
	"$$python" -m venv --clear $(VENV) && \
	$(PY) -m pip install --quiet --no-input --disable-pip-version-check \
		--only-binary :all: --require-hashes -r requirements.lock
	@touch $@

run: $(STAMP)
	@echo 'A principal with one agent starts on workflows/; its data go to ~/.cdktr unless the environment or .env says otherwise.'
	@echo 'Ctrl-C stops it. In a second terminal, in this folder:'
	@echo
	@echo '    $(PY) cdktr.py task list'
	@echo '    $(PY) cdktr.py task run hello --wait --follow'
	@echo '    $(PY) cdktr.py logs query --workflow hello --last 1h'
	@echo '    $(PY) cdktr.py status'
	@echo
	@exec $(PY) cdktr.py start principal --with-agent

#: At once, twice as many as two cores: most tests wait for processes. A file's tests stay together, as they share daemons.
JOBS := 4
# Without bytecode, each of a thousand processes and each worker would compile everything again.
test: export PYTHONDONTWRITEBYTECODE :=
test: $(STAMP)
	@$(MAKE) --no-print-directory -j2 lint compiled
	$(PY) -m pytest -n $(JOBS) --dist loadfile

# The tests as pytest rewrites them, once for all workers, while mypy works.
compiled: $(STAMP)
	@said=$$($(PY) -m pytest --collect-only -qqq) || { echo "$$said"; exit 1; }

faults: $(STAMP)
	$(PY) -m pytest tests/faults --faults=all --faults-page=docs/reliability.md

lint: $(STAMP)
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy

type: $(STAMP)
	$(PY) -m mypy

bench: $(STAMP) dist/cdktr dist/cdktr-onefile
	$(PY) -m tests.bench

docs: $(STAMP)
	$(PY) -m docs.reference

screens: $(STAMP)
	$(PY) -m tests.screens

# $(call need,PROGRAMS,PACKAGES): what the build takes from the host is there, or is installed where that is allowed.
define need
	@if ! (for each in $(1); do command -v $$each || exit; done) >/dev/null; then \
		if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
			echo "The build needs $(1): sudo apt-get install $(2) brings them (on Debian and Ubuntu)." >&2; \
			exit 1; \
		fi; \
		echo 'Installing $(2) …'; \
		apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends $(2) >/dev/null || exit 1; \
	fi
endef

# The first two make two builds of one commit the same, byte for byte. WITH_UV=1 takes uv along, for `!UvPython` tasks.
binary release: export SOURCE_DATE_EPOCH ?= 1700000000
binary release: export PYTHONHASHSEED = 0
binary release: export WITH_UV ?= 0
binary: export PYINSTALLER_CONFIG_DIR = $(WORK)/pyinstaller-cache
binary: $(STAMP)
	$(call need,objdump strip,binutils)
	$(PY) -m PyInstaller --noconfirm --log-level WARN --workpath $(WORK)/pyinstaller --distpath $(WORK)/program build/cdktr.spec
	$(PY) build/pack.py $(WORK)/program/cdktr dist/cdktr
	$(PY) build/sbom.py $(WORK)/program/cdktr/_internal/cdktr/components.json dist/cdktr.cdx.json
	CDKTR_APP_DATA_DIRECTORY=$(WORK)/data dist/cdktr --version

# On an interpreter that was built against an old glibc, which is kept as long as its recipe is the same.
PORTABLE := $(WORK)/interpreter
RELEASE := dist/cdktr-linux-x86_64
release: export PYINSTALLER_CONFIG_DIR = $(WORK)/pyinstaller-cache-portable
release: release-inputs
	$(PY) build/interpreter.py $(PORTABLE)
	LD_LIBRARY_PATH=$(PORTABLE)/python/lib:$(PORTABLE)/lib PYTHONPATH=$(PORTABLE)/site $(PORTABLE)/python/bin/python3.11 \
		-m PyInstaller --noconfirm --log-level WARN --workpath $(WORK)/release --distpath $(WORK)/released build/cdktr.spec
	$(PY) build/portable.py $(WORK)/released/cdktr
	$(PY) build/pack.py $(WORK)/released/cdktr $(RELEASE)
	$(PY) build/sbom.py $(WORK)/released/cdktr/_internal/cdktr/components.json $(RELEASE).cdx.json
	CDKTR_APP_DATA_DIRECTORY=$(WORK)/data $(RELEASE) --version

# What compiles it, as far as it comes from the host.
release-tools: $(STAMP)
	$(call need,objdump strip dpkg-source patch perl tclsh,binutils dpkg-dev tcl)

# All that comes over the network. Where it cannot be had, that is told before anything is compiled.
release-inputs: release-tools
	$(PY) build/interpreter.py --fetch $(PORTABLE)

# Whether a file has uv in it: its head names all that it holds.
WITH_UV_IN = $(shell LC_ALL=C sed '/^files=/!d;q' $(1) | tr " '" '\n' | grep -qx _internal/uv && echo 1 || echo 0)

# $(call again,TARGET,FILE): of the same files, in another folder and at another time, comes the same file.
ELSEWHERE = $(CURDIR)/$(WORK)/elsewhere/$(notdir $(CURDIR))
define again
	rm -rf $(ELSEWHERE) && mkdir -p $(ELSEWHERE)
	cp -r build cdktr cdktr.py workflows requirements.lock LICENSE Makefile $(ELSEWHERE)
	$(MAKE) -C $(ELSEWHERE) PY=$(CURDIR)/$(PY) STAMP= PORTABLE=$(abspath $(PORTABLE)) WITH_UV=$(call WITH_UV_IN,$(2)) $(1)
	cmp $(2) $(ELSEWHERE)/$(2)
	rm -rf $(ELSEWHERE)
endef
binary-check: dist/cdktr
	$(call again,binary,$<)
release-check: $(RELEASE)
	$(call again,release,$<)

BINARY := dist/cdktr
test-binary: $(BINARY)
	$(PY) -m pytest $(or $(TESTS),tests/binary) --binary=$< -n $(JOBS) --dist loadfile

dist/cdktr:
	$(MAKE) binary
$(RELEASE):
	$(MAKE) release

# PyInstaller's own way to one file, of the same program, for `make bench` alone.
dist/cdktr-onefile:
	ONE_FILE=1 PYINSTALLER_CONFIG_DIR=$(WORK)/pyinstaller-cache \
		$(PY) -m PyInstaller --noconfirm --log-level WARN --workpath $(WORK)/pyinstaller-onefile --distpath dist build/cdktr.spec

#: pip-tools lives beside .venv, not in it: it brings its own pip and setuptools.
PIP_TOOLS := 7.6.2
lock: $(STAMP)
	$(PY) -m venv $(WORK)/pip-tools
	$(WORK)/pip-tools/bin/python -m pip install --quiet --disable-pip-version-check pip-tools==$(PIP_TOOLS)
	CUSTOM_COMPILE_COMMAND='make lock' $(WORK)/pip-tools/bin/pip-compile --quiet --generate-hashes --allow-unsafe \
		--strip-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options \
		--output-file requirements.lock requirements.in

clean:
	rm -rf $(VENV) $(WORK) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find cdktr tests docs build workflows -name __pycache__ -type d -prune -exec rm -rf {} +
