# What a developer runs. Each target installs what it needs first: see scripts/setup.sh.

CARGO ?= cargo
# What cargo-fuzz gives each target, in seconds.
FUZZ_SECONDS ?= 60

# Where `make install` puts things. mount(8) looks for its helpers in /sbin only.
PREFIX ?= /usr/local
SBIN ?= /sbin
DESTDIR ?=
BUILT = $(or $(CARGO_TARGET_DIR),target)
PROGRAM ?= $(BUILT)/release/sharefs
MUSL = x86_64-unknown-linux-musl
# What the package is made of: sharefs/Cargo.toml names it.
STAGE = target/package

.PHONY: help demo build install uninstall deb package musl test reboot check bench faults soak heavy fuzz fuzz-smoke seeds setup

help:
	@echo 'make build   the program, in target/release'
	@echo 'make install the program, the helpers of mount(8), manual pages and completions: PREFIX, DESTDIR'
	@echo 'make deb     a package for Debian, in target/debian'
	@echo 'make musl    the program without any library, for containers and old systems'
	@echo 'make demo    a throw-away Samba, a mount by an ordinary user, a tree copied in and out'
	@echo 'make test    all tests: units, properties, vectors, real servers, real mounts'
	@echo 'make reboot  only the tests that boot a machine in a container: by root'
	@echo 'make check   format, clippy, licences, Windows'
	@echo 'make bench   benchmarks'
	@echo 'make soak    half an hour of the same on Samba 4.22 with four connections: nothing may leak'
	@echo 'make faults  the fault campaign: SHAREFS_FAULT_SECONDS (600) for each server, from SHAREFS_FAULT_SEED'
	@echo 'make heavy   a copy of SHAREFS_HEAVY_GIB (20), a tree of tens of thousands of files, a build on a mount'
	@echo 'make fuzz    each fuzz target for FUZZ_SECONDS (60)'
	@echo 'make seeds   captures new seeds for the fuzz targets from real servers'

setup:
	scripts/setup.sh

demo:
	scripts/demo.sh

build:
	$(CARGO) build --release -p sharefs

$(PROGRAM):
	$(MAKE) build

# Root may install what somebody else has built: nothing is compiled where there is a program.
install: $(PROGRAM)
	install -D -m 755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/sharefs
	install -d $(DESTDIR)$(SBIN)
	ln -sf $(PREFIX)/bin/sharefs $(DESTDIR)$(SBIN)/mount.sharefs
	ln -sf $(PREFIX)/bin/sharefs $(DESTDIR)$(SBIN)/mount.fuse.sharefs
	$(PROGRAM) generate $(DESTDIR)$(PREFIX)/share

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/sharefs
	rm -f $(DESTDIR)$(SBIN)/mount.sharefs $(DESTDIR)$(SBIN)/mount.fuse.sharefs
	cd $(DESTDIR)$(PREFIX)/share && rm -f man/man1/sharefs.1 man/man1/sharefs-*.1 \
		man/man8/mount.sharefs.8 man/man8/mount.fuse.sharefs.8 bash-completion/completions/sharefs \
		zsh/site-functions/_sharefs fish/vendor_completions.d/sharefs.fish

deb:
	scripts/setup.sh deb
	$(MAKE) build
	$(MAKE) package
	@echo 'It is in $(BUILT)/debian'

# Of a program that is there: the same as `make install`, where Debian has it.
package:
	rm -rf $(STAGE)
	$(MAKE) install DESTDIR=$(STAGE) PREFIX=/usr SBIN=/usr/sbin
	strip --strip-unneeded $(STAGE)/usr/bin/sharefs
	mkdir -p $(STAGE)/usr/share/zsh/vendor-completions
	mv $(STAGE)/usr/share/zsh/site-functions/_sharefs $(STAGE)/usr/share/zsh/vendor-completions/
	$(CARGO) deb -p sharefs --no-build --no-strip $(DEB_OPTIONS)

musl:
	scripts/setup.sh musl
	$(CARGO) build --release -p sharefs --target $(MUSL)
	@echo 'It is $(BUILT)/$(MUSL)/release/sharefs'

# The program is built first: cargo does not build it for another package's tests. The summary comes last.
test:
	scripts/setup.sh test
	$(CARGO) build -p sharefs -p smb-client --bins --examples
	$(CARGO) test --workspace --doc --quiet
	$(CARGO) nextest run --workspace

# They are among the tests of `make test` too.
reboot:
	scripts/setup.sh test
	$(CARGO) build -p sharefs --bins
	$(CARGO) nextest run -p sharefs-tests --test reboot

check:
	scripts/setup.sh check
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) deny --log-level error check licenses bans sources
	$(CARGO) check --workspace --exclude fs-fuse --target x86_64-pc-windows-gnu

bench:
	scripts/setup.sh run bench
	$(CARGO) build --release -p sharefs -p sharefs-benches --bins
	$(CARGO) bench -p sharefs-benches --bench proto
	$(CARGO) run --release -p sharefs-benches --bin allocations
	TMPDIR=/dev/shm $(CARGO) run --release -p sharefs-benches --bin versus -- --report docs/BENCHMARKS.md
	@# smbnetfs knows the port 445 only, which is root's.
	if [ "$$(id -u)" = 0 ]; then \
		TMPDIR=/dev/shm $(CARGO) run --release -p sharefs-benches --bin mounts -- --report docs/MOUNT-BENCHMARKS.md; \
	else echo 'The mounts are compared by root only: sudo make bench'; fi

# Writes docs/RELIABILITY.md. Root's run includes the full disk.
faults:
	scripts/setup.sh test
	$(CARGO) build -p sharefs --bins
	$(CARGO) nextest run --profile faults -p sharefs-tests --test faults --run-ignored only --no-capture

soak:
	SHAREFS_FAULT_SECONDS=$${SHAREFS_FAULT_SECONDS:-1800} SHAREFS_FAULT_SETUP=4 $(MAKE) faults

# Some of it takes half an hour, and 20 GiB of the disk of TMPDIR.
heavy:
	scripts/setup.sh test
	$(CARGO) build -p sharefs --bins
	$(CARGO) nextest run --profile heavy -p sharefs-tests --test heavy --run-ignored only --no-capture

# What it finds to be new goes to fuzz/corpus; it begins with that and with fuzz/seeds.
fuzz:
	scripts/setup.sh fuzz
	cd fuzz && for target in $$($(CARGO) fuzz list); do \
		mkdir -p "corpus/$$target" "seeds/$$target"; \
		$(CARGO) +nightly fuzz run "$$target" "corpus/$$target" "seeds/$$target" -- \
			-max_total_time=$(FUZZ_SECONDS) -verbosity=0 -print_final_stats=1 || exit 1; done

# Whether the targets still run, and whether what was found before stays mended.
fuzz-smoke:
	$(MAKE) fuzz FUZZ_SECONDS=5

# What real servers say, for the fuzzer to begin with.
seeds:
	scripts/setup.sh test
	$(CARGO) run -p sharefs-tests --bin seeds -- fuzz/seeds
