/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Two hosts with a ledger each, one Redis, one person, one list.  README.md
 * says what each process stands for and what is left out.
 */
#include "record.pml"

#define HOSTS	2
#define ROOM	3	/* entries of a ledger */
#define NEVER	0

/* How much may happen in a run; from the environment, run.sh. */
byte events_left, faults_left, copies_left, decisions_left, rebuilds_left;
bool with_power, with_kill, with_flush, with_failover, with_import, with_erase;
bool with_replica;	/* the filter asks a replica: redis.read_from */
bool with_dump;		/* ... which starts again with an old dump */

/* -- the ledgers, on disk -- */

byte kind[HOSTS * ROOM], at[HOSTS * ROOM];
byte length[HOSTS];	/* entries written */
byte synced[HOSTS];	/* of them, those that a power cut leaves */
byte applied[HOSTS];	/* the file .applied */
bool locked[HOSTS];	/* .applied.lock */
byte due[HOSTS];	/* an erasure that blanks: its place + 1 */
byte lives[HOSTS];	/* how often the host's processes ended */

#define entry(h, n)	((h) * ROOM + (n))

/* -- Redis -- */

typedef redis {
	record person;
	byte cursor[HOSTS];	/* c:applied, by ledger */
	byte rebuilt;		/* ... and of a rebuild of the other's */
}
redis cache, replica, dump;

inline assign(to, from) {
	to.person.g = from.person.g;
	to.person.w = from.person.w;
	to.person.e = from.person.e;
	to.cursor[0] = from.cursor[0];
	to.cursor[1] = from.cursor[1];
	to.rebuilt = from.rebuilt
}

inline flush(r) {
	r.person.g = 0;
	r.person.w = 0;
	r.person.e = 0;
	r.cursor[0] = 0;
	r.cursor[1] = 0;
	r.rebuilt = 0
}

/* -- what people did, by a clock that nobody has: for the properties -- */

byte tick = 1;
byte opted_in;		/* the latest that was begun */
byte opted_in_acked;
byte opted_out;		/* the latest that was begun: also by erasure */
byte opted_out_acked;
byte out_here;		/* ... acknowledged by host 0 */
byte erased_acked;

/* The filter of host 0 has had its time to see this opt-out. */
byte seen_out;
byte connection;	/* the number of the one to Redis */
byte compared;		/* ... by which the filter has asked for the cursor */

#define must_block	(opted_out_acked != NEVER && opted_in <= opted_out_acked)
#define must_allow	(opted_in_acked > opted_out)
#define later(var, than)	var = (than > var -> than : var)

/* -- recording: src/ledger/append.c, src/webd/recorder.c, src/ctl/ledger.c -- */

/* The clock of host 1 may be ahead.  when_opted_out(): an opt-out is not
 * before an opt-in that Redis knows. */
#define clock(h)	(tick + (mutant == CLOCKS_DIFFER && h == 1 -> 1 : 0))
#define out_time(h)	\
	(cache.person.g > clock(h) -> cache.person.g : clock(h))

inline begin_event(h) {
	events_left--;
	life = lives[h];
	if
	:: tick++		/* another moment than the last event's */
	:: true			/* the same millisecond */
	fi;
	happened = tick;
	when = clock(h);
	if
	:: true -> what = GRANT; later(opted_in, tick)
	:: with_import && tick > 1 -> what = GRANT;
		happened = tick - 1; when = happened;
		later(opted_in, happened)
	:: true -> what = OPT_OUT; when = out_time(h);
		later(opted_out, tick)
	:: with_erase -> what = ERASE; when = out_time(h);
		later(opted_out, tick)
	fi;
	kind[entry(h, length[h])] = what;
	at[entry(h, length[h])] = when;
	length[h]++
}

inline acknowledge(h) {
	if
	:: what == GRANT -> later(opted_in_acked, happened)
	:: else -> later(opted_out_acked, happened);
		if
		:: h == 0 -> later(out_here, happened)
		:: else
		fi
	fi;
	if
	:: what == ERASE -> due[h] = length[h];
		later(erased_acked, happened)
	:: else
	fi
}

inline finish_event() {
	what = 0;
	happened = 0;
	when = 0;
	life = 0
}

/* Who writes holds the journal's lock until the entry is on disk.  Without
 * power cuts, nothing that happens in between makes a difference. */
proctype recorder(byte h) {
	byte what, happened, when, life;

	do
	:: atomic { events_left > 0 && length[h] < ROOM && !with_power ->
		begin_event(h);
		synced[h] = length[h];
		acknowledge(h);
		finish_event() }
	:: atomic { events_left > 0 && length[h] < ROOM && with_power ->
		begin_event(h);
		if
		:: mutant == ACKNOWLEDGES_UNSYNCED -> acknowledge(h)
		:: else
		fi };
		atomic {
		if
		:: lives[h] == life ->
			synced[h] = length[h];
			acknowledge(h)
		:: else		/* nobody was told */
		fi;
		finish_event() }
	:: atomic { events_left == 0 || length[h] == ROOM -> break }
	od
}

/* src/rights/redaction.c: entry by entry what is not later than the erasure,
 * but for the erasure itself. */
inline blank_one(h) {
	i = 0;
	do
	:: i < length[h] && (i != due[h] - 1 ||
	    mutant == BLANKS_SUPPRESSION) && kind[entry(h, i)] != NOTHING &&
	    at[entry(h, i)] <= at[entry(h, due[h] - 1)] ->
		kind[entry(h, i)] = NOTHING; break
	:: i < length[h] && !((i != due[h] - 1 ||
	    mutant == BLANKS_SUPPRESSION) && kind[entry(h, i)] != NOTHING &&
	    at[entry(h, i)] <= at[entry(h, due[h] - 1)]) -> i++
	:: i == length[h] -> due[h] = 0; break
	od;
	i = 0
}

proctype eraser(byte h) {
	byte i;

end:	do
	:: atomic { due[h] > 0 -> blank_one(h) }
	od
}

/* -- src/ledger/applier.c -- */

#define lost(h)	(cache.cursor[h] < applied[h] && \
	mutant != CURSOR_OF_FILE_ALONE)
#define unchecked	(mutant == CURSOR_UNCHECKED || \
	mutant == CURSOR_FIRST || mutant == CURSOR_OF_FILE_ALONE)

/* find_start() */
inline start(h) {
	locked[h] = true;
	life = lives[h];
	known = cache.cursor[h];
	if
	:: lost(h) -> applied[h] = known
	:: else
	fi;
	place = applied[h]
}

/* store_apply(): the event and the cursor, or neither. */
inline apply_one(h) {
	if
	:: mutant == APPLIES_UNSYNCED
	:: else -> synced[h] = length[h]
	fi;
	merge(cache.person, kind[entry(h, place)], at[entry(h, place)]);
	place++;
	known = place;
	if
	:: mutant == CURSOR_UNCHECKED || mutant == CURSOR_FIRST
	:: else -> cache.cursor[h] = known
	fi
}

inline stop(h) {
	if
	:: lives[h] == life -> locked[h] = false
	:: else		/* the lock went with the process */
	fi;
	place = 0;
	known = 0;
	life = 0
}

/* One entry after the other, so that there are many batches.  Each line is
 * something after which the process may be killed. */
proctype applier(byte h) {
	byte place, known, life;

end:	do
	:: atomic { !locked[h] && (applied[h] < length[h] || lost(h)) ->
		start(h) };
		do
		:: atomic { lives[h] == life && place < length[h] ->
			if
			:: mutant == CURSOR_FIRST ->
				cache.cursor[h] = place + 1
			:: else
			fi };
			atomic {
			if
			:: lives[h] == life &&
			    (cache.cursor[h] == known || unchecked) ->
				apply_one(h)
			:: else -> break
			fi };
			atomic {
			if
			:: lives[h] == life && mutant == CURSOR_UNCHECKED ->
				cache.cursor[h] = known
			:: else
			fi };
			atomic {
			if
			:: lives[h] == life -> applied[h] = place
			:: else -> break
			fi }
		:: atomic { lives[h] != life || place >= length[h] -> break }
		od;
		atomic { stop(h) }
	od
}

/* `consentctl rebuild --from-start' on host 0, of ledger y. */
proctype rebuild(byte y) {
	byte place, known, life;

	do
	:: atomic { rebuilds_left > 0 && !locked[0] ->
		rebuilds_left--;
		locked[0] = true;
		life = lives[0];
		cache.rebuilt = 0 };
		do
		:: atomic { lives[0] == life && place < synced[y] &&
			(cache.rebuilt == place ||
			mutant == REBUILDS_UNCHECKED) ->
			merge(cache.person, kind[entry(y, place)],
			    at[entry(y, place)]);
			place++;
			cache.rebuilt = place }
		:: atomic { lives[0] == life && place == synced[y] &&
			(cache.rebuilt == place ||
			mutant == REBUILDS_UNCHECKED) ->
			cache.cursor[y] = place;
			cache.rebuilt = 0;
			break }
		:: atomic { lives[0] != life || (cache.rebuilt != place &&
			mutant != REBUILDS_UNCHECKED) -> break }
		od;
		atomic { stop(0) }
	:: atomic { rebuilds_left == 0 -> break }
	od
}

/* -- the filter of host 0: src/milterd/unapplied.c, runtime.c -- */

byte view_from, view_to;	/* entries of the ledger that lie on top */
byte peak;			/* Redis has confirmed that many, once */
byte loss;			/* counts what Redis lost unnoticed */

#define low(a, b)	((a) < (b) -> (a) : (b))
/* Of whom the filter asks. */
#define asked_cursor	(with_replica -> replica.cursor[0] : cache.cursor[0])
#define confirmed	(mutant == NEVER_ASKS_CURSOR || \
	mutant == NEVER_GOES_BACK -> applied[0] : \
	low(applied[0], asked_cursor))
#define first_on_top	(mutant == NEVER_GOES_BACK && \
	confirmed < view_from -> view_from : confirmed)

inline look() {
	view_from = first_on_top;
	view_to = length[0];
	later(peak, applied[0]);
	seen_out = out_here;
	compared = connection
}

proctype follower() {
end:	do
	:: atomic { view_from != first_on_top || view_to != length[0] ||
		seen_out != out_here || compared != connection -> look() }
	od
}

inline put_on_top(r) {
	i = view_from;
	do
	:: i < view_to ->
		if
		:: i < peak && kind[entry(0, i)] == GRANT
		:: else -> merge(r, kind[entry(0, i)], at[entry(0, i)])
		fi;
		i++
	:: else -> break
	od;
	i = 0
}

inline take_from(r, from) {
	raise(r.g, from.person.g);
	raise(r.w, from.person.w);
	raise(r.e, from.person.e);
	normalise(r)
}

/* One that has not got what is no longer on top is not believed:
 * store_lookup_since(). */
inline take_redis(r) {
	if
	:: !with_replica -> take_from(r, cache)
	:: with_replica && (replica.cursor[0] >= mark ||
	    mutant == BELIEVES_REPLICA) -> take_from(r, replica)
	:: else -> r.g = NEVER
	fi
}

/* With a replica, what this host has acknowledged blocks at once, and whatever
 * Redis loses: unapplied_view() reads the ledger, and tells in the same step
 * what the replica has to have. */
inline begin_decision() {
	decisions_left--;
	if
	:: with_replica && mutant != CATCHES_UP_LATE -> view_to = length[0]
	:: else
	fi;
	obliged = (with_replica -> out_here : seen_out);
	losses = (with_replica -> 0 : loss)
}

proctype filter() {
	record r;
	byte i, obliged, losses, mark, asked;

	do
	:: atomic { decisions_left > 0 -> asked = connection;
		if
		:: compared != asked && mutant != BELIEVES_CONNECTION -> look()
		:: else
		fi;
		begin_decision() };
		atomic {
		mark = view_from;
		if
		:: mutant == ASKS_REDIS_FIRST -> take_redis(r)
		:: else -> put_on_top(r)
		fi };
		atomic {
		if
		:: mutant == MARKS_LAST -> mark = view_from
		:: else
		fi };
		atomic {
		if
		:: mutant == ASKS_REDIS_FIRST -> put_on_top(r)
		:: else -> take_redis(r)
		fi;
		/* An opt-out that this host acknowledged, its filter has had
		 * its time to see, and nobody took back, blocks; a decision
		 * during which Redis was connected to anew starts again. */
		assert(!allows(r) || obliged == NEVER || opted_in > obliged ||
		    losses != (with_replica -> 0 : loss) ||
		    (asked != connection && !with_replica &&
		    mutant != BELIEVES_CONNECTION));
		r.g = 0;
		r.w = 0;
		r.e = 0;
		mark = 0;
		obliged = 0;
		losses = 0;
		asked = 0 }
	:: atomic { decisions_left == 0 -> break }
	od
}

/* -- faults -- */

inline end_processes(h) {
	lives[h]++;
	locked[h] = false
}

/* Nobody tells the filter; but then there is no consent either. */
inline lose() {
	loss++;
	seen_out = 0
}

proctype faults() {
	do
	:: atomic { copies_left > 0 -> copies_left--;
		assign(replica, cache) }
	:: atomic { copies_left > 0 && with_dump -> copies_left--;
		assign(dump, replica) }
	:: atomic { faults_left > 0 -> faults_left--;
		if
		:: with_failover -> assign(cache, replica); connection++
		:: with_flush -> flush(cache); lose()
		:: with_dump -> assign(replica, dump)
		:: with_kill -> end_processes(0)
		:: with_kill -> end_processes(1)
		:: with_power -> length[0] = synced[0]; end_processes(0)
		:: with_power -> length[1] = synced[1]; end_processes(1)
		fi }
	:: atomic { faults_left == 0 && copies_left == 0 -> break }
	od
}

/* -- the properties -- */

#define is_applied(h)	(applied[h] == length[h] && \
	cache.cursor[h] >= length[h] && synced[h] == length[h])
#define nothing_waits	(is_applied(0) && is_applied(1))
#define keeps_erased	(erased_acked != NEVER && \
	((cache.person.g != 0 && cache.person.g <= erased_acked) || \
	cache.person.e < erased_acked))

proctype judge() {
	do
	/* Who is out stays out. */
	:: atomic { nothing_waits && must_block && allows(cache.person) ->
		assert(false) }
	/* Who came back is in. */
	:: atomic { nothing_waits && must_allow && !allows(cache.person) ->
		assert(false) }
	/* Nothing is known of before the erasure, but the erasure. */
	:: atomic { nothing_waits && keeps_erased -> assert(false) }
	/* Nothing waits for ever. */
	:: atomic { timeout -> assert(nothing_waits); break }
	od
}

init {
	c_code {
#define FROM_ENV(x) (getenv(x) ? (unsigned char)atoi(getenv(x)) : 0)
	    now.mutant = FROM_ENV("MUTANT");
	    now.events_left = FROM_ENV("EVENTS");
	    now.faults_left = FROM_ENV("FAULTS");
	    now.copies_left = FROM_ENV("COPIES");
	    now.decisions_left = FROM_ENV("DECISIONS");
	    now.rebuilds_left = FROM_ENV("REBUILDS");
	    now.with_power = FROM_ENV("POWER");
	    now.with_kill = FROM_ENV("KILL");
	    now.with_flush = FROM_ENV("FLUSH");
	    now.with_failover = FROM_ENV("FAILOVER");
	    now.with_import = FROM_ENV("IMPORT");
	    now.with_erase = FROM_ENV("ERASE");
	    now.with_replica = FROM_ENV("REPLICA");
	    now.with_dump = FROM_ENV("DUMP");
	};
	atomic {
		run recorder(0);
		run recorder(1);
		if
		:: with_erase -> run eraser(0); run eraser(1)
		:: else
		fi;
		run applier(0);
		run applier(1);
		if
		:: rebuilds_left > 0 -> run rebuild(1)
		:: else
		fi;
		if
		:: decisions_left > 0 -> run follower(); run filter()
		:: else
		fi;
		run faults();
		run judge()
	}
}
