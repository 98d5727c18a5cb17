# make            the three filters, optimised, in target/release
# make static     the same, needing no shared library, in target/TARGET/release (install them with BIN=...)
# make demo       a sample image becomes target/demo/rootfs.ext4; no network needed
# make check      what CI runs: format, lints, tests against real tools (as root; installs what is missing)
# make check-oldest  whether they compile with the oldest Rust that will do
# make check-targets whether the filters compile for macOS and ARM
# make check-full check, and what takes longer than a coffee
# make bench      ratios against other tools, measured in one run
# make fuzz       the fuzz targets, for FUZZ_SECONDS each
# make install    filters, man pages and completions below $(DESTDIR)$(PREFIX)
# make dist       what a release is made of, in target/dist: tarballs, Debian packages, a container image

PREFIX ?= /usr/local
DESTDIR ?=
CARGO ?= cargo
FUZZ_SECONDS ?= 60

# The target of this toolchain: with --target, build scripts and proc macros keep linking as they need to.
STATIC_TARGET ?= $(shell rustc -vV | sed -n 's/^host: //p')

# The oldest Rust that will do.
OLDEST = $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

# Tests send signals, which nohup, or a shell that puts a job in the background, would have all children ignore.
UNDISTURBED := env --default-signal=HUP,INT,QUIT,PIPE

FILTERS := oci-fetch oci-flatten tar2ext4
BIN := $(or $(CARGO_TARGET_DIR),target)/release
# Filters that this machine can run, to ask for their completions.
RUN = $(BIN)
INSTALL := $(DESTDIR)$(PREFIX)
PAGES := $(wildcard man/*.1 man/*.5)
COMPLETIONS := share/bash-completion/completions share/zsh/site-functions share/fish/vendor_completions.d

all:
	$(CARGO) build --release --locked

static:
	RUSTFLAGS="$(RUSTFLAGS) -C target-feature=+crt-static" $(CARGO) build --release --locked --target $(STATIC_TARGET)

# Built as the tests are: optimised filters take twice as long to build, and the sample is small.
demo:
	$(CARGO) build --locked
	tests/setup e2fsprogs
	tests/demo/run $(or $(CARGO_TARGET_DIR),target)/debug target/demo

check:
	tests/setup
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	tests/no-http
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps
	$(CARGO) metadata --locked --format-version 1 --manifest-path tests/fuzz/Cargo.toml >/dev/null
	$(UNDISTURBED) $(CARGO) test --locked
	$(MAKE) check-portable

# The library and the pipeline once more, by the ways that every Unix has (lib/sys).
check-portable:
	$(CARGO) clippy --locked --features portable --lib --test portable -- -D warnings
	$(UNDISTURBED) $(CARGO) test --locked --features portable --lib --test portable

# Whether the filters compile for macOS and ARM; asks rustup for what the toolchain lacks.
check-targets:
	tests/targets

# Whether it compiles with the oldest Rust that Cargo.toml names.
check-oldest:
	rustup toolchain install --profile minimal $(OLDEST)
	CARGO_TARGET_DIR=$(or $(CARGO_TARGET_DIR),target)/oldest $(CARGO) +$(OLDEST) check --locked --all-targets

# What can be tested where none of Linux's tools are: the library, and the pipeline by the ways that every Unix has.
check-macos:
	tests/setup coreutils e2fsprogs zstd
	$(CARGO) test --locked --features portable --lib --test portable

check-full: check
	tests/setup cpio dmsetup iproute2 kmod qemu-system-x86 qemu-user
	tests/deny
	tests/workflows
	$(UNDISTURBED) $(CARGO) test --locked -- --ignored

bench: all
	tests/bench/run $(BIN)

fuzz:
	tests/setup e2fsprogs
	tests/fuzz/run $(FUZZ_SECONDS)

install:
	@for filter in $(FILTERS); do test -x $(BIN)/$$filter || { echo "run make first" >&2; exit 1; }; done
	install -d $(INSTALL)/bin
	install -m 755 $(FILTERS:%=$(BIN)/%) $(INSTALL)/bin
	for page in $(PAGES); do \
	    install -D -m 644 $$page $(INSTALL)/share/man/man$${page##*.}/$${page#man/} || exit 1; \
	done
	install -d $(COMPLETIONS:%=$(INSTALL)/%)
	for filter in $(FILTERS); do \
	    $(RUN)/$$filter --completions bash >$(INSTALL)/$(word 1,$(COMPLETIONS))/$$filter && \
	    $(RUN)/$$filter --completions zsh >$(INSTALL)/$(word 2,$(COMPLETIONS))/_$$filter && \
	    $(RUN)/$$filter --completions fish >$(INSTALL)/$(word 3,$(COMPLETIONS))/$$filter.fish || exit 1; \
	done

uninstall:
	for filter in $(FILTERS); do \
	    rm -f $(INSTALL)/bin/$$filter $(INSTALL)/$(word 1,$(COMPLETIONS))/$$filter \
	        $(INSTALL)/$(word 2,$(COMPLETIONS))/_$$filter $(INSTALL)/$(word 3,$(COMPLETIONS))/$$filter.fish; \
	done
	for page in $(PAGES); do rm -f $(INSTALL)/share/man/man$${page##*.}/$${page#man/}; done

# The same bytes for the same commit, in whatever folder.
dist:
	.ci/dist

clean:
	$(CARGO) clean

.PHONY: all static demo check check-portable check-targets check-oldest check-macos check-full bench fuzz install uninstall dist clean
