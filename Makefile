# A short front for Meson and tools/. `make` alone shows what there is.

BUILD = build

help:
	@echo 'make demo     build, then show it all on a live application (DEMO_SECONDS=10: end by itself)'
	@echo 'make build    the program, release: $(BUILD)/streamer'
	@echo 'make install  program, library, header, manual: PREFIX=/usr/local DESTDIR= (make uninstall undoes it)'
	@echo 'make test     unit, scenario and end-to-end tests, sanitizers, the README example'
	@echo 'make test-all further lanes: thread sanitizer, valgrind, clang'
	@echo 'make lint     format, clang-tidy, cppcheck'
	@echo 'make bench    measure; writes $(BUILD)/bench.json'
	@echo 'make bench-match  the match workloads at 1k, 100k and 1M: $(BUILD)/bench.json, docs/figures'
	@echo 'make bench-peers  the language and matching beside cel-go, cel, event-ruler, quamina, a-tree'
	@echo 'make setup    install what is missing for all of these'
	@echo 'make clean    remove what was built'

setup:
	@tools/setup

build:
	@tools/setup build
	@test -e $(BUILD)/build.ninja || \
		meson setup $(BUILD) --buildtype=release -Ddebug=true -Dtests=false
	@ninja -C $(BUILD)

# The build folder keeps the prefix, and a list of what was installed last.
install: build
	@$(if $(PREFIX),meson configure $(BUILD) -Dprefix='$(PREFIX)')
	@DESTDIR='$(DESTDIR)' meson install -C $(BUILD) --quiet
	@[ -n '$(DESTDIR)' ] || [ "$$(id -u)" != 0 ] || ldconfig

uninstall:
	@ninja -C $(BUILD) --quiet uninstall

demo: build
	@$(BUILD)/streamer-demo

bench: build
	@tools/bench

bench-match: build
	@tools/bench-figures --measure

bench-peers: build
	@tools/bench-peers
	@tools/bench-peers-match

test:
	@tools/setup build test
	@tools/ci.sh gcc asan-ubsan docs

test-all: test
	@tools/setup lanes
	@tools/ci.sh clang-release tsan valgrind fuzz

lint:
	@tools/setup build lint
	@tools/ci.sh format lint

clean:
	rm -rf $(BUILD) build-lanes

.PHONY: help setup build install uninstall demo bench bench-match bench-peers test test-all lint clean
