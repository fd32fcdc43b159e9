#!/usr/bin/env bash
# tools/ci.sh LANE...: the same lanes here and in CI. Runs every lane named, even if one before it failed.
#   gcc            all tests: unit, scenario, e2e, floors
#   asan-ubsan     unit and scenario tests under the address and undefined-behaviour sanitizers
#   tsan           the same under clang's thread sanitizer
#   valgrind       the same under valgrind
#   clang-release  the same as clang's release build
#   fuzz           each fuzzer for FUZZ_SECONDS (60), from its corpus, under the sanitizers
#   docs           the README's example, compiled against the installed library and run
#   format         clang-format
#   lint           clang's warnings, clang-tidy, cppcheck
# Each lane leaves "<passed> <failed>" in build-lanes/<lane>.count: a test each, or the lane as one.
set -uo pipefail
cd "$(dirname "$0")/.."
root=$PWD
lanes=$root/build-lanes
jobs=$(nproc)
mkdir -p "$lanes"

# The C++ compiler that goes with a C compiler.
cxx() {
	case $1 in
	*clang*) echo "${1/clang/clang++}" ;;
	*) echo "${1/gcc/g++}" ;;
	esac
}

# build FOLDER COMPILER [MESON OPTION...]
build() {
	local folder=$lanes/$1 compiler=$2
	shift 2
	if [ ! -e "$folder/build.ninja" ]; then
		rm -rf "$folder"
		CC=$compiler CXX=$(cxx "$compiler") meson setup "$folder" "$@" >"$folder.setup.log" || {
			cat "$folder.setup.log"
			return 1
		}
	fi
	ninja -C "$folder" -j "$jobs" --quiet
}

# tests FOLDER [MESON TEST OPTION...]: runs them, and sets `passed` and `failed`
tests() {
	local folder=$lanes/$1
	shift
	rm -f "$folder"/meson-logs/testlog*.json
	meson test -C "$folder" --no-rebuild --num-processes "$jobs" --print-errorlogs "$@" || true
	read -r passed failed < <(python3 - "$folder"/meson-logs/testlog*.json <<-'END'
		import json, sys
		count = {True: 0, False: 0}
		for name in sys.argv[1:]:
		    for line in open(name) if not name.endswith("*.json") else []:
		        result = json.loads(line)["result"]
		        if result != "SKIP":
		            count[result in ("OK", "EXPECTEDFAIL")] += 1
		print(count[True], count[False])
	END
	)
	[ $((passed + failed)) -gt 0 ]
}

small=(--suite unit --suite scenario)

lane_gcc() {
	build gcc gcc && tests gcc
}

lane_asan-ubsan() {
	local -x ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1
	local -x UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
	build asan-ubsan gcc -Db_sanitize=address,undefined -Db_lundef=false &&
		tests asan-ubsan "${small[@]}" --timeout-multiplier 4
}

lane_tsan() {
	local -x TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
	build tsan clang -Db_sanitize=thread -Db_lundef=false || return 1
	# clang 14's runtime cannot place its shadow where addresses are spread widely
	local wrapper=()
	setarch -R true 2>/dev/null && wrapper=(--wrapper 'setarch -R')
	tests tsan "${small[@]}" --timeout-multiplier 10 "${wrapper[@]}"
}

lane_valgrind() {
	build valgrind gcc &&
		tests valgrind "${small[@]}" --timeout-multiplier 30 --wrapper "valgrind --quiet \
--error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite,indirect,possible"
}

lane_clang-release() {
	build clang-release clang --buildtype=release && tests clang-release "${small[@]}"
}

# What is new and what fails is left in build-lanes/fuzz-found/<fuzzer>/.
lane_fuzz() {
	local -x ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1
	local -x UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
	build fuzz clang -Db_sanitize=address,undefined -Db_lundef=false \
		-Dc_args=-fsanitize=fuzzer-no-link -Dcpp_args=-fsanitize=fuzzer-no-link || return 1
	local corpus name found options
	for corpus in tests/fuzz/corpus/*; do
		name=$(basename "$corpus")
		found=$lanes/fuzz-found/$name
		mkdir -p "$found/inputs"
		options=(-max_total_time="${FUZZ_SECONDS:-60}" -max_len=4096 -timeout=10 -artifact_prefix="$found/")
		[ ! -e "tests/fuzz/$name.dict" ] || options+=(-dict="tests/fuzz/$name.dict")
		if "$lanes/fuzz/tests/fuzz/fuzz_$name" "${options[@]}" "$found/inputs" "$corpus" 2>"$found/log"; then
			passed=$((passed + 1))
			echo "$name: $(grep -a DONE "$found/log")"
		else
			failed=$((failed + 1))
			tail -n 80 "$found/log"
		fi
	done
}

lane_docs() {
	build gcc gcc || return 1
	local out=$lanes/docs
	rm -rf "$out"
	mkdir -p "$out"
	awk '/^```c$/ {inside = 1; next} /^```$/ && inside {exit} inside' README.md >"$out/readme.c"
	[ -s "$out/readme.c" ] || { echo "docs: README.md has no C example" && return 1; }
	make --silent install BUILD="$lanes/gcc" PREFIX="$out/installed" || return 1
	local -x PKG_CONFIG_PATH LD_LIBRARY_PATH
	PKG_CONFIG_PATH=$(dirname "$(find "$out/installed" -name streamer.pc)")
	LD_LIBRARY_PATH=$(pkg-config --variable=libdir streamer)
	local shared static
	shared=$(pkg-config --cflags --libs streamer)
	static=$(pkg-config --static --cflags --libs streamer)
	# shellcheck disable=SC2086 # lists of options
	gcc -std=c11 -Wall -Wextra -Wpedantic -Werror "$out/readme.c" -o "$out/readme-shared" $shared &&
		gcc -std=c11 "$out/readme.c" -o "$out/readme-static" ${static/-lstreamer/-l:libstreamer.a} &&
		timeout 60 "$out/readme-shared" && timeout 60 "$out/readme-static"
}

sources() {
	find src include cli bench examples tests \( -name node_modules -o -path bench/peers \) -prune -o \( -name "*.[ch]" -o -name "*.cc" \) -print | sort
}

lane_format() {
	local found
	found=$(sources | xargs clang-format --dry-run 2>&1 | grep -o '^[^: ]*:[0-9]*:' | sort -u | cut -d: -f1 | uniq -c)
	[ -z "$found" ] || { printf 'clang-format -i would change:\n%s\n' "$found" && return 1; }
}

lane_lint() {
	build lint clang --buildtype=debug || return 1
	local status=0
	# one file a run: clang-tidy 14 carries what it knows of a va_list into the next file
	sources | grep '\.cc\?$' | xargs -P "$jobs" -n 1 clang-tidy -p "$lanes/lint" --quiet 2>"$lanes/lint.log" ||
		status=1
	grep -v 'warnings generated\|Suppressed\|Use -header-filter' "$lanes/lint.log"
	cppcheck --quiet --std=c11 --library=posix --enable=warning,performance,portability \
		--inline-suppr --suppress=missingIncludeSystem --error-exitcode=1 -j "$jobs" \
		$(printf -- '-I%s ' include src/*/) src cli || status=1
	return $status
}

run_lane() {
	local passed=0 failed=0
	echo "== $1"
	if "lane_$1"; then
		[ $((passed + failed)) -gt 0 ] || passed=1
	else
		failed=$((failed + 1))
	fi
	echo "$passed $failed" >"$lanes/$1.count"
	echo "== $1: $passed passed, $failed failed"
	[ "$failed" = 0 ]
}

[ $# -gt 0 ] || { sed -n '2,/^set/s/^# //p' "$0" && exit 2; }
bad=0
for lane in "$@"; do
	declare -F "lane_$lane" >/dev/null || { echo "ci.sh: there is no lane $lane" >&2 && exit 2; }
	run_lane "$lane" || bad=1
done
exit $bad
