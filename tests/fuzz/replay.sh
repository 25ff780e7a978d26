#!/bin/sh
# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
#
# Runs each fuzz target (FUZZ_TARGETS, relative to the build directory) over
# the files of tests/fuzz/corpus/NAME.
set -u
corpus=${srcdir:-.}/tests/fuzz/corpus
passed=0 failed=0
for target in ${FUZZ_TARGETS?}; do
	name=${target##*/fuzz_}
	set -- "$corpus/$name"/*
	if [ -f "$1" ] && "./$target" "$@" </dev/null >/dev/null; then
		passed=$((passed + 1))
	else
		echo "FAIL fuzz corpus of $name" >&2
		failed=$((failed + 1))
	fi
done
echo "fuzz corpora: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
