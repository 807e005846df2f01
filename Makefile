# A Debian machine with only Rust, make and a C compiler runs every target except goldens (Python and PyTorch).
# demo, test and bench share one build profile, release.
CARGO ?= cargo
# Options for the demo, as in: make demo ARGS="--epochs 3"
ARGS ?=

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | while IFS='	' read -r t d; do printf '  make %-8s %s\n' "$$t" "$$d"; done

demo: driver ## train LeNet-5 on the embedded digits
	$(CARGO) run --release --locked -- train $(ARGS)

# The build comes first, so that the program it leaves can say which adapters the tests will meet.
# `cargo run` would build wgpu a second time: the tests ask for more of its features. A table that the user made of the
# fastest kernels has no say in them, and they leave nothing in the user's folder.
test: driver ## run the whole test suite, doc tests included
	sh scripts/driver_test.sh
	$(CARGO) test --release --locked --no-run
	@target=$$($(CARGO) metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/') && \
		set -x && "$$target/release/wgrad" devices
	WGRAD_TUNING=0 WGRAD_PIPELINES=0 $(CARGO) test --release --locked

bench: driver ## run the benchmarks
	$(CARGO) bench --locked

doc: ## build the API documentation; a warning is an error
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --locked --no-deps

# In the release profile too, so that build scripts and macros are built once for lint and test.
lint: ## check format, lints and documentation; a warning is an error
	$(CARGO) fmt --check
	$(CARGO) clippy --release --locked --all-targets -- -D warnings
	$(CARGO) clippy --release --locked --no-default-features --lib -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --locked --no-deps

driver: ## see to it that there is a Vulkan driver (Debian: install one where none is)
	@sh scripts/driver.sh

goldens: ## make the numbers from PyTorch that the tests compare with
	python3 tests/goldens/make.py
	python3 tests/goldens/models.py

clean: ## remove what the build left
	$(CARGO) clean

.PHONY: help demo test bench doc lint driver goldens clean
