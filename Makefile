# Every target is short; the work is done by cargo. `make help` lists them.
.DEFAULT_GOAL := help
CARGO ?= cargo
NEXTEST := $(shell $(CARGO) nextest --version >/dev/null 2>&1 && echo yes)
PYTHON ?= python3
APT := { test "$$(id -u)" = 0 && apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends redis-server; } >/dev/null 2>&1
TARGET := $(or $(CARGO_TARGET_DIR),target)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install the pinned toolchain and the wasm target
	@rustup show active-toolchain >/dev/null 2>&1 || rustup toolchain install
	@rustup target list --installed | grep -qx wasm32-wasip2 || rustup target add wasm32-wasip2

setup-redis: ## install redis-server for the tests that need it (on Debian, as root), or say that it is missing
	@test "$$TOOLCELL_TEST_REDIS" = off || command -v redis-server >/dev/null || $(APT) || \
	  { echo "The tests of the shared cache need redis-server: install the package redis-server, or set TOOLCELL_TEST_REDIS=off."; exit 1; }

build: setup ## build the command line (target/debug/toolcell)
	$(CARGO) build --locked -p toolcell-cli

guests: setup ## build the built-in tools and the test guests alone
	$(CARGO) build --locked --release --manifest-path guest-tools/Cargo.toml --target wasm32-wasip2 --target-dir $(TARGET)/guests
	$(CARGO) build --locked --release --examples --manifest-path tests/guests/Cargo.toml --target wasm32-wasip2 --target-dir $(TARGET)/guests

demo: build ## watch an agent work with real tools, and be refused
	@$(TARGET)/debug/toolcell demo

test: setup setup-redis test-rust test-guest-tools test-mcp ## run every test
	@echo "All test suites passed."

test-rust:
ifeq ($(NEXTEST),yes)
	$(CARGO) nextest run --locked --workspace --no-fail-fast
else
	$(CARGO) test --locked --workspace --lib --bins --tests
endif
	$(CARGO) test --locked --workspace --doc --features toolcell/test-support

test-guest-tools:
	$(CARGO) test --locked --manifest-path guest-tools/Cargo.toml --target-dir $(TARGET)/guests

# The tests before have built the program. Building it alone would build the engine again, with other features.
test-mcp:
	@test -x $(TARGET)/debug/toolcell || $(MAKE) build
	$(PYTHON) tests/mcp/run.py $(TARGET)/debug/toolcell

test-fast: ## run the unit tests of the host crates alone
	$(CARGO) test --locked --workspace --lib

lint: setup ## formatting and lints, warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path guest-tools/Cargo.toml --all --check
	$(CARGO) clippy --locked --workspace --all-targets --features toolcell/test-support -- -D warnings
	$(CARGO) clippy --locked --manifest-path guest-tools/Cargo.toml --all-targets --all-features --target-dir $(TARGET)/guests -- -D warnings

fmt: ## format everything
	$(CARGO) fmt --all
	$(CARGO) fmt --manifest-path guest-tools/Cargo.toml --all

docs: ## build the API documentation, warnings are errors
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps

bench: setup ## measure a whole call against the raw engine, and the search for secrets
	$(CARGO) bench --locked -p toolcell --features test-support --bench call --bench redact

FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= $(notdir $(basename $(wildcard fuzz/fuzz_targets/*.rs)))

fuzz: ## run each fuzz target for a minute (needs cargo-fuzz and the nightly toolchain)
	@$(CARGO) fuzz --version >/dev/null 2>&1 || { echo "make fuzz needs cargo-fuzz: cargo install --locked cargo-fuzz"; exit 1; }
	@rustup run nightly rustc --version >/dev/null 2>&1 || { echo "make fuzz needs a nightly compiler: rustup toolchain install nightly"; exit 1; }
	rustup run nightly cargo fuzz build
	@for target in $(FUZZ_TARGETS); do \
	  echo "fuzzing $$target for $(FUZZ_SECONDS) s"; mkdir -p fuzz/corpus/$$target; \
	  rustup run nightly cargo fuzz run $$target fuzz/corpus/$$target tests/properties/seeds/$$target -- \
	    -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 -verbosity=0 || exit 1; \
	done

SOAK_CALLS ?= 200000

soak: setup ## make 200,000 good and hostile calls, and check that nothing grows
	SOAK_CALLS=$(SOAK_CALLS) SOAK_DIR=$(abspath $(TARGET))/soak $(CARGO) test --locked -p toolcell --test soak -- --ignored --nocapture

deny: ## check advisories, licences and sources (needs cargo-deny)
	$(CARGO) deny --locked check

ci: lint test docs ## what CI runs

.PHONY: help setup setup-redis build guests demo test test-rust test-guest-tools test-mcp test-fast lint fmt docs bench fuzz soak deny ci
