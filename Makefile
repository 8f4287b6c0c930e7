# make help lists the targets.

GO           ?= go
PREFIX       ?= /usr
DESTDIR      ?=
SBINDIR      ?= $(PREFIX)/sbin
BINDIR       ?= $(PREFIX)/bin
UNITDIR      ?= $(PREFIX)/lib/systemd/system
USERUNITDIR  ?= $(PREFIX)/lib/systemd/user
UDEVDIR      ?= $(PREFIX)/lib/udev/rules.d
SYSUSERSDIR  ?= $(PREFIX)/lib/sysusers.d
TMPFILESDIR  ?= $(PREFIX)/lib/tmpfiles.d
DOCDIR       ?= $(PREFIX)/share/doc/gomuxd
BASHCOMPDIR  ?= $(PREFIX)/share/bash-completion/completions
ZSHCOMPDIR   ?= $(PREFIX)/share/zsh/site-functions
FISHCOMPDIR  ?= $(PREFIX)/share/fish/vendor_completions.d
MANDIR       ?= $(PREFIX)/share/man
# Whom the daemon is run by; the group whose members may use muxctl is always usbmux.
DAEMONUSER   ?= usbmux
HARDWARE_FLAGS ?=
HISTORY      ?= 30m
DIST         ?= dist
BIN          ?= bin
GOTEST_FLAGS ?= -race -shuffle=on -count=1 -timeout 20m
FUZZTIME     ?= 5m
BENCH        ?= all
ROUNDS       ?= 5
SPEED        ?= high,super
MIB          ?= 16
DAEMONS      ?= c,ours,null
BASE         ?=
PROFILE      ?=
COUNT        ?= 10
GOBENCH      ?= .
DURATION     ?= 45m
SVG          ?= $(DIST)/soak.svg
REPLUGS      ?= 2000
VULNDB       ?= https://vuln.go.dev
PKG          ?= ./mux ./socket ./usb ./plist ./cmd/usbmuxd
STATICCHECK  ?= $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2
NFPM         ?= $(GO) run -trimpath github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2
CYCLONEDX    ?= $(GO) run -trimpath github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.9.0
LINTIAN      ?= lintian --allow-root --fail-on error,warning
RELEASE_ARCHS ?= amd64 arm64
CROSSROOT    ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/gomuxd/cross

# X.Y.Z+gHASH: one semantic version, as clients parse it.
VERSION := $(shell cat VERSION)$(shell git rev-parse --short=12 HEAD 2>/dev/null | sed 's/^/+g/')
# At addresses of their own, with tables that are read-only once they are filled.
BUILD   := -trimpath -buildmode=pie -ldflags '-s -w -bindnow -X main.version=$(VERSION)'

.DEFAULT_GOAL := help

## help: list the targets
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST) | awk -F': ' '{ printf "  %-14s %s\n", $$1, $$2 }'

## demo: set up, then tell the story of a virtual iPhone with real tools
demo: setup
	@$(GO) run ./e2e/demo

## recording: make the README's docs/demo.svg anew from a real run
recording: setup
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && $(GO) build -o "$$dir/" ./e2e/demo && \
		$(GO) build -C docs/recording -o "$$dir/recording" . && \
		"$$dir/recording" -o docs/demo.svg -idle 3s -cols 88 -rows 21 -title "A virtual iPhone, Debian's tools and muxctl" "$$dir/demo" -slow

## recording-top: make docs/top.svg anew from a real run
recording-top: setup
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && $(GO) build -o "$$dir/" ./e2e/farm/show && \
		$(GO) build -C docs/recording -o "$$dir/recording" . && \
		"$$dir/recording" -o docs/top.svg -cols 100 -rows 28 -title "muxctl top: 32 virtual phones" "$$dir/show"

# The plots are of the last hour; an hour of patience fills them.
## screenshots: make docs/dashboard-*.png anew from a real run; HISTORY
screenshots: setup-test
	$(GO) test -count=1 -timeout 2h -run '^TestScreenshots$$' ./e2e/farm -screenshots $(CURDIR)/docs -history $(HISTORY)

## test: set up, then lint and run every test
test: setup-test lint test-race test-plain test-vm test-clean

## build: build the daemon, muxctl and the virtual phone's remote control into bin/
build:
	$(GO) build $(BUILD) -o $(BIN)/ ./cmd/...

## hardware-check: set up, then check a real iPhone with your help; HARDWARE_FLAGS
hardware-check:
	@./.ci/setup hardware
	@$(GO) build $(BUILD) -o bin/hardware/ ./cmd/usbmuxd ./e2e/hardware
	@[ "$$(id -u)" = 0 ] || sudo=sudo; $$sudo bin/hardware/hardware $(HARDWARE_FLAGS)

## setup: install the packages that demo needs
setup:
	@./.ci/setup

## setup-test: install the packages that test needs
setup-test:
	@./.ci/setup test

## e2e: set up, then run every test in virtual machines with a real kernel
e2e:
	@./.ci/setup vm
	GOMUXD_E2E=full $(GO) test -count=1 -timeout 4h -v -run '^TestVM' ./e2e/vm

## e2e-short: the quick ones of them
e2e-short:
	@./.ci/setup vm
	GOMUXD_E2E=short $(GO) test -count=1 -timeout 1h -v -run '^TestVM' ./e2e/vm

## vm-image: make the virtual machine's image, if there is none in the cache
vm-image:
	@./.ci/setup vm
	@$(GO) run ./e2e/vm/vmrun image

## test-race: run every test under the race detector
test-race:
	$(GO) test $(GOTEST_FLAGS) ./...
	$(GO) test $(GOTEST_FLAGS) -tags virtualphone ./cmd/usbmuxd
	$(GO) test -C docs/recording $(GOTEST_FLAGS) ./...

## test-plain: run the allocation tests and each benchmark once, without it
test-plain:
	$(GO) test -count=1 -run 'Alloc' -bench . -benchtime 1x ./...
	$(GO) test -count=1 -tags virtualphone -run xxx -bench . -benchtime 1x ./cmd/usbmuxd

## test-vm: boot a virtual machine with a real kernel for a short run
test-vm:
	@./.ci/setup vm
	GOMUXD_E2E=short $(GO) test -count=1 -timeout 30m -v -run '^TestVMShort$$' ./e2e/vm

# Tests write below temporary directories only.
test-clean:
	@if [ -d .git ] && [ -n "$$(git status --porcelain --untracked-files=normal)" ]; then \
		echo 'uncommitted or new files in the tree; a test must not make any:'; git status --short; \
		[ -z "$$CI" ] || exit 1; fi

## short: run the quick tests only
short:
	$(GO) test -short -shuffle=on ./...

## lint: gofmt, go vet, staticcheck, tidy go.mod
lint: fmt-check vet tidy-check
	$(STATICCHECK) ./...
	$(STATICCHECK) -tags virtualphone,profile ./cmd/usbmuxd
	$(STATICCHECK) -tags guest ./e2e/guest
	cd docs/recording && $(STATICCHECK) ./...

## fmt-check: fail on files that gofmt would change
fmt-check:
	@files=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$files" ] || { echo "gofmt -w $$files"; exit 1; }

## vet: go vet, with and without the virtual phone in the daemon
vet:
	$(GO) vet ./...
	$(GO) vet -tags virtualphone,profile ./cmd/usbmuxd
	$(GO) vet -tags guest ./e2e/guest
	$(GO) vet -C docs/recording ./...

## tidy-check: fail if go.mod is not tidy
tidy-check:
	$(GO) mod tidy -diff
	cd docs/recording && $(GO) mod tidy -diff

## bench: set up, then measure the daemon and the C one side by side; BENCH, ROUNDS, SPEED, MIB, DAEMONS, BASE, PROFILE
bench:
	@./.ci/setup vm
	$(GO) run ./e2e/bench -bench '$(BENCH)' -rounds $(ROUNDS) -speed '$(SPEED)' -mib $(MIB) \
		-daemons '$(DAEMONS)' -base '$(BASE)' -profile '$(PROFILE)'

## bench-go: run the benchmarks in one process for benchstat; COUNT, GOBENCH, PKG, PROFILE
bench-go:
	@mkdir -p dist/profile
	@for p in $(PKG); do \
		$(GO) test -tags virtualphone -run xxx -bench '$(GOBENCH)' -count $(COUNT) \
			$(if $(PROFILE),-$(PROFILE)profile dist/profile/$$(basename $$p).$(PROFILE) -o dist/profile/$$(basename $$p).test) $$p || exit 1; \
	done

## fuzz: run every fuzz target for FUZZTIME each
fuzz:
	@for p in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
			echo "$$p $$f"; \
			$(GO) test -run xxx -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p || exit 1; \
		done; \
	done

## soak: have everything happen to eight phones for DURATION, and draw it into SVG
soak:
	@mkdir -p $(dir $(SVG))
	GOMUXD_SOAK=$(DURATION) GOMUXD_SOAK_SVG=$(abspath $(SVG)) \
		$(GO) test -tags virtualphone -count=1 -timeout 24h -v -run '^TestSoak$$' ./cmd/usbmuxd

## replugs: pull phones and put them back REPLUGS times, with a hundred connects for each
replugs:
	GOMUXD_REPLUGS=$(REPLUGS) $(GO) test -tags virtualphone -count=1 -timeout 24h -v -run '^TestReplugs$$' ./cmd/usbmuxd

## vuln: look up what the programs call in Go's database of vulnerabilities, VULNDB
vuln:
	$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0 -db $(VULNDB) ./cmd/...

## cover: write and sum up the coverage of all tests
cover:
	$(GO) test -coverprofile cover.out -coverpkg ./... ./... && $(GO) tool cover -func cover.out | tail -1

# For the machine that builds, whatever processor it builds for.
MUXCTL := GOARCH= CGO_ENABLED=0 $(GO) run ./cmd/muxctl
UNITS  := usbmuxd.socket usbmuxd-control.socket usbmuxd.service

## install: install the daemon, muxctl, man pages, completions and units below DESTDIR and PREFIX
install: build
	install -D -m 0755 $(BIN)/muxctl $(DESTDIR)$(BINDIR)/muxctl
	install -D -m 0644 packaging/man/muxctl.1 $(DESTDIR)$(MANDIR)/man1/muxctl.1
	install -d $(DESTDIR)$(USERUNITDIR) $(DESTDIR)$(BASHCOMPDIR) $(DESTDIR)$(ZSHCOMPDIR) $(DESTDIR)$(FISHCOMPDIR)
	sed 's|/usr/bin/muxctl|$(BINDIR)/muxctl|' packaging/systemd/user/muxctl-notify.service > $(DESTDIR)$(USERUNITDIR)/muxctl-notify.service
	install -d $(DESTDIR)$(UNITDIR)
	sed 's|/usr/bin/muxctl|$(BINDIR)/muxctl|' packaging/systemd/system/muxctl-serve.service > $(DESTDIR)$(UNITDIR)/muxctl-serve.service
	$(MUXCTL) completion bash > $(DESTDIR)$(BASHCOMPDIR)/muxctl
	$(MUXCTL) completion zsh > $(DESTDIR)$(ZSHCOMPDIR)/_muxctl
	$(MUXCTL) completion fish > $(DESTDIR)$(FISHCOMPDIR)/muxctl.fish
	install -D -m 0755 $(BIN)/usbmuxd $(DESTDIR)$(SBINDIR)/usbmuxd
	install -D -m 0644 packaging/man/usbmuxd.8 $(DESTDIR)$(MANDIR)/man8/usbmuxd.8
	install -D -m 0644 packaging/man/usbmuxd.conf.5 $(DESTDIR)$(MANDIR)/man5/usbmuxd.conf.5
	install -d $(DESTDIR)$(UNITDIR)
	for u in $(UNITS); do sed 's|/usr/sbin/usbmuxd|$(SBINDIR)/usbmuxd|; s|/usr/share/doc/gomuxd|$(DOCDIR)|; s|^User=usbmux$$|User=$(DAEMONUSER)|' \
		packaging/systemd/system/$$u > $(DESTDIR)$(UNITDIR)/$$u || exit 1; done
	install -D -m 0644 packaging/systemd/examples/tcp.conf $(DESTDIR)$(DOCDIR)/examples/tcp.conf
	install -D -m 0644 -t $(DESTDIR)$(DOCDIR)/examples packaging/prometheus/scrape.yml packaging/prometheus/gomuxd.rules.yml packaging/grafana/gomuxd.json
	install -d $(DESTDIR)$(TMPFILESDIR) $(DESTDIR)$(UDEVDIR) $(DESTDIR)$(SYSUSERSDIR)
	sed 's|^\(d .* :\)usbmux :|\1$(DAEMONUSER) :|; s|^\(Z .* \)usbmux |\1$(DAEMONUSER) |' packaging/tmpfiles/usbmuxd.conf > $(DESTDIR)$(TMPFILESDIR)/usbmuxd.conf
	sed 's|OWNER="usbmux"|OWNER="$(DAEMONUSER)"|' packaging/udev/39-usbmuxd.rules > $(DESTDIR)$(UDEVDIR)/39-usbmuxd.rules
	sed 's|^u usbmux |u $(DAEMONUSER) |' packaging/sysusers/usbmuxd.conf > $(DESTDIR)$(SYSUSERSDIR)/usbmuxd.conf
	[ -e $(DESTDIR)/etc/usbmuxd.conf ] || install -D -m 0644 packaging/usbmuxd.conf $(DESTDIR)/etc/usbmuxd.conf

## uninstall: remove what install has put there
uninstall:
	rm -f $(DESTDIR)$(SBINDIR)/usbmuxd $(DESTDIR)$(MANDIR)/man8/usbmuxd.8 $(DESTDIR)$(MANDIR)/man5/usbmuxd.conf.5
	cd $(DESTDIR)$(UNITDIR) && rm -f $(UNITS) muxctl-serve.service
	cd $(DESTDIR)$(DOCDIR)/examples && rm -f tcp.conf scrape.yml gomuxd.rules.yml gomuxd.json
	rm -f $(DESTDIR)$(TMPFILESDIR)/usbmuxd.conf $(DESTDIR)$(UDEVDIR)/39-usbmuxd.rules $(DESTDIR)$(SYSUSERSDIR)/usbmuxd.conf
	rm -f $(DESTDIR)$(BINDIR)/muxctl $(DESTDIR)$(MANDIR)/man1/muxctl.1 $(DESTDIR)$(USERUNITDIR)/muxctl-notify.service
	rm -f $(DESTDIR)$(BASHCOMPDIR)/muxctl $(DESTDIR)$(ZSHCOMPDIR)/_muxctl $(DESTDIR)$(FISHCOMPDIR)/muxctl.fish

# The version of packages grows with each commit, as a hash does not. Their files
# have the time of the commit, so that every build of it is the same.
PACKAGE_VERSION   ?= $(subst +g,+$(shell git rev-list --count HEAD 2>/dev/null).g,$(VERSION))
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)

# package TYPE,ROOT packs what is below ROOT.
define package
	PACKAGE_ROOT=$(2) PACKAGE_ARCH=$${GOARCH:-$$($(GO) env GOARCH)} \
	PACKAGE_GLIBC=$$($${OBJDUMP:-objdump} -T $(2)/usr/*bin/* | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1 | cut -d_ -f2) \
		sh -c 'GOARCH= CGO_ENABLED=0 $(NFPM) package -f packaging/nfpm.yaml -p $(1) -t $(DIST)/gomuxd_$(PACKAGE_VERSION)_$$PACKAGE_ARCH.$(1)'
endef

deb rpm: export PACKAGE_VERSION := $(PACKAGE_VERSION)
deb rpm: export SOURCE_DATE_EPOCH := $(SOURCE_DATE_EPOCH)

## deb: set up, then build the Debian package dist/gomuxd_VERSION_ARCH.deb
deb:
	@./.ci/setup package
	rm -rf $(DIST)/deb
	umask 022; $(MAKE) install DESTDIR=$(DIST)/deb PREFIX=/usr ZSHCOMPDIR=/usr/share/zsh/vendor-completions
	GO='$(GO)' packaging/deb/stage $(DIST)/deb
	$(call package,deb,$(DIST)/deb)

# Fedora's C daemon is run by a user of another name than Debian's.
## rpm: set up, then build the RPM package dist/gomuxd_VERSION_ARCH.rpm
rpm:
	@./.ci/setup package
	rm -rf $(DIST)/rpm
	umask 022; $(MAKE) install DESTDIR=$(DIST)/rpm PREFIX=/usr DAEMONUSER=usbmuxd
	GO='$(GO)' packaging/rpm/stage $(DIST)/rpm
	$(call package,rpm,$(DIST)/rpm)

## release: set up, then build all packages, bills of materials and checksums into dist/release; RELEASE_ARCHS
release:
	@./.ci/setup release
	rm -rf $(DIST)/release $(DIST)/build
	mkdir -p $(DIST)/release
	for arch in $(RELEASE_ARCHS); do \
		packaging/cross $$arch $(CROSSROOT)-$$arch $(MAKE) deb rpm DIST=$(DIST)/build/$$arch BIN=$(DIST)/build/$$arch/bin && \
		mv $(DIST)/build/$$arch/gomuxd_* $(DIST)/release/ || exit 1; done
	git archive --format=tar --prefix=gomuxd-$(PACKAGE_VERSION)/ HEAD | gzip -9n > $(DIST)/release/gomuxd-$(PACKAGE_VERSION).tar.gz
	for program in usbmuxd muxctl; do \
		$(CYCLONEDX) app -json -noserial -main cmd/$$program . 2>/dev/null | \
			sed 's/"timestamp": "[^"]*"/"timestamp": "'$$(date -ud @$(SOURCE_DATE_EPOCH) +%FT%TZ)'"/' \
			> $(DIST)/release/$$program-$(PACKAGE_VERSION).cdx.json; \
		grep -q '"purl"' $(DIST)/release/$$program-$(PACKAGE_VERSION).cdx.json || exit 1; done
	cd $(DIST)/release && sha256sum * > SHA256SUMS

# The second time as on another machine: a clone elsewhere, nothing in Go's cache,
# another umask and time zone.
## release-check: set up, then build the release of this commit twice, compare, and ask lintian
release-check:
	@git diff --quiet HEAD || { echo 'release-check: commit first, a release is of a commit'; exit 1; }
	$(MAKE) release DIST=$(DIST)/first
	rm -rf $(DIST)/second && git clone --quiet . $(DIST)/second/clone
	umask 077; export GOCACHE=$(abspath $(DIST))/second/cache TZ=Asia/Tokyo; \
		$(MAKE) -C $(DIST)/second/clone release DIST=dist
	diff -r $(DIST)/first/release $(DIST)/second/clone/dist/release
	$(LINTIAN) $(DIST)/first/release/*.deb
	cd $(DIST)/first/release && sha256sum --check SHA256SUMS
	rm -rf $(DIST)/second

## package-check: set up, then install, upgrade and remove deb and rpm in throw-away Debian systems (root)
package-check:
	@./.ci/setup release
	rm -rf $(DIST)/check
	$(MAKE) deb rpm DIST=$(DIST)/check/old
	$(MAKE) deb rpm DIST=$(DIST)/check/new VERSION=99.0.0
	$(LINTIAN) $(DIST)/check/old/*.deb
	packaging/deb/check $(DIST)/check/old/*.deb $(DIST)/check/new/*.deb
	packaging/rpm/check $(DIST)/check/old/*.rpm $(DIST)/check/new/*.rpm

## container-root: assemble dist/container, for an image of the daemon alone
container-root: build
	rm -rf $(DIST)/container && mkdir -p $(DIST)/container
	packaging/container/root $(BIN)/usbmuxd $(DIST)/container/root
	tar -C $(DIST)/container/root --sort=name --owner=0 --group=0 --numeric-owner --mtime=@$(SOURCE_DATE_EPOCH) -cf $(DIST)/container/root.tar .
	cp packaging/container/Containerfile $(DIST)/container/

## clean: remove what was built
clean:
	rm -rf bin dist cover.out

.PHONY: help hardware-check demo recording recording-top screenshots test e2e e2e-short vm-image build setup setup-test test-race test-plain test-vm test-clean short lint fmt-check vet tidy-check bench bench-go fuzz soak replugs vuln cover install uninstall deb rpm release release-check package-check container-root clean
