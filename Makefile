# Builds the module for Debian's nginx, or, with NGINX=vendored, for the nginx 1.28 of crate
# nginx-src, or, with NGINX=trixie and the like, for that of another Debian suite; for another
# nginx, see README.md. What is missing is installed with apt.

NGINX ?= debian
# An nginx that finds this in its environment takes it for sockets to inherit.
unexport NGINX
CARGO ?= cargo
DESTDIR ?=

override OUT := target/$(NGINX)
override MODULE := $(OUT)/ngx_http_sticky_rs.so

# What nginx-sys, bindgen and nginx's configure want.
BUILD_PACKAGES := gcc make=make /usr/include/pcre2.h=libpcre2-dev /usr/include/zlib.h=zlib1g-dev \
	/usr/include/openssl/ssl.h=libssl-dev libclang-dev

ifeq ($(NGINX),debian)
FEATURES :=
# Runs a command with the configured tree of Debian's nginx.
WITH_NGINX = tree=$$(tools/nginx-tree $(OUT)) && env $$tree
NGINX_BINARY = $$(command -v nginx || echo /usr/sbin/nginx)
RUN_PACKAGES := /usr/sbin/nginx=nginx
else ifeq ($(NGINX),vendored)
FEATURES := --features vendored
# The modules of Debian's nginx that the tests need.
WITH_NGINX = env NGX_CONFIGURE_ARGS="--with-debug --with-http_gunzip_module \
	--with-http_sub_module --with-http_auth_request_module --with-http_addition_module \
	--with-http_slice_module --with-http_stub_status_module"
NGINX_BINARY = $$(ls -t $(CURDIR)/$(OUT)/release/build/nginx-sys-*/out/objs/nginx | head -n 1)
RUN_PACKAGES :=
else ifeq ($(NGINX),source)
# NGINX_SOURCE_DIR and NGINX_BUILD_DIR of the environment, TEST_NGINX_BINARY for tests.
FEATURES :=
WITH_NGINX = env
NGINX_BINARY = $${TEST_NGINX_BINARY:?is the nginx to test with}
RUN_PACKAGES :=
else ifneq ($(filter bookworm trixie forky testing sid,$(NGINX)),)
# Unpacked in target, not installed.
FEATURES :=
WITH_NGINX = tree=$$(tools/nginx-suite $(NGINX) $(OUT)/nginx) && env $$tree
NGINX_BINARY = $$(cat $(CURDIR)/$(OUT)/nginx/binary)
RUN_PACKAGES :=
# What the arguments of Debian's build come from.
BUILD_PACKAGES += dpkg-buildflags=dpkg-dev
else
$(error NGINX=$(NGINX): expected debian, vendored, source, or a suite of Debian such as trixie)
endif

# What make matrix builds for and tests with.
MATRIX ?= debian trixie vendored testing

.PHONY: all module module-path install demo test test-core test-long tsan miri test-layout test-nginx test-apps test-killed test-static matrix \
	matrix-row lint bench bench-core bench-scale bench-nginx bench-instructions bench-reload fuzz clean help packages

all: module

help:
	@echo 'make              the module for the installed nginx of Debian: $(MODULE)'
	@echo 'make install      into nginx'"'"'s modules directory (DESTDIR, MODULES_PATH)'
	@echo 'make demo         a shop without cookies, behind nginx without and with the module'
	@echo 'make test         all tests: cargo test, then prove -r t'
	@echo 'make test-apps    PHP, Tomcat, Socket.IO and MCP behind the configurations of nginx-conf'
	@echo 'make test-long    the session table'"'"'s simulation, killed workers and models for longer, SEED=number'
	@echo 'make tsan, miri   threads on a session table under ThreadSanitizer, under Miri; with nightly Rust'
	@echo 'make test-killed  nginx workers killed between any two steps of the session table'
	@echo 'make matrix       builds and tests for each of: $(MATRIX)'
	@echo 'make test-static  builds nginx 1.28 with --add-module, with --add-dynamic-module; tests both'
	@echo 'make lint         format, clippy, documentation'
	@echo 'make bench        bench-core: the session table, the page scanner; bench-nginx: whole requests'
	@echo 'make bench-instructions  what the module adds to a request and to a page, in instructions'
	@echo 'make bench-scale  a session and a whole table, from 10 thousand to 50 million sessions'
	@echo 'make bench-reload what a reload with 10 million sessions makes requests wait'
	@echo 'make fuzz         fuzzes whatever reads bytes from outside, FUZZ_SECONDS=600 for each of FUZZ_TARGETS'
	@echo 'make module-path  where the module is'
	@echo 'make clean        remove what was built'
	@echo
	@echo 'NGINX=debian      the nginx of Debian'"'"'s package (default)'
	@echo 'NGINX=vendored    nginx 1.28 of crate nginx-src, built here'
	@echo 'NGINX=trixie      that of another Debian suite: bookworm trixie forky testing sid'
	@echo 'NGINX=source      your own: NGINX_SOURCE_DIR, NGINX_BUILD_DIR'

packages:
	@tools/packages 'building the module' $(BUILD_PACKAGES)
	@command -v $(CARGO) >/dev/null || { echo 'sticky: Rust is needed, see https://rustup.rs' >&2; exit 1; }

module: packages
	$(WITH_NGINX) $(CARGO) build --release --locked --target-dir $(OUT) $(FEATURES)
	@cp $(OUT)/release/libngx_http_sticky_rs.so $(MODULE).new && mv $(MODULE).new $(MODULE)
	@echo 'sticky: built $(MODULE)'

module-path:
	@test -e $(MODULE) || { echo 'sticky: not built yet, run make NGINX=$(NGINX)' >&2; exit 1; }
	@echo $(CURDIR)/$(MODULE)

# Where nginx looks for modules: as its build says, or under its prefix.
MODULES_PATH ?= $(shell "$(NGINX_BINARY)" -V 2>&1 | tr ' ' '\n' | sed -n 's/^--modules-path=//p' | grep . || echo /usr/lib/nginx/modules)

# Not as a dependency: root often has no cargo.
install:
	@test -e $(MODULE) || $(MAKE) module
	install -D -m 0644 $(MODULE) $(DESTDIR)$(MODULES_PATH)/ngx_http_sticky_rs.so
	@echo 'sticky: load it with: load_module modules/ngx_http_sticky_rs.so;'

demo: module
	@tools/packages 'the demo' $(RUN_PACKAGES) perl
	@demo/run $(CURDIR)/$(MODULE) "$(NGINX_BINARY)"

test: test-core test-layout test-nginx

test-core: packages
	pages=$$(tools/pages target/pages) && \
	env $${pages:+STICKY_PAGES="$$pages"} $(CARGO) test --locked -p sticky-core --features steps --target-dir target/core
	$(CARGO) test --locked -p sticky-core --features model --target-dir target/core --test table_orders

# The proofs of the session table once more, on another course and for some minutes longer.
SEED ?= $(shell date +%s)
test-long: packages
	STICKY_SEED=$(SEED) STICKY_STEPS=30000000 STICKY_DEATHS=100 $(CARGO) test --locked -p sticky-core \
		--features steps --target-dir target/core --test table_simulation --test table_killed --test table_work
	LOOM_MAX_PREEMPTIONS=4 $(CARGO) test --locked -p sticky-core --features model --target-dir target/core --test table_orders

# Threads on one table under ThreadSanitizer, which only nightly Rust has.
NIGHTLY ?= +nightly
tsan: packages
	@$(CARGO) $(NIGHTLY) --version >/dev/null 2>&1 || \
		{ echo 'sticky: a nightly Rust is needed: rustup toolchain install nightly' >&2; exit 1; }
	RUSTFLAGS='-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer' \
		TSAN_OPTIONS='suppressions=$(CURDIR)/tools/tsan-suppressions' \
		$(CARGO) $(NIGHTLY) test --locked -p sticky-core --target-dir target/tsan \
		--target "$$(rustc -vV | sed -n 's/^host: //p')" --test table_threads -- --test-threads 1

# The table under Miri, in a small number of rounds. On x86-64 it must be told of 16-byte atomics.
miri: packages
	@$(CARGO) $(NIGHTLY) miri --version >/dev/null 2>&1 || \
		{ echo 'sticky: Miri is needed: rustup component add miri rust-src --toolchain nightly' >&2; exit 1; }
	RUSTFLAGS="$$(rustc -vV | sed -n 's/^host: x86_64.*/-Ctarget-feature=+cmpxchg16b/p')" MIRIFLAGS=-Zmiri-disable-isolation \
		$(CARGO) $(NIGHTLY) miri test --locked -p sticky-core --target-dir target/miri $(addprefix --test table_, \
		word claims bytes model room sweep threads)

# Structures as the module sees them, and as C does.
test-layout: packages
	$(WITH_NGINX) $(CARGO) test --release --locked -p ngx_http_sticky_rs --target-dir $(OUT) $(FEATURES)

# Tests whose servers and clients cannot be installed are skipped, and say so.
test-nginx: module
	@tools/packages 'testing' $(RUN_PACKAGES) perl
	@tools/test-packages || true
	@tools/test-nginx $(CURDIR)/$(MODULE) "$(NGINX_BINARY)" $(T)

# Real applications behind the configurations of nginx-conf.
test-apps: module
	@tools/packages 'testing' $(RUN_PACKAGES) perl
	@tools/test-apps $(CURDIR)/target/apps
	@STICKY_APPS=$(CURDIR)/target/apps tools/test-nginx $(CURDIR)/$(MODULE) "$(NGINX_BINARY)" $(or $(T),t/apps)

# Workers that die between two steps, in a module with marks there; see src/core/step.rs.
test-killed: packages
	$(WITH_NGINX) $(CARGO) build --release --locked --target-dir $(OUT)/steps $(FEATURES) --features steps
	@cp $(OUT)/steps/release/libngx_http_sticky_rs.so $(OUT)/steps/ngx_http_sticky_rs.so
	@tools/packages 'testing' $(RUN_PACKAGES) perl
	@TEST_NGINX_MARKS=1 tools/test-nginx $(CURDIR)/$(OUT)/steps/ngx_http_sticky_rs.so "$(NGINX_BINARY)" \
		t/sticky_state_killed.t t/sticky_table_killed.t t/sticky_table_steps.t

# The source of nginx 1.28, which crate nginx-src brings; or another.
STATIC_SOURCE ?= $(shell $(CARGO) metadata --locked --format-version 1 --features vendored \
	--filter-platform "$$(rustc -vV | sed -n 's/^host: //p')" \
	| sed -n 's/.*"manifest_path":"\([^"]*\/nginx-src-[^"/]*\)\/Cargo.toml".*/\1\/nginx/p')

# As users of C modules build: nginx's configure with the config script.
test-static: packages
	@tools/packages 'testing' perl
	@tools/test-static "$(STATIC_SOURCE)" target/static $(T)

# A table of versions and results; fails when one of them does.
matrix:
	@MAKE='$(MAKE)' tools/matrix $(MATRIX)

# One row's part of it.
matrix-row: test-layout test-nginx

lint: packages
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	$(WITH_NGINX) $(CARGO) clippy --release --locked --workspace --all-targets --target-dir $(OUT) $(FEATURES) -- -D warnings
	$(CARGO) clippy --locked -p sticky-core --all-targets --features steps --target-dir target/core -- -D warnings
	$(CARGO) clippy --locked -p sticky-core --features model --test table_orders --target-dir target/core -- -D warnings
	$(WITH_NGINX) RUSTDOCFLAGS='-D warnings -A rustdoc::private-intra-doc-links' $(CARGO) doc --release --locked --workspace --no-deps --document-private-items --target-dir $(OUT) $(FEATURES)

bench: bench-core bench-nginx

bench-core: packages
	pages=$$(tools/pages target/pages) && \
	env $${pages:+STICKY_PAGES="$$pages"} $(CARGO) bench --locked -p sticky-core --bench table --bench scan --target-dir target/core

# Up to 50 million sessions: 5 GB of memory.
bench-scale: packages
	$(CARGO) bench --locked -p sticky-core --bench scale --target-dir target/core

# Beside round robin, and what else there is; BENCH_ROUNDS and more: see the tool.
bench-nginx: module
	@tools/packages 'the benchmark' $(RUN_PACKAGES) perl wrk taskset=util-linux
	@tools/bench-nginx $(CURDIR)/$(MODULE) "$(NGINX_BINARY)"

# Under callgrind: repeatable, whatever else the machine does.
bench-instructions: module
	@tools/packages 'the benchmark' $(RUN_PACKAGES) perl valgrind
	@status=0; for part in '' --pages; do \
		tools/bench-instructions $$part $(CURDIR)/$(MODULE) "$(NGINX_BINARY)" || status=1; \
	done; exit $$status

# How long requests wait while nginx reloads with ten million sessions.
bench-reload: module
	@tools/packages 'the benchmark' $(RUN_PACKAGES) perl wrk taskset=util-linux
	@tools/bench-reload $(CURDIR)/$(MODULE) "$(NGINX_BINARY)"

# Seconds for each target, and which of those in fuzz/targets; none means all. FUZZ_JOBS run at once.
FUZZ_SECONDS ?= 600
FUZZ_TARGETS ?=

fuzz: packages
	@tools/packages 'fuzzing' g++
	@CARGO='$(CARGO)' tools/fuzz $(FUZZ_SECONDS) $(FUZZ_TARGETS)

clean:
	rm -rf target
