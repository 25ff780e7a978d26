/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What is known about one person and one list, as src/consent/record.c and
 * src/store/merge.lua keep it: of each kind of event the latest time.
 */
#define NOTHING	0	/* blanked, or no event */
#define GRANT	1
#define OPT_OUT	2	/* withdrawal or objection */
#define ERASE	3

/* 0: as the product is.  The others must each be found out (run.sh). */
byte mutant;
#define OVERWRITES		1
#define CURSOR_FIRST		2
#define CURSOR_UNCHECKED	3
#define CURSOR_OF_FILE_ALONE	4
#define BLANKS_SUPPRESSION	5
#define KEEPS_NO_SUPPRESSION	6
#define ACKNOWLEDGES_UNSYNCED	7
#define APPLIES_UNSYNCED	8
#define ASKS_REDIS_FIRST	9
#define NEVER_GOES_BACK		10
#define NEVER_ASKS_CURSOR	11
#define REBUILDS_UNCHECKED	12
#define GRANT_WINS_TIES		13
#define CLOCKS_DIFFER		14
#define ALLOWS_COVERED		15
#define BELIEVES_REPLICA	16
#define MARKS_LAST		17
#define CATCHES_UP_LATE		18
#define BELIEVES_CONNECTION	19

typedef record { byte g, w, e };

inline raise(time, to) {
	if
	:: to > time || mutant == OVERWRITES -> time = to
	:: else
	fi
}

inline normalise(r) {
	if
	:: mutant != ALLOWS_COVERED && r.g <= r.e -> r.g = 0
	:: else
	fi;
	if
	:: r.w <= r.e -> r.w = 0
	:: else
	fi
}

inline merge(r, what, when) {
	if
	:: what == GRANT -> raise(r.g, when)
	:: what == OPT_OUT -> raise(r.w, when)
	:: what == ERASE -> raise(r.e, when)
	:: else
	fi;
	normalise(r);
	if
	:: mutant == KEEPS_NO_SUPPRESSION -> r.e = 0
	:: else
	fi
}

/* src/consent/decision.c; the double opt-in is one grant here. */
#define allows(r) ((r.g > r.w && r.g > r.e) || \
	(mutant == GRANT_WINS_TIES && r.g > 0 && r.g >= r.w && r.g >= r.e))
