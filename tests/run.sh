#!/bin/sh
# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
#
# Runs all tests.
#
# usage: tests/run.sh [--no-install] [STAGE...]
#
# Stages: check integration fuzz threads distcheck package lint (all, in this
# order).
# Builds in build-tests/ and keeps a log of each stage in build-tests/logs/.
# Needs root for the integration tests (they start private mail servers).
# Environment: FUZZ_SECONDS for each fuzz target (5), JOBS (processors), and
# CI=true, with which a skipped test has failed.
#
# A line per stage; the last line is `N passed, N failed' over everything.
set -u
LC_ALL=C
export LC_ALL
src=$(cd "$(dirname "$0")/.." && pwd) || exit 1
build=$src/build-tests
logs=$build/logs
jobs=${JOBS:-$(nproc 2>/dev/null || echo 2)}
passed=0 failed=0

. "$src/tests/packages.sh"

stages=
for argument; do
	case $argument in
	--no-install) packages_only_name=1 ;;
	check|integration|fuzz|threads|distcheck|package|lint)
		stages="$stages $argument" ;;
	*)
		echo "usage: $0 [--no-install] [check] [integration] [fuzz]" \
		    "[threads] [distcheck] [package] [lint]" >&2
		exit 64 ;;
	esac
done
: "${stages:=check integration fuzz threads distcheck package lint}"

# add PASSED FAILED
add() {
	passed=$((passed + $1))
	failed=$((failed + $2))
}

# last_count FILE: "N N" of its last line `[name: ]N passed, N failed', or
# nothing.
last_count() {
	sed -n 's/^\(.*: \)\{0,1\}\([0-9][0-9]*\) passed, \([0-9][0-9]*\) failed$/\2 \3/p' \
	    "$1" | tail -n 1
}

# sum_count FILE: the sum of such lines, "N N", for a program with several.
sum_count() {
	awk '/[0-9]+ passed, [0-9]+ failed$/ {
		good += $(NF - 3)
		bad += $(NF - 1)
	}
	END { print good + 0, bad + 0 }' "$1"
}

# sum_checks DIR: the results that `make check' left there, "N N".  A program
# without a count of its own counts once; one that died counts as failed.
sum_checks() {
	good=0 bad=0
	for trs in $(find "$1" -name '*.trs'); do
		result=$(sed -n 's/^:test-result: //p' "$trs")
		count=$(sum_count "${trs%.trs}.log")
		good=$((good + ${count% *}))
		bad=$((bad + ${count#* }))
		case $result in
		PASS) [ "$count" != "0 0" ] || good=$((good + 1)) ;;
		SKIP) [ "${CI:-}" != true ] || bad=$((bad + 1)) ;;
		*) [ "${count#* }" -ne 0 ] || bad=$((bad + 1)) ;;
		esac
	done
	echo "$good $bad"
}

# show_failed DIR: the logs of the tests that failed there.
show_failed() {
	grep -rLx --include='*.trs' ':test-result: PASS' "$1" |
	    while read -r trs; do
		echo "--- ${trs%.trs}.log"
		tail -n 60 "${trs%.trs}.log"
	done
}

# configure NAME OPTIONS...: an out-of-tree build, fresh.
configure() {
	dir=$build/$1
	shift
	rm -rf "$dir"
	mkdir -p "$dir"
	(cd "$dir" && "$src/configure" -q --enable-werror "$@")
}

# Each stage_X prints into its log and sets count="N N".

# By the first stage that needs it.
build_asan() {
	configure asan --with-sanitizers=address,undefined \
	    CC=gcc CFLAGS='-g -O1' &&
	    make -C "$build/asan" -s -j"$jobs" all
}

stage_check() {
	count="0 1"
	build_asan || return
	timeout 900 make -C "$build/asan" -s -j"$jobs" -k check
	status=$?
	count=$(sum_checks "$build/asan")
	# A test that does not even compile.
	if [ "$status" -ne 0 ] && [ "${count#* }" -eq 0 ]; then
		count="${count% *} 1"
	fi
	show_failed "$build/asan"
}

stage_integration() {
	count="0 1"
	[ -e "$build/asan/config.h" ] || build_asan || return
	python3 -B "$src/tests/integration/run.py" -j 2 -b "$build/asan" \
	    >"$logs/integration.out" 2>&1
	cat "$logs/integration.out"
	found=$(last_count "$logs/integration.out")
	[ -z "$found" ] || count=$found
	[ "$count" != "0 0" ] || count="0 1"
}

# fuzz_one PROGRAM: for FUZZ_SECONDS, from the seeds in the tree; what it finds
# is left in build-tests/fuzz/found/.
fuzz_one() {
	name=${1##*/fuzz_}
	mkdir -p "corpus/$name" found
	dict=
	[ ! -f "$src/tests/fuzz/dict/$name.dict" ] ||
	    dict=-dict=$src/tests/fuzz/dict/$name.dict
	if "./$1" -max_total_time="${FUZZ_SECONDS:-5}" -timeout=10 \
	    -print_final_stats=1 -artifact_prefix="found/$name-" \
	    ${dict:+"$dict"} "corpus/$name" "$src/tests/fuzz/corpus/$name" \
	    >"fuzz_$name.log" 2>&1 </dev/null; then
		echo "PASS fuzz $name: $(sed -n \
		    's/^stat::number_of_executed_units: //p' "fuzz_$name.log")" \
		    "inputs"
	else
		echo "FAIL fuzz $name"
		tail -n 40 "fuzz_$name.log"
	fi
}

stage_fuzz() {
	count="0 1"
	configure fuzz --enable-fuzzing --with-sanitizers=address,undefined \
	    CC=clang CFLAGS='-g -O1' &&
	    make -C "$build/fuzz" -s -j"$jobs" all || return
	targets=$(make -C "$build/fuzz" -s list-fuzz-targets)
	if [ -z "$targets" ]; then
		echo "no fuzz targets found"
		return
	fi
	make -C "$build/fuzz" -s -j"$jobs" $targets || return
	cd "$build/fuzz" || return
	running=0
	for target in $targets; do
		fuzz_one "$target" &
		running=$((running + 1))
		[ $((running % jobs)) -ne 0 ] || wait
	done >"$logs/fuzz.out" 2>&1
	wait
	cat "$logs/fuzz.out"
	good=$(grep -c '^PASS fuzz' "$logs/fuzz.out")
	count="$good $((running - good))"
}

stage_threads() {
	count="0 1"
	configure tsan --with-sanitizers=thread CC=gcc CFLAGS='-g -O1' &&
	    make -C "$build/tsan" -s -j"$jobs" all || return
	programs=$(make -C "$build/tsan" -s list-check-programs |
	    tr ' ' '\n' | grep -E '^tests/unit/test_(journal|store)')
	TSAN_OPTIONS="suppressions=$src/tests/tsan.supp"
	export TSAN_OPTIONS
	good=0 bad=0
	[ -n "$programs" ] || bad=1
	for program in $programs; do
		if ! make -C "$build/tsan" -s -j"$jobs" "$program"; then
			bad=$((bad + 1))
			continue
		fi
		(cd "$build/tsan" && srcdir=$src timeout 300 "./$program") \
		    >"$build/tsan/$program.log" 2>&1 </dev/null
		status=$?
		found=$(sum_count "$build/tsan/$program.log")
		good=$((good + ${found% *}))
		bad=$((bad + ${found#* }))
		[ "$status" -ne 0 ] || continue
		[ "${found#* }" -ne 0 ] || bad=$((bad + 1))
		echo "--- $program: exit $status"
		tail -n 60 "$build/tsan/$program.log"
	done
	python3 -B "$src/tests/integration/run.py" -b "$build/tsan" \
	    test_load test_web test_pages test_metrics >"$logs/load.out" 2>&1
	cat "$logs/load.out"
	load=$(last_count "$logs/load.out")
	: "${load:=0 1}"
	count="$((good + ${load% *})) $((bad + ${load#* }))"
}

stage_distcheck() {
	# The model does not change with the place where it is built.  The
	# compiler sees other things without the sanitizers.
	configure dist CC=gcc &&
	    MODEL=skip timeout 900 make -C "$build/dist" -s -j"$jobs" distcheck \
	    DISTCHECK_CONFIGURE_FLAGS='-q --enable-werror'
	if [ $? -eq 0 ]; then
		count="1 0"
	else
		count="0 1"
	fi
}

stage_package() {
	count="0 1"
	configure package CC=gcc || return
	python3 -B "$src/tests/integration/run.py" -t 1800 \
	    -b "$build/package" test_package >"$logs/package.out" 2>&1
	cat "$logs/package.out"
	found=$(last_count "$logs/package.out")
	[ -z "$found" ] || count=$found
	[ "$count" != "0 0" ] || count="0 1"
}

stage_lint() {
	count="0 1"
	[ -e "$build/asan/config.h" ] || build_asan || return
	python3 -B "$src/tests/lint/lint.py" "$src" "$build/asan" \
	    >"$logs/lint.out" 2>&1
	cat "$logs/lint.out"
	found=$(last_count "$logs/lint.out")
	[ -z "$found" ] || count=$found
}

# The stage runs in a subshell (it may change directory); its count comes by
# file.
stage() {
	begun=$(date +%s)
	rm -f "$logs/$1.count"
	(
		"stage_$1"
		echo "$count" >"$logs/$1.count"
	) >"$logs/$1.log" 2>&1 </dev/null
	result=0
	count=$(cat "$logs/$1.count" 2>/dev/null) && [ -n "$count" ] ||
	    count="0 1"
	[ "${count#* }" -eq 0 ] || result=1
	[ "$result" -eq 0 ] || { echo "--- $1"; tail -n 200 "$logs/$1.log"; }
	printf '%-12s %4d s   %d ok, %d not ok\n' "$1" \
	    $(($(date +%s) - begun)) "${count% *}" "${count#* }"
	add "${count% *}" "${count#* }"
}

finish() {
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ]
	exit
}

mkdir -p "$logs"
if ! packages_install $packages_build $packages_rig $packages_test; then
	add 0 1
	finish
fi
if [ -f "$src/config.status" ]; then
	echo "$src is configured itself: run \`make distclean' there" >&2
	add 0 1
	finish
fi
if ! (cd "$src" && autoreconf -fi) >"$logs/autoreconf.log" 2>&1; then
	cat "$logs/autoreconf.log"
	add 0 1
	finish
fi
for stage in $stages; do
	stage "$stage"
done
finish
