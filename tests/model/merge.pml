/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Any events, in any order, any of them twice, cut anywhere and joined by
 * merging the two parts (record_merge(), as the filter joins Redis and its own
 * ledger): always the same record.  And one in which no erased time is left.
 */
#include "record.pml"

#define EVENTS	3
#define TIMES	3

byte kind[EVENTS], at[EVENTS];

/* The record of all in the order in which they happened to be numbered, and
 * that of another order. */
record straight, shuffled, part;
byte done, i, again;

inline choose_events() {
	i = 0;
	do
	:: i < EVENTS ->
		if
		:: kind[i] = GRANT
		:: kind[i] = OPT_OUT
		:: kind[i] = ERASE
		fi;
		if
		:: at[i] = 1
		:: at[i] = 2
		:: at[i] = TIMES
		fi;
		merge(straight, kind[i], at[i]);
		i++
	:: else -> break
	od
}

#define has(n)	((done >> n) & 1)

/* To Redis, or to what lies beside it until then. */
inline apply_one(n) {
	if
	:: true -> merge(shuffled, kind[n], at[n])
	:: true -> merge(part, kind[n], at[n])
	fi;
	if
	:: has(n) -> again++
	:: else -> done = done | (1 << n)
	fi
}

inline join() {
	raise(shuffled.g, part.g);
	raise(shuffled.w, part.w);
	raise(shuffled.e, part.e);
	normalise(shuffled)
}

init {
	c_code { now.mutant = getenv("MUTANT") ?
	    (unsigned char)atoi(getenv("MUTANT")) : 0; };
	atomic { choose_events() };
	do
	:: atomic { !has(0) || again < 1 -> apply_one(0) }
	:: atomic { !has(1) || again < 1 -> apply_one(1) }
	:: atomic { !has(2) || again < 1 -> apply_one(2) }
	:: atomic { done == 7 -> break }
	od;
	atomic {
		join();
		assert(shuffled.g == straight.g);
		assert(shuffled.w == straight.w);
		assert(shuffled.e == straight.e);
		assert(shuffled.g == 0 || shuffled.g > shuffled.e)
	}
}
