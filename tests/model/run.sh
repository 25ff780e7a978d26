#!/bin/sh
# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
#
# Searches all states of the models (README.md), and shows that each property
# can fail: with each mutant of record.pml something has to be found.
set -u
LC_ALL=C
export LC_ALL
src=$(cd "${srcdir:-.}/tests/model" && pwd) || exit 1
[ "${MODEL:-}" != skip ] || exit 77
spin=$(command -v spin) || { echo "spin is not installed"; exit 77; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
passed=0 failed=0

# search_of MODEL NAME FLAGS...: the program NAME that searches it.
search_of() {
	model=$1
	name=$2
	shift 2
	mkdir "$work/$name" && cd "$work/$name" || exit 1
	cp "$src"/*.pml . && "$spin" -a "$model.pml" >spin.out 2>&1 &&
	    ${CC:-cc} -O1 -w -DCOLLAPSE "$@" -o pan pan.c 2>>spin.out &&
	    return
	cat spin.out
	echo "FAIL the model $model can't be built"
	exit 1
}

count() {
	if [ "$1" -eq 0 ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAIL $2"
		cat "$work/out"
	fi
}

# search NAME [OPTION] VARIABLE=VALUE...: into $work/out.
search() {
	name=$1
	shift
	option=-m100000
	case ${1:-} in
	-*) option="$option $1"; shift ;;
	esac
	# shellcheck disable=SC2086
	env "$@" "$work/$name/pan" $option >"$work/out" 2>&1
}

# holds WHAT NAME ...: nothing is found, anywhere.
holds() {
	what=$1
	shift
	search "$@"
	grep -q 'errors: 0$' "$work/out" &&
	    ! grep -q 'search depth too small\|aborted' "$work/out"
	count $? "$what"
	echo "$what:$(sed -n 's/ states, stored.*//p' "$work/out") states"
}

# found MUTANT NAME ...: the number of a mutant, by its name in record.pml.
found() {
	number=$(sed -n "s/^#define $1[[:space:]]*//p" "$src/record.pml")
	what=$1
	shift
	search "$@" "MUTANT=${number:-0}"
	grep -q 'assertion violated' "$work/out"
	count $? "$what is not found out"
}

search_of merge merge -DSAFETY
search_of consent consent -DSAFETY
search_of consent cycles -DNP

holds "any order" merge
holds "failover" consent EVENTS=2 FAULTS=1 COPIES=1 FAILOVER=1
holds "flush and rebuild" consent EVENTS=2 FAULTS=1 FLUSH=1 REBUILDS=1
holds "crash and rebuild" consent EVENTS=2 FAULTS=1 KILL=1 REBUILDS=1
holds "power cut, late import" consent EVENTS=2 FAULTS=1 POWER=1 IMPORT=1
holds "erasure" consent EVENTS=3 ERASE=1
holds "erasure and flush" consent EVENTS=2 FAULTS=1 FLUSH=1 ERASE=1 IMPORT=1
holds "filter and failover" consent EVENTS=2 FAULTS=1 COPIES=1 FAILOVER=1 \
    DECISIONS=1
holds "filter that asks a replica" consent EVENTS=2 COPIES=1 DECISIONS=1 REPLICA=1
if [ "${MODEL_LONG:-}" = 1 ]; then
	holds "replica and failover" consent EVENTS=2 FAULTS=1 COPIES=2 \
	    FAILOVER=1 DECISIONS=1 REPLICA=1
	holds "replica with an old dump" consent EVENTS=2 FAULTS=1 COPIES=3 \
	    DUMP=1 DECISIONS=1 REPLICA=1
	holds "failovers and crashes" consent EVENTS=2 FAULTS=2 COPIES=1 \
	    FAILOVER=1 KILL=1
	holds "power cut and failover" consent EVENTS=2 FAULTS=2 COPIES=1 \
	    POWER=1 FAILOVER=1
	holds "three events and failover" consent EVENTS=3 FAULTS=1 COPIES=1 \
	    FAILOVER=1
	holds "erasure, late import" consent EVENTS=3 ERASE=1 IMPORT=1
fi
holds "comes to an end" cycles -l EVENTS=2 FAULTS=1 FLUSH=1 REBUILDS=1

found OVERWRITES merge
found KEEPS_NO_SUPPRESSION merge
found ALLOWS_COVERED merge
found OVERWRITES consent EVENTS=3 FAULTS=1 COPIES=1 FAILOVER=1 KILL=1
found CURSOR_FIRST consent EVENTS=2 FAULTS=1 COPIES=1 FAILOVER=1
found CURSOR_UNCHECKED consent EVENTS=2 FAULTS=1 COPIES=1 FAILOVER=1
found CURSOR_UNCHECKED consent EVENTS=2 FAULTS=1 FLUSH=1
found CURSOR_OF_FILE_ALONE consent EVENTS=2 FAULTS=1 FLUSH=1
found BLANKS_SUPPRESSION consent EVENTS=3 FAULTS=1 FLUSH=1 ERASE=1
found KEEPS_NO_SUPPRESSION consent EVENTS=2 ERASE=1
found ALLOWS_COVERED consent EVENTS=2 ERASE=1
found ACKNOWLEDGES_UNSYNCED consent EVENTS=2 FAULTS=1 POWER=1
found APPLIES_UNSYNCED consent EVENTS=3 FAULTS=1 POWER=1
found ASKS_REDIS_FIRST consent EVENTS=2 DECISIONS=1
found NEVER_GOES_BACK consent EVENTS=2 FAULTS=1 COPIES=1 FAILOVER=1 DECISIONS=1
found NEVER_ASKS_CURSOR consent EVENTS=2 FAULTS=1 FLUSH=1 DECISIONS=1
found BELIEVES_CONNECTION consent EVENTS=2 FAULTS=1 COPIES=1 FAILOVER=1 \
    DECISIONS=1
found CATCHES_UP_LATE consent EVENTS=2 COPIES=1 DECISIONS=1 REPLICA=1
found BELIEVES_REPLICA consent EVENTS=2 FAULTS=1 COPIES=3 DUMP=1 DECISIONS=1 \
    REPLICA=1
found MARKS_LAST consent EVENTS=2 FAULTS=1 COPIES=3 DUMP=1 DECISIONS=1 REPLICA=1
found REBUILDS_UNCHECKED consent EVENTS=2 FAULTS=1 FLUSH=1 REBUILDS=1
found GRANT_WINS_TIES consent EVENTS=2
# What is not promised: that clocks may differ while Redis is away.
found CLOCKS_DIFFER consent EVENTS=2

echo "model: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
