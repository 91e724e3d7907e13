# Builds the module for Debian's nginx, or, with NGINX=vendored, for the nginx 1.28 of crate
# nginx-src, or, with NGINX=trixie and the like, for that of another Debian suite; for another
# nginx, see docs/install.md. What is missing is installed with apt, on a terminal after a question
# (ASSUME_YES=1: without).
#
# A comment of two ## above a target or a variable is its line in make help; ##@ begins a section.

##@ Building

## The module
all: module

## The nginx to build for: debian, the one installed; vendored, 1.28 of crate nginx-src;
## bookworm, trixie, forky, testing, sid, that of the suite; source, your own, of
## NGINX_SOURCE_DIR and NGINX_BUILD_DIR
NGINX ?= debian
# An nginx that finds this in its environment takes it for sockets to inherit.
unexport NGINX
## The cargo to call
CARGO ?= cargo
## Any value: every target that uses a module uses that of make dev
DEV ?=

override OUT := target/$(NGINX)
# What cargo calls the profile dev lies in a folder "debug".
ifeq ($(DEV),)
override PROFILE := release
override MODULE := $(OUT)/ngx_http_sticky_rs.so
else
override PROFILE := dev
override MODULE := $(OUT)/dev/ngx_http_sticky_rs.so
endif
override BUILT := $(OUT)/$(PROFILE:dev=debug)

## For NGINX=source: the configured sources of that nginx
NGINX_SOURCE_DIR ?=
## For NGINX=source: the folder that its configure has made, objs
NGINX_BUILD_DIR ?=
## For NGINX=source: the nginx to test with
TEST_NGINX_BINARY ?=
## 1: missing packages are installed without a question
ASSUME_YES ?=

# What nginx-sys, bindgen and nginx's configure want.
BUILD_PACKAGES := gcc make=make /usr/include/pcre2.h=libpcre2-dev /usr/include/zlib.h=zlib1g-dev \
	/usr/include/openssl/ssl.h=libssl-dev libclang-dev

ifeq ($(NGINX),debian)
FEATURES :=
# Runs a command with the configured tree of Debian's nginx.
WITH_NGINX = tree=$$(tools/nginx-tree $(OUT)) && env $$tree
NGINX_BINARY = $$(command -v nginx || echo /usr/sbin/nginx)
RUN_PACKAGES := /usr/sbin/nginx=nginx
# What the arguments of Debian's build come from.
BUILD_PACKAGES += dpkg-buildflags=dpkg-dev
else ifeq ($(NGINX),vendored)
FEATURES := --features vendored
# The modules of Debian's nginx that the tests need.
WITH_NGINX = env NGX_CONFIGURE_ARGS="--with-debug --with-http_gunzip_module \
	--with-http_sub_module --with-http_auth_request_module --with-http_addition_module \
	--with-http_slice_module --with-http_stub_status_module"
NGINX_BINARY = $$(ls -t $(CURDIR)/$(BUILT)/build/nginx-sys-*/out/objs/nginx | head -n 1)
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

.PHONY: all module dev module-path for-nginx man book install uninstall deb test-deb dist sbom demo demo-cluster \
	clean help packages test test-core test-worst test-layout test-nginx test-valkey test-apps test-killed test-static \
	test-for-nginx test-arm64 test-msrv test-long tsan miri fuzz matrix matrix-row lint check-packaging cargo-deny screenshot \
	bench bench-core bench-worst bench-turns bench-scale bench-nginx bench-instructions bench-reload bench-tenants \
	bench-cluster bench-cluster-instructions bench-cluster-scale check-instructions performance compare-apps \
	compare-haproxy

## The module, for nginx's load_module; plain make does this
module: packages
	$(WITH_NGINX) $(CARGO) build --profile $(PROFILE) --locked --target-dir $(OUT) $(FEATURES)
	@mkdir -p $(dir $(MODULE))
	@cp $(BUILT)/libngx_http_sticky_rs.so $(MODULE).new && mv $(MODULE).new $(MODULE)
	@echo 'sticky: built $(MODULE)'

## The module in seconds: not optimised, with debug assertions
dev:
	@$(MAKE) --no-print-directory module NGINX=$(NGINX) DEV=1

## Where the module is
module-path:
	@test -e $(MODULE) || { echo 'sticky: not built yet, run make NGINX=$(NGINX)' >&2; exit 1; }
	@echo $(CURDIR)/$(MODULE)

override MANUAL := target/man/ngx_http_sticky_rs.5

## The manual page ngx_http_sticky_rs(5) in target/man, made of the pages in docs/
man:
	@tools/packages 'the manual page' pandoc
	tools/man $(MANUAL)

## The pages in docs/ as a static site in target/book/html
book:
	@CARGO='$(CARGO)' tools/book target/book

## For for-nginx: the nginx that is to load the module
BINARY ?=
## For for-nginx: a folder with the source of that nginx, where it is neither in crate nginx-src nor in
## a source package of apt
SOURCE ?=

## The module for any nginx, which BINARY names: nginx.org's, your own, one of a container
for-nginx: packages
	@test -n '$(BINARY)' || { echo 'sticky: BINARY= names the nginx: make for-nginx BINARY=/usr/sbin/nginx' >&2; exit 1; }
	@CARGO='$(CARGO)' tools/for-nginx '$(BINARY)' '$(SOURCE)'

## Folder of nginx's modules: as its build says, or under its prefix
MODULES_PATH ?= $(shell "$(NGINX_BINARY)" -V 2>&1 | tr ' ' '\n' | sed -n 's/^--modules-path=//p' | grep . || echo /usr/lib/nginx/modules)

## Folder of manual pages
MAN_PATH ?= /usr/local/share/man

## Put before MODULES_PATH and MAN_PATH, for packagers
DESTDIR ?=

# Not as dependencies: root often has no cargo, and not everybody pandoc.
## Copies the module into MODULES_PATH, if it fits the nginx of that folder, and the manual page into
## MAN_PATH, if pandoc is there to make it
install:
	@test -e $(MODULE) || $(MAKE) module NGINX=$(NGINX)
	@test -n '$(DESTDIR)' || tools/check-fit $(MODULE) $(MODULES_PATH)
	install -D -m 0644 $(MODULE) $(DESTDIR)$(MODULES_PATH)/ngx_http_sticky_rs.so
	@if test -e $(MANUAL) || { command -v pandoc >/dev/null && tools/man $(MANUAL); }; then \
		install -D -m 0644 $(MANUAL) $(DESTDIR)$(MAN_PATH)/man5/ngx_http_sticky_rs.5; \
	else echo 'sticky: without a manual page: pandoc is not installed, see make man'; fi
	@test -d /etc/nginx/modules-enabled && echo 'sticky: load it with: echo "load_module modules/ngx_http_sticky_rs.so;" > /etc/nginx/modules-enabled/60-sticky-rs.conf' \
		|| echo 'sticky: load it with: load_module modules/ngx_http_sticky_rs.so;'

override INSTALLED = $(MODULES_PATH)/ngx_http_sticky_rs.so $(MAN_PATH)/man5/ngx_http_sticky_rs.5

## Undoes make install: the files in MODULES_PATH and MAN_PATH, and that of modules-enabled which
## loads it
uninstall:
	$(if $(DESTDIR),rm -f $(addprefix $(DESTDIR),$(INSTALLED)),@tools/uninstall $(MODULES_PATH) $(lastword $(INSTALLED)))

## For deb: any value builds twice, and fails unless the packages are equal
TWICE ?=
## For deb: arm64 builds for that architecture by a cross compiler, with a suite as NGINX
ARCH ?=
## For deb and test-deb: any value keeps the trees of Debian suites in target
KEEP_TREE ?=

## Debian's package of the module in target/deb, for the nginx of this machine; as root, with
## NGINX=bookworm, trixie, forky, testing or sid, for that of the suite, in a tree of it
deb:
	$(if $(filter vendored source,$(NGINX)),$(error NGINX=$(NGINX): a package is for an nginx of Debian))
	@CARGO='$(CARGO)' ARCH='$(ARCH)' TWICE='$(TWICE)' KEEP_TREE='$(KEEP_TREE)' tools/make-deb target/deb $(NGINX:debian=)

## For dist: for which nginx there are packages: debian, that of this machine; bookworm and so on, as
## root, those of suites; none: NO
DIST_SUITES ?= debian

## What a release consists of, in target/dist: the source with its crates, the bill of materials, Debian's
## packages, checksums; TWICE=1 makes all of it twice and fails unless it is equal
dist: packages
	@CARGO='$(CARGO)' TWICE='$(TWICE)' KEEP_TREE='$(KEEP_TREE)' tools/make-dist target/dist $(filter-out NO,$(DIST_SUITES))

## The bill of materials (CycloneDX) in target/sbom.cdx.json
sbom:
	@mkdir -p target
	@CARGO='$(CARGO)' tools/sbom >target/sbom.cdx.json.new && mv target/sbom.cdx.json.new target/sbom.cdx.json
	@echo 'sticky: written target/sbom.cdx.json'

## For demo: any value leaves a page open for a browser, both shops side by side
KEEP ?=
## For demo KEEP=1: the port of the page, instead of one that is free
PORT ?=

## A shop without cookies, behind nginx without and with the module
demo: module
	@tools/packages 'the demo' $(RUN_PACKAGES) perl
	@demo/run $(if $(KEEP),--keep $(PORT:%=--port %)) $(CURDIR)/$(MODULE) "$(NGINX_BINARY)"

## Two nginx with one set of sessions, and a store between them that dies and comes back
demo-cluster: module
	@tools/packages 'the demo' $(RUN_PACKAGES) perl
	@command -v valkey-server >/dev/null || tools/packages 'the demo' redis-server
	@demo/cluster $(CURDIR)/$(MODULE) "$(NGINX_BINARY)"

## Installs the Debian packages that the build needs; part of every target that builds
packages:
	@tools/packages 'building the module' $(BUILD_PACKAGES)
	@command -v $(CARGO) >/dev/null || { echo 'sticky: Rust is needed: apt install rustc-web cargo-web, or see https://rustup.rs' >&2; exit 1; }

## Removes what was built
clean:
	rm -rf target

## This list
help:
	@tools/make-help Makefile

##@ Testing

## All tests: test-core, test-worst, test-layout, test-nginx
test: test-core test-worst test-layout test-nginx

## The tests of the core, and of how it reads words, without nginx
test-core: packages
	pages=$$(tools/pages target/pages) && \
	env $${pages:+STICKY_PAGES="$$pages"} $(CARGO) test --locked -p sticky-core --features steps --target-dir target/core
	$(CARGO) test --locked -p sticky-words --target-dir target/core
	$(CARGO) test --locked -p sticky-core --features model --target-dir target/core --test table_orders

# Counted under callgrind, so that it does not matter how busy the machine is.
## No reader of responses costs much more than it may, for the dearest bodies that are known
test-worst: packages
	@tools/packages 'testing' valgrind
	WORST_SLACK=30 $(CARGO) bench --locked -p sticky-core --bench worst --target-dir target/core

## nginx's structures as the module sees them, and as C does
test-layout: packages
	$(WITH_NGINX) $(CARGO) test --release --locked -p ngx_http_sticky_rs --target-dir $(OUT) $(FEATURES)

## Files or options for prove, instead of all tests: T=t/harness.t, T='-j2 -r t'
T ?=

## For tests in t: 1 keeps the folder of a test, and prints where it is
TEST_NGINX_LEAVE ?=
## For tests in t: 1 prints the error log of each
TEST_NGINX_CATLOG ?=
## For tests of the table: begins the random sequences, as a failed test has printed it
STICKY_SEED ?=

# Tests whose servers and clients cannot be installed are skipped, and say so.
## The tests in t, which run nginx with the module
test-nginx: module
	@tools/packages 'testing' $(RUN_PACKAGES) perl
	@tools/test-packages || true
	@tools/test-browser target/browser || true
	@tools/test-nginx $(CURDIR)/$(MODULE) "$(NGINX_BINARY)" $(T)

# Redis is what Debian 12 has. T= chooses among the files.
## The tests of sticky_cluster with the Valkey of Debian 13, unpacked in target
test-valkey: module
	@tools/packages 'testing' $(RUN_PACKAGES) perl
	@tools/suite-unpack trixie target/valkey usr/bin/valkey-server valkey-tools valkey-server
	@STICKY_STORE=$$(cat target/valkey/binary) tools/test-nginx $(CURDIR)/$(MODULE) "$(NGINX_BINARY)" \
		$(or $(T),$(wildcard t/sticky_cluster*.t))

## real applications behind the configurations of nginx-conf
test-apps: module
	@tools/packages 'testing' $(RUN_PACKAGES) perl
	@tools/test-apps $(CURDIR)/target/apps
	@STICKY_APPS=$(CURDIR)/target/apps tools/test-nginx $(CURDIR)/$(MODULE) "$(NGINX_BINARY)" $(or $(T),t/apps)

# The package is that of make deb, made if it is not there.
## Debian's package in bare trees of Debian 12, 13 and testing, or of the suite that NGINX names:
## installed, upgraded, purged; as root
test-deb:
	@for suite in $(if $(filter debian,$(NGINX)),bookworm trixie testing,$(NGINX)); do \
		deb=target/deb/$$suite/libnginx-mod-http-sticky-rs_*.deb; \
		if ! ls $$deb >/dev/null 2>&1; then \
			CARGO='$(CARGO)' KEEP_TREE='$(KEEP_TREE)' tools/make-deb target/deb $$suite || exit; \
		fi; \
		echo "sticky: testing $$(ls $$deb)"; \
		KEEP_TREE='$(KEEP_TREE)' tools/test-deb $$suite $$deb || exit; \
	done

# In a module with test points at each step of the session table.
## nginx workers killed between any two steps of the session table
test-killed: packages
	$(WITH_NGINX) $(CARGO) build --release --locked --target-dir $(OUT)/steps $(FEATURES) --features steps
	@cp $(OUT)/steps/release/libngx_http_sticky_rs.so $(OUT)/steps/ngx_http_sticky_rs.so
	@tools/packages 'testing' $(RUN_PACKAGES) perl
	@TEST_NGINX_TEST_POINTS=1 tools/test-nginx $(CURDIR)/$(OUT)/steps/ngx_http_sticky_rs.so "$(NGINX_BINARY)" \
		t/sticky_state_killed.t t/sticky_table_killed.t t/sticky_table_steps.t

## For test-static, the source of an nginx: that of 1.28, in crate nginx-src
STATIC_SOURCE ?= $(shell $(CARGO) metadata --locked --format-version 1 --features vendored \
	--filter-platform "$$(rustc -vV | sed -n 's/^host: //p')" \
	| sed -n 's/.*"manifest_path":"\([^"]*\/nginx-src-[^"/]*\)\/Cargo.toml".*/\1\/nginx/p')

# As users of C modules build: nginx's configure with the config script.
## nginx built with --add-module, then with --add-dynamic-module; tests both
test-static: packages
	@tools/packages 'testing' perl
	@tools/test-static "$(STATIC_SOURCE)" target/static $(T)

# That of this machine, whose source is apt's; one that is built here without --with-compat, whose
# source is the crate's; one of another suite, with the source of its nginx-dev.
## make for-nginx for three binaries, which load what is built
test-for-nginx: packages
	@tools/packages 'testing' /usr/sbin/nginx=nginx perl dpkg-buildflags=dpkg-dev
	@tools/nginx-without-compat "$(STATIC_SOURCE)" target/without-compat
	@tools/nginx-suite trixie target/trixie/nginx >/dev/null
	@STICKY_FOR_NGINX="/usr/sbin/nginx $(CURDIR)/target/without-compat/nginx \
		$$(cat target/trixie/nginx/binary)=$(CURDIR)/target/trixie/nginx/root/usr/share/nginx/src" \
		prove t/tools_for_nginx.t

# The core's tests and some of t, under qemu-user.
## The module for arm64 on another machine, cross-compiled, in Debian's nginx for arm64; as root
test-arm64:
	@CARGO='$(CARGO)' KEEP_TREE='$(KEEP_TREE)' tools/test-arm64 target/arm64 $(T)

# Such as tools/rust-msrv fetches. The lints that are not known to it are in bindgen's output.
## Builds the module and tests the core with an old Rust of Debian, unpacked in target
test-msrv: packages
	rust=$$(tools/rust-msrv target/msrv/rust) && export PATH="$$rust:$$PATH" && \
	export RUSTFLAGS='-A unknown_lints' && rustc --version && \
	$(WITH_NGINX) cargo build --release --locked --ignore-rust-version --target-dir target/msrv $(FEATURES) && \
	cargo test --locked --ignore-rust-version -p sticky-core --features steps --target-dir target/msrv

## For test-long: begins the random sequences, another number each time
SEED ?= $(shell date +%s)

## The session table's simulation, killed workers and models for longer: some minutes
test-long: packages
	STICKY_SEED=$(SEED) STICKY_STEPS=30000000 STICKY_DEATHS=100 $(CARGO) test --locked -p sticky-core \
		--features steps --target-dir target/core --test table_simulation --test table_killed --test table_work
	STICKY_SITE_WORDS=64512 $(CARGO) test --locked -p sticky-core --features steps --target-dir target/core --test table_full
	STICKY_SEED=$(SEED) STICKY_CLUSTER_STEPS=1000000 STICKY_SWITCHES=2 $(CARGO) test --locked -p sticky-core \
		--features steps --target-dir target/core --test cluster_simulation --test cluster_orders
	LOOM_MAX_PREEMPTIONS=4 $(CARGO) test --locked -p sticky-core --features model --target-dir target/core --test table_orders

## For tsan and miri: tells cargo to use a nightly Rust; empty where cargo is one
NIGHTLY ?= +nightly

## Threads on one session table under ThreadSanitizer; needs a nightly Rust
tsan: packages
	@$(CARGO) $(NIGHTLY) --version >/dev/null 2>&1 || \
		{ echo 'sticky: a nightly Rust is needed: rustup toolchain install nightly' >&2; exit 1; }
	RUSTFLAGS='-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer' \
		TSAN_OPTIONS='suppressions=$(CURDIR)/tools/tsan-suppressions' \
		$(CARGO) $(NIGHTLY) test --locked -p sticky-core --target-dir target/tsan \
		--target "$$(rustc -vV | sed -n 's/^host: //p')" --test table_threads -- --test-threads 1

# In a small number of rounds. On x86-64 it must be told of 16-byte atomics.
## The session table under Miri; needs a nightly Rust
miri: packages
	@$(CARGO) $(NIGHTLY) miri --version >/dev/null 2>&1 || \
		{ echo 'sticky: Miri is needed: rustup component add miri rust-src --toolchain nightly' >&2; exit 1; }
	RUSTFLAGS="$$(rustc -vV | sed -n 's/^host: x86_64.*/-Ctarget-feature=+cmpxchg16b/p')" MIRIFLAGS=-Zmiri-disable-isolation \
		$(CARGO) $(NIGHTLY) miri test --locked -p sticky-core --target-dir target/miri $(addprefix --test table_, \
		word claims bytes model room sweep threads)

## For fuzz: seconds for each target
FUZZ_SECONDS ?= 600
## For fuzz: which of those in fuzz/targets; none means all
FUZZ_TARGETS ?=

## For fuzz: so many targets at once; as many as there are processors unless given
FUZZ_JOBS ?=
## For fuzz: a sanitizer; address unless given; the word none for none
FUZZ_SANITIZER ?=

## Fuzzes whatever reads bytes from outside; FUZZ_JOBS targets at once
fuzz: packages
	@tools/packages 'fuzzing' g++
	@CARGO='$(CARGO)' tools/fuzz $(FUZZ_SECONDS) $(FUZZ_TARGETS)

## For matrix: what NGINX= takes, one after the other
MATRIX ?= debian trixie vendored testing

## Builds and tests for each nginx of MATRIX; prints a table, fails when one of them does
matrix:
	@MAKE='$(MAKE)' tools/matrix $(MATRIX)

## One row's part of matrix
matrix-row: test-layout test-nginx

##@ Checking

## For lint: a clone of the RustSec advisory database; without it no advisories are checked
ADVISORY_DB ?=

## Format, floors, clippy, documentation, links of pages, snippets, shell scripts, this file, versions and
## licences of crates
lint: packages
	@tools/packages 'checking' perl shellcheck
	tools/make-help --check Makefile
	shellcheck $$(grep -lsE '^#!.*sh$$' tools/* demo/* .ci/run)
	tools/check-floors
	tools/check-links
	tools/snippets --check
	@CARGO='$(CARGO)' tools/rust-versions
	@CARGO='$(CARGO)' tools/deny $(ADVISORY_DB)
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	$(WITH_NGINX) $(CARGO) clippy --release --locked --workspace --all-targets --target-dir $(OUT) $(FEATURES) -- -D warnings
	$(CARGO) clippy --locked -p sticky-core --all-targets --features steps --target-dir target/core -- -D warnings
	$(CARGO) clippy --locked -p sticky-core --features model --test table_orders --target-dir target/core -- -D warnings
	$(WITH_NGINX) RUSTDOCFLAGS='-D warnings -A rustdoc::private-intra-doc-links' $(CARGO) doc --release --locked --workspace --no-deps --document-private-items --target-dir $(OUT) $(FEATURES)

## Installs cargo-deny in target/tools, where lint finds it
cargo-deny:
	@CARGO='$(CARGO)' tools/deny --install

## Dockerfiles, spec files, the files for Kubernetes and the bill of materials, by tools of PyPI and Debian
check-packaging: packages
	@tools/packages 'checking' rpm rpmlint
	@tools/packaging-tools target/packaging-tools
	@CARGO='$(CARGO)' tools/check-packaging target/packaging-tools

# With the fonts of this machine.
## The pictures in docs/images, as Chromium paints them
screenshot: module
	@tools/packages 'the picture' $(RUN_PACKAGES)
	@tools/test-browser target/browser
	@NODE_PATH=$(CURDIR)/target/browser/node_modules \
		tools/screenshot $(CURDIR)/$(MODULE) "$(NGINX_BINARY)" docs/images
	@NODE_PATH=$(CURDIR)/target/browser/node_modules \
		tools/screenshot-demo $(CURDIR)/$(MODULE) "$(NGINX_BINARY)" docs/images

##@ Measuring

## bench-core and bench-nginx
bench: bench-core bench-nginx

## The session table, the page scanner, and the judge of mode=discover
bench-core: packages
	pages=$$(tools/pages target/pages) && \
	env $${pages:+STICKY_PAGES="$$pages"} $(CARGO) bench --locked -p sticky-core --bench table --bench lines --bench scan --bench judge \
		--target-dir target/core

## For bench-worst: so many random changes of the bodies for each reader, of which the dearest are kept
WORST_TRIES ?=
## For bench-worst: a number that chooses these changes
WORST_SEED ?=

## The dearest bodies that are known for each reader of responses, in instructions
bench-worst: packages
	@tools/packages 'the benchmark' valgrind
	$(CARGO) bench --locked -p sticky-core --bench worst --target-dir target/core

## How long the dearest bodies, and thousands of upstreams, keep a worker busy in one turn of its event loop
bench-turns: module
	@tools/packages 'the benchmark' $(RUN_PACKAGES) perl gcc wrk
	@status=0; for bench in turns upstreams; do \
		tools/bench-$$bench $(CURDIR)/$(MODULE) "$(NGINX_BINARY)" || status=$$?; echo; \
	done; exit $$status

## A session and a whole table, from 10 thousand to 50 million sessions: 5 GB of memory
bench-scale: packages
	$(CARGO) bench --locked -p sticky-core --bench scale --target-dir target/core

## For bench-nginx and bench-tenants: rounds, of which the medians count
BENCH_ROUNDS ?= 11
## For bench-nginx and bench-tenants: seconds of each run
BENCH_SECONDS ?= 1
## For bench-nginx: connections at once
BENCH_CONNECTIONS ?= 32
## For bench-nginx: few and many sessions (10000,1000000); for bench-reload: how many (10000000)
BENCH_SESSIONS ?=
## For bench-nginx: a build of nginx-sticky-module-ng to compare with
STICKY_MODULE_NG ?=
## For bench-nginx: a HAProxy to compare with; that of the PATH unless given
HAPROXY ?=
## For bench-nginx: the binary of an Angie to compare with
ANGIE ?=

## Whole requests, beside round robin and what else there is
bench-nginx: module
	@tools/packages 'the benchmark' $(RUN_PACKAGES) perl wrk taskset=util-linux
	@tools/bench-nginx $(CURDIR)/$(MODULE) "$(NGINX_BINARY)"

## For bench-instructions: only some of these
BENCH_PART ?= requests pages watching

# Under callgrind: repeatable, whatever else the machine does.
## What the module adds to a request and to a page, in instructions
bench-instructions: module
	@tools/packages 'the benchmark' $(RUN_PACKAGES) perl valgrind
	@status=0; for part in $(BENCH_PART); do \
		if [ $$part = requests ]; then part=; else part=--$$part; echo; fi; \
		tools/bench-instructions $$part $(CURDIR)/$(MODULE) "$(NGINX_BINARY)" || status=$$?; \
	done; exit $$status

# Of requests the module's own alone, at the shortest header.
## Whether a request or a page costs more instructions than docs/performance.md says
check-instructions: module
	@tools/packages 'the check' $(RUN_PACKAGES) perl valgrind
	@for part in own "pages --only ^.?4.KB"; do \
		tools/bench-instructions --$$part --requests 60 $(CURDIR)/$(MODULE) "$(NGINX_BINARY)" \
			> $(OUT)/instructions.$${part%% *} || [ $$? = 1 ] || exit; \
	done
	@tools/check-instructions docs/performance.md $(OUT)/instructions.own $(OUT)/instructions.pages

## For performance: which benchmarks (tools/performance --list), instead of all
BENCHES ?=

## Runs the benchmarks, and writes what they print into docs/performance.md
performance:
	@MAKE='$(MAKE)' tools/performance --run $(BENCHES)

## For bench-reload: reloads of each kind
BENCH_RELOADS ?= 3
## For bench-reload: 1 keeps the sessions in a state file, too, and ends and starts nginx
BENCH_STATE ?=

## How long requests wait while nginx reloads with ten million sessions
bench-reload: module
	@tools/packages 'the benchmark' $(RUN_PACKAGES) perl wrk taskset=util-linux
	@tools/bench-reload $(CURDIR)/$(MODULE) "$(NGINX_BINARY)"

## For bench-tenants: how many tenants (1000)
BENCH_TENANTS ?=

## What many tenants in one nginx cost: memory, reloads, requests, and the pages of operators
bench-tenants: module
	@tools/packages 'the benchmark' $(RUN_PACKAGES) perl wrk taskset=util-linux
	@BENCH_ROUNDS=$(BENCH_ROUNDS) BENCH_SECONDS=$(BENCH_SECONDS) BENCH_TENANTS=$(or $(BENCH_TENANTS),1000) \
		tools/bench-tenants $(CURDIR)/$(MODULE) "$(NGINX_BINARY)"

## Nginx with one set of sessions: lags, learns a second, how fast one joins, what each costs
bench-cluster: module
	@tools/packages 'the benchmark' $(RUN_PACKAGES) perl wrk taskset=util-linux
	@command -v valkey-server >/dev/null || tools/packages 'the benchmark' redis-server
	@tools/bench-cluster $(CURDIR)/$(MODULE) "$(NGINX_BINARY)"

## What a learn and a hit cost more in a cluster, in instructions
bench-cluster-instructions: module
	@tools/packages 'the benchmark' $(RUN_PACKAGES) perl valgrind
	@command -v valkey-server >/dev/null || tools/packages 'the benchmark' redis-server
	@tools/bench-instructions --cluster $(CURDIR)/$(MODULE) "$(NGINX_BINARY)"

## Virtual nodes of a cluster, 3 to 200, and up to a million sessions in use
bench-cluster-scale: packages
	$(CARGO) bench --locked -p sticky-core --bench cluster --target-dir target/core

##@ Comparing

## For compare-apps: tests of t/apps instead of all of them
COMPARE_APPS ?=

# Their own clients, by round robin, through HAProxy with t/apps/haproxy, and through this module.
## Sessions of real applications that break behind others and behind this module
compare-apps: module
	@tools/packages 'the comparison' $(RUN_PACKAGES) perl /usr/sbin/haproxy=haproxy
	@tools/test-apps $(CURDIR)/target/apps
	@tools/compare-apps $(CURDIR)/$(MODULE) "$(NGINX_BINARY)" $(CURDIR)/target/apps $(COMPARE_APPS)

## For compare-haproxy: sessions of each case
COMPARE_SESSIONS ?= 30
## For compare-haproxy: requests of each row of bounded load
COMPARE_REQUESTS ?= 20000

## Where HAProxy and this module differ, and balance_factor beside HAProxy's and Envoy's rule
compare-haproxy: module
	@tools/packages 'the comparison' $(RUN_PACKAGES) perl taskset=util-linux /usr/sbin/haproxy=haproxy
	@COMPARE_SESSIONS=$(COMPARE_SESSIONS) COMPARE_REQUESTS=$(COMPARE_REQUESTS) \
		tools/compare-haproxy $(CURDIR)/$(MODULE) "$(NGINX_BINARY)" /usr/sbin/haproxy
