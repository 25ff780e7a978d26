#!/usr/bin/python3
# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""Holds what happened in a run of the laboratory against what was promised.

usage: checker.py DIRECTORY       prints each violation; exit 1 if there is any

It shares no code with the product, nor with the rig: what it knows of formats
it has from their documentation (record.h, journal.h, subject.h), and how
consent works from the section "Consent, exactly" of the interface.  It sees
only what clients, the next mail server and Redis saw, and the journals.  It
takes the product's word for two things: that a recipient of a message that is
decided at its end was taken off it, when the decision log says so and his
consent was in doubt; and what an entry said that was blanked.

DIRECTORY holds

    history.jsonl   what happened, below
    settled.json    {key: {field: value}} of Redis, or of all primaries of a
                    cluster, when all had calmed down
    rebuilt.json    the same after `consentctl rebuild' into an empty Redis
    audit, keys     (links to) the directories of these names
    elsewhere       perhaps, (a link to) the ledger of a second host

A line of the history is an object with "what" and, for whatever took time,
"begin" and "end": seconds of one monotonic clock, taken by the client before
it began to ask and after it had the answer.  So of two that overlap nobody
knows which came first, and the checker takes whatever is better for the
product; what does not overlap has an order.

    start     monotonic, wall: what that clock showed at which Unix time
    change    kind (grant confirm withdraw object erase), list (null: all),
              address, given_at (Unix seconds, null: now), acknowledged,
              complete (an erasure that said it is), clock ("right", "wrong":
              the program's own may have been stepped), elsewhere (on the second
              host, acknowledged when Redis had it).  Not acknowledged:
              failed or killed, so it may count or not; an "end" of null says
              that not even its end is known.
    rcpt      id, list, address, stage (rcpt, eom: when it is decided), begin
              and end of that stage, reply (to RCPT), final (to the message)
    ask       list, address, begin, end, reply: RCPT, to the filter alone
    message   id, recipients (those that RCPT took), reply (null: connection
              lost before one)
    delivery  id, recipients, link, post: the next server took it
    bounce    id, recipients: returned to its sender
    probe     list, address, begin, end, reply: RCPT when all had calmed down
    freeze    begin, end: the filter stood still; an opt-out that it could not
              hear of has its second from the end on
    loss      begin, end: Redis forgot, on a connection that goes on; for half a
              second from the end on opt-ins may be unknown
    clock     begin, end: some program's clock was wrong
    lag       begin, end: the laboratory itself was not run by the system
    crash     of: postfix (a message may come twice), disk (entries of the
              decision log that were not synced are gone; at "cut" it was);
              begin, end
    fault     kind, begin, end; for people
    verify    exit, output of `consentctl verify'
    problem   text: what the laboratory waited for in vain
"""
import collections
import glob
import hashlib
import hmac
import itertools
import json
import os
import re
import struct
import sys

BOUND_SEC = 1.0         # from the answer to an opt-out until it holds
LOSS_SEC = 0.5          # until the filter notices that Redis forgot
CLOCK_MS = 50           # between the clocks of the laboratory and of a program
ELSEWHERE_SEC = 1.0     # ... so much later on another host: read_within_ms
UNRECORDED = "the decision can't be recorded now"    # a deferral, then
UNSYNCED_SEC = 1.0      # of decisions that a crash of the disk may take along
DOUBLE_OPT_IN = {"club"}
OPT_OUTS = {"withdraw", "object", "erase"}
PERSON = ""             # stands for a list in times that are the person's

Violation = collections.namedtuple("Violation", "check text")


# -- journals (journal.h)

class Journal:
    """The entries of a journal and what is wrong with its chain."""

    def __init__(self, directory, name):
        self.entries = []               # dicts; blanked ones have no body
        self.problems = []
        chain, expected = bytes(32), 1
        # By number: days go back where a clock was stepped.
        self.paths = sorted(glob.glob(os.path.join(directory,
                                                   f"{name}-*.jsonl")),
                            key=lambda path: path.rsplit("-", 1)[1])
        for path in self.paths:
            with open(path, "rb") as f:
                lines = f.read().split(b"\n")
            if lines.pop() != b"":
                self.problems.append(f"{path} ends in half a line")
            for number, line in enumerate(lines, 1):
                try:
                    chain = self._take(line, chain, expected)
                except (ValueError, KeyError, TypeError) as e:
                    self.problems.append(f"{path}:{number}: {e}")
                    return
                expected += 1

    def _take(self, line, chain, expected):
        entry = json.loads(line)
        if entry["seq"] != expected:
            raise ValueError(f"entry {entry['seq']} stands where {expected} "
                             "belongs")
        digest = bytes.fromhex(entry["digest"])
        if entry.get("blanked"):
            if not re.fullmatch(
                    rb'\{"seq":\d+,"type":"[a-z]+","blanked":true, *'
                    rb'"digest":"[0-9a-f]{64}","chain":"[0-9a-f]{64}"\}',
                    line):
                raise ValueError("a blanked entry says something")
        else:
            # The body as it was written, byte by byte, not as JSON sees it.
            found = re.fullmatch(
                rb'\{"seq":\d+,"type":"[a-z]+",(.*),"salt":"([0-9a-f]{32})",'
                rb'"digest":"[0-9a-f]{64}","chain":"[0-9a-f]{64}"\}', line)
            if not found:
                raise ValueError("not the form of an entry")
            if digest != _digest(b"consent-milter journal body v1\0",
                                 _text(bytes.fromhex(found[2].decode())),
                                 _text(found[1])):
                raise ValueError("the digest is of something else")
        chain = _digest(b"consent-milter journal chain v1\0", _text(chain),
                        struct.pack(">Q", entry["seq"]),
                        _text(entry["type"].encode()), _text(digest))
        if entry["chain"] != chain.hex():
            raise ValueError("the chain is broken")
        self.entries.append(entry)
        return chain

    def of_type(self, kind):
        return [e for e in self.entries
                if e["type"] == kind and not e.get("blanked")]


def _text(data):
    return struct.pack(">Q", len(data)) + data


def _digest(context, *pieces):
    return hashlib.sha256(_text(context) + b"".join(pieces)).digest()


# -- records (record.h): {(list or PERSON, letter): milliseconds}

LETTERS = {"grant": "g", "confirm": "c", "withdraw": "w", "unproven": "u",
           "object": "o", "erase": "e", "restrict": "r", "unrestrict": "l",
           "object-profiling": "p", "allow-profiling": "a"}


def drop_erased(times):
    """What is not later than the erasure is gone."""
    erased = times.get((PERSON, "e"), 0)
    return {k: at for k, at in times.items()
            if k == (PERSON, "e") or at > erased}


def is_granted(times, list_id):
    def at(of, letter):
        return times.get((of, letter), 0)
    granted = at(list_id, "g")
    return granted > max(at(list_id, "w"), at(PERSON, "w"), at(PERSON, "o"),
                         at(PERSON, "e")) and (
        list_id not in DOUBLE_OPT_IN or at(list_id, "c") >= granted)


def records_of_redis(dump):
    """{subject: times} of a dump; raises ValueError.  Keys are c:SUBJECT, or
    in a cluster c:{ab}SUBJECT with the first two digits of it."""
    records = {}
    for key, fields in dump.items():
        found = re.fullmatch(r"c:(\{..\})?([0-9a-f]{32})", key)
        if not found:
            continue
        tag, subject = found.groups()
        if tag not in (None, "{" + subject[:2] + "}") or subject in records:
            raise ValueError(f"{key} is not where it belongs")
        times = records[subject] = {}
        for name, value in fields.items():
            if name.endswith(".e"):
                continue
            for word in value.split(" "):
                if not re.fullmatch("[a-z][1-9][0-9]*", word):
                    raise ValueError(f"{key} has {name} = {value!r}")
                times[PERSON if name == "*" else name, word[0]] = int(word[1:])
    return records


def evidence_of_redis(dump):
    """{(subject, list): milliseconds of the grant that it is for}"""
    return {(key[-32:], name[:-2]): int(re.match("g([0-9]+)", value)[1])
            for key, fields in dump.items() if re.match("c:[0-9a-f{]", key)
            for name, value in fields.items() if name.endswith(".e")}


def records_of_events(events):
    """{subject: times}: all merged by maximum."""
    records = {}
    for e in events:
        times = records.setdefault(e["subject"], {})
        key = e.get("list", PERSON), LETTERS[e["event"]]
        times[key] = max(times.get(key, 0), milliseconds(e["at"]))
    return {subject: drop_erased(times) for subject, times in records.items()}


def milliseconds(text):
    """Of 2026-01-05T09:00:00.120Z."""
    found = re.fullmatch(r"(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+)\.(\d{3})Z", text)
    if not found:
        raise ValueError(f"{text!r} is no time")
    year, month, day, hour, minute, second, ms = map(int, found.groups())
    # Days since 1970 in the Gregorian calendar, years beginning in March.
    y, m = (year, month - 3) if month > 2 else (year - 1, month + 9)
    days = (365 * y + y // 4 - y // 100 + y // 400 + (153 * m + 2) // 5 +
            day - 1 - 719468)
    return (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + ms


# -- what happened

class Change:
    """An opt-in, a confirmation or an opt-out that somebody asked for."""

    def __init__(self, line, start):
        self.kind = line["kind"]
        self.list = line["list"]
        self.address = line["address"]
        self.begin = line["begin"]
        self.end = float("inf") if line["end"] is None else line["end"]
        self.acknowledged = line["acknowledged"]
        self.complete = line.get("complete", False)
        self.clock_is_right = line["clock"] == "right"
        self.elsewhere = line.get("elsewhere", False)
        # When it is said to have happened, as if on our clock.
        given = line.get("given_at")
        self.given = None if given is None else \
            given - start["wall"] + start["monotonic"]

    def is_about(self, list_id):
        return self.list is None or self.list == list_id

    def may_be_later_than(self, opt_out):
        """Can this opt-in be of a later time than the opt-out?  Clocks that
        were stepped don't matter: who opts out is out."""
        if self.end <= opt_out.begin:
            return False
        # A time that is given has passed through milliseconds.
        return self.given is None or self.given > opt_out.begin - 0.002

    def __str__(self):
        return (f"{self.kind} of {self.list or 'all'} in "
                f"[{self.begin:.3f}, {self.end:.3f}]")


class Evidence:
    """A directory as described above, read."""

    def __init__(self, directory):
        self.directory = directory
        self.lines = collections.defaultdict(list)
        with open(os.path.join(directory, "history.jsonl")) as f:
            for line in f:
                entry = json.loads(line)
                self.lines[entry["what"]].append(entry)
        self.start = self.lines["start"][0]
        self.changes = collections.defaultdict(list)    # by address
        for line in self.lines["change"]:
            change = Change(line, self.start)
            self.changes[line["address"]].append(change)
            if any(change.begin <= c["cut"] and change.end >= c["begin"]
                   for c in self.disk_crashes()):
                # A machine without power answers nobody.  What was asked for
                # afterwards has met a disk that fails, and said so.
                change.acknowledged = change.complete = False
        audit = os.path.join(directory, "audit")
        self.ledger = Journal(os.path.join(audit, "ledger"), "ledger")
        self.elsewhere = Journal(os.path.join(directory, "elsewhere"),
                                 "ledger")
        self.decisions = Journal(audit, "decisions")
        with open(os.path.join(directory, "keys", "pseudonym.key")) as f:
            self.key = bytes.fromhex(f.read().strip())

    def events(self):
        """Of all ledgers."""
        return self.ledger.of_type("event") + self.elsewhere.of_type("event")

    def dump(self, name):
        with open(os.path.join(self.directory, name)) as f:
            return json.load(f)

    def subject(self, address):
        return hmac.digest(self.key, b"consent-milter subject v1\0" +
                           address.encode(), "sha256")[:16].hex()

    def opt_ins(self, address, list_id):
        return [c for c in self.changes[address]
                if c.kind == "grant" and c.list == list_id]

    def opt_outs(self, address, list_id):
        return [c for c in self.changes[address]
                if c.kind in OPT_OUTS and c.is_about(list_id)]

    def wall_ms(self, monotonic):
        return (monotonic - self.start["monotonic"] + self.start["wall"]) * 1e3

    def holds_by(self, opt_out):
        """From when on this opt-out has to hold: a second after the answer,
        not counting while the machine ran nobody."""
        bound = BOUND_SEC + (ELSEWHERE_SEC if opt_out.elsewhere else 0)
        late = sum(lag["end"] - max(lag["begin"], opt_out.end)
                   for lag in self.lines["lag"] if lag["end"] > opt_out.end and
                   lag["begin"] < opt_out.end + bound)
        held = opt_out.end + bound + max(0, late)
        for freeze in sorted(self.lines["freeze"], key=lambda f: f["begin"]):
            if opt_out.end <= freeze["end"] and held > freeze["begin"]:
                held = max(held, freeze["end"] + bound)
        return held

    def disk_crashes(self):
        return [c for c in self.lines["crash"] if c["of"] == "disk"]

    def may_be_unsynced(self, rcpt):
        """The decision may have gone with the power."""
        return any(rcpt["begin"] < c["begin"] and
                   rcpt["end"] > c["begin"] - UNSYNCED_SEC
                   for c in self.disk_crashes())

    def may_be_unknown(self, begin, end):
        """Opt-ins, for Redis forgot."""
        return any(loss["begin"] <= end and begin <= loss["end"] + LOSS_SEC
                   for loss in self.lines["loss"])

    def clocks_are_right(self, address):
        return all(c.clock_is_right for c in self.changes[address])

    # -- what consent may and must be

    def why_blocked(self, address, list_id, begin, end):
        """Why mail that is decided in [begin, end] can't be allowed, or None:
        there is an opt-in that no opt-out with force is sure to beat."""
        opt_ins = [c for c in self.opt_ins(address, list_id) if c.begin < end]
        if not opt_ins:
            return "never opted in"
        if list_id in DOUBLE_OPT_IN:
            confirms = [c for c in self.changes[address]
                        if c.kind == "confirm" and c.list == list_id and
                        c.begin < end]
            opt_ins = [c for c in opt_ins if any(
                k.end >= c.begin for k in confirms)]
            if not opt_ins:
                return "never confirmed"
        in_force = [c for c in self.opt_outs(address, list_id)
                    if c.acknowledged and self.holds_by(c) < begin]
        for opt_in in opt_ins:
            if all(opt_in.may_be_later_than(out) for out in in_force):
                return None
        return f"{max(in_force, key=lambda c: c.end)} was acknowledged"

    def is_surely_granted(self, address, list_id, begin, end):
        """While mail is decided in [begin, end]: an opt-in that had its second,
        and never an opt-out.  Where Redis lost what it had, the filter knows
        the opt-outs of its host, and not who opted in again; nor what another
        host recorded."""
        if not clock_was_never_stepped(self):
            return False

        def holds(change):
            return change.acknowledged and not change.elsewhere and \
                change.given is None and change.end + BOUND_SEC + \
                ELSEWHERE_SEC < begin
        opt_ins = self.opt_ins(address, list_id)
        return any(
            holds(c) and all(out.begin > end
                             for out in self.opt_outs(address, list_id))
            for c in opt_ins) and (
            list_id not in DOUBLE_OPT_IN or any(
                holds(k) and all(c.end < k.begin or c.begin > end
                                 for c in opt_ins)
                for k in self.changes[address]
                if k.kind == "confirm" and k.list == list_id))

    def must_be_granted(self, address, list_id):
        """In the end: an opt-in was acknowledged after everything that could
        count against it.  Not for a day where a clock was set back: by what
        was known, the opt-outs since then may be later."""
        if not clock_was_never_stepped(self):
            return False
        outs = self.opt_outs(address, list_id)
        return self.must_be_confirmed(address, list_id) and any(
            c.acknowledged and c.given is None and
            all(out.end < c.begin for out in outs)
            for c in self.opt_ins(address, list_id))

    def must_be_confirmed(self, address, list_id):
        """After every opt-in, or on a list that does without."""
        opt_ins = self.opt_ins(address, list_id)
        return list_id not in DOUBLE_OPT_IN or any(
            k.kind == "confirm" and k.list == list_id and k.acknowledged and
            all(c.end < k.begin for c in opt_ins)
            for k in self.changes[address])


# -- the promises: each takes the evidence and yields what breaks it

def nothing_recorded_nothing_sent(e):
    """Whoever was sent mail had opted in, and every opt-out held."""
    delivered = {(d["id"], r) for d in e.lines["delivery"]
                 for r in d["recipients"]}
    for r in e.lines["rcpt"]:
        if (r["id"], r["address"]) not in delivered:
            continue
        why = e.why_blocked(r["address"], r["list"], r["begin"], r["end"])
        if why:
            yield (f"{r['id']} of {r['list']} reached {r['address']}, decided "
                   f"in [{r['begin']:.3f}, {r['end']:.3f}], but: {why}")


def accepted_is_granted(e):
    """So has whomever the filter accepts, with mail or without."""
    for a in e.lines["ask"]:
        if not a["reply"].startswith("250"):
            continue
        why = e.why_blocked(a["address"], a["list"], a["begin"], a["end"])
        if why:
            yield (f"{a['address']} was accepted for {a['list']} in "
                   f"[{a['begin']:.3f}, {a['end']:.3f}], but: {why}")


def nobody_is_refused_who_opted_in(e):
    """A store that can't be asked, or has lost what it had, defers."""
    for r in e.lines["rcpt"] + e.lines["ask"]:
        reply = r["final"] if r.get("stage") == "eom" else r["reply"]
        if reply and reply.startswith("550") and \
                not e.may_be_unknown(r["begin"], r["end"]) and \
                e.is_surely_granted(r["address"], r["list"], r["begin"],
                                    r["end"]):
            yield (f"{r['address']} was refused for {r['list']} in "
                   f"[{r['begin']:.3f}, {r['end']:.3f}] by {reply!r}, "
                   "and had opted in")


def refused_is_not_delivered(e):
    """Nobody gets what was refused to the sender."""
    refused = {(r["id"], r["address"]) for r in e.lines["rcpt"]
               if r["reply"] and not r["reply"].startswith("250") or
               r["final"] and not r["final"].startswith("250")}
    for d in e.lines["delivery"]:
        for address in d["recipients"]:
            if (d["id"], address) in refused:
                yield f"{d['id']} was refused, and reached {address}"


def nothing_is_sent_that_nobody_sent(e):
    asked = {(r["id"], r["address"]) for r in e.lines["rcpt"]}
    for d in e.lines["delivery"]:
        for address in d["recipients"]:
            if (d["id"], address) not in asked:
                yield f"{d['id']} reached {address}, to whom nobody sent it"


def accepted_mail_arrives(e):
    """What was accepted is delivered once or returned.  Only from a message
    that is decided at its end a recipient is taken off, for want of consent,
    which the decision log shows."""
    delivered = collections.Counter((d["id"], r) for d in e.lines["delivery"]
                                    for r in d["recipients"])
    returned = {(b["id"], r) for b in e.lines["bounce"]
                for r in b["recipients"]}
    removed = {(d["message_id"], d["recipient"]) for d in
               e.decisions.of_type("decision") if d["action"] == "remove"}
    removed |= {(f"<{r['id']}>", r["address"]) for r in e.lines["rcpt"]
                if r["stage"] == "eom" and e.may_be_unsynced(r)}
    crashes = sum(c["of"] == "postfix" for c in e.lines["crash"])
    rcpts = {(r["id"], r["address"]): r for r in e.lines["rcpt"]}
    for m in e.lines["message"]:
        for address in m["recipients"]:
            n = delivered[m["id"], address]
            if n > 1 + crashes:
                yield f"{m['id']} reached {address} {n} times"
            if n == 0 and m["reply"] and m["reply"].startswith("250") and \
                    (m["id"], address) not in returned and \
                    not may_be_removed(e, rcpts[m["id"], address], removed):
                yield f"{m['id']} was accepted, and did not reach {address}"


def may_be_removed(e, rcpt, removed):
    return rcpt["stage"] == "eom" and (
        (f"<{rcpt['id']}>", rcpt["address"]) in removed or
        is_erased(e, rcpt["address"])) and not e.is_surely_granted(
            rcpt["address"], rcpt["list"], rcpt["begin"], rcpt["end"])


def is_erased(e, address):
    """Entries about this person may be blanked."""
    return any(c.kind == "erase" for c in e.changes[address])


def mail_has_links(e):
    """Whatever reached somebody went through the filter: it has a link, and
    the link of one click when it went to one person."""
    for d in e.lines["delivery"]:
        if not d["link"]:
            yield f"{d['id']} to {d['recipients']} has no List-Unsubscribe"
        elif not d["post"] and len(asked_for(e, d["id"])) == 1:
            yield f"{d['id']} to {d['recipients']} has no one-click link"
        elif d["post"] and len(d["recipients"]) > 1:
            yield f"{d['id']} has one person's link for {d['recipients']}"


def asked_for(e, message_id):
    return {r["address"] for r in e.lines["rcpt"] if r["id"] == message_id}


def decisions_are_on_record(e):
    """Each answer has an entry in the decision log, made before it."""
    logged = e.decisions.of_type("decision")
    refs = {d["ref"]: d for d in logged}
    of_message = {(d.get("message_id"), d["recipient"]) for d in logged}
    accepted = collections.Counter(
        (d["subject"], d["list"]) for d in logged if d["action"] == "accept")
    said_yes = collections.Counter()
    for r in e.lines["rcpt"] + e.lines["ask"] + e.lines["probe"]:
        at_end = r.get("stage") == "eom"
        reply = r["final"] if at_end else r["reply"]
        if not reply or is_erased(e, r["address"]) or e.may_be_unsynced(r):
            continue
        ref = re.search(r"\(ref (\w+)\)", reply)
        if ref and UNRECORDED not in reply:
            why = why_not_its_entry(e, refs.get(ref.group(1)), r, reply)
            if why:
                yield f"{reply!r} to {r['address']} {why}"
        if not at_end and reply.startswith("250"):
            said_yes[r["address"], r["list"]] += 1
        if at_end and reply.startswith("250") and \
                (f"<{r['id']}>", r["address"]) not in of_message:
            yield f"{r['id']} to {r['address']} is in no decision log"
    for (address, list_id), n in said_yes.items():
        logged_n = accepted[e.subject(address), list_id]
        if logged_n < n:
            yield (f"{address} was accepted {n} times for {list_id}, and "
                   f"{logged_n} of these decisions are on record")


ACTIONS = {"550": "reject", "451": "tempfail"}


def why_not_its_entry(e, entry, asked, reply):
    """What is wrong with the entry that a reply names, or None.  All recipients
    of a message share the reply to it, which is one of theirs."""
    if entry is None:
        return "is in no decision log"
    people = asked_for(e, asked["id"]) if asked.get("stage") == "eom" else \
        {asked["address"]}
    if entry["subject"] not in map(e.subject, people) or \
            entry["list"] != asked["list"]:
        return "names the entry of another decision"
    if entry["action"] != ACTIONS.get(reply[:3]):
        return f"is on record as {entry['action']}"
    if clock_was_never_stepped(e) and milliseconds(entry["time"]) > \
            e.wall_ms(asked["end"]) + CLOCK_MS:
        return "was put on record afterwards"
    return None


def acknowledged_is_recorded(e):
    """Each change that was acknowledged is in the ledger, as an event of its
    own that was recorded while it was asked for; and nothing is there of these
    people that nobody asked for."""
    recorded = collections.defaultdict(list)
    for v in e.events():
        recorded[v["subject"], v["event"], v.get("list")].append(
            milliseconds(v["time"]))
    for address, changes in e.changes.items():
        subject = e.subject(address)
        asked = collections.Counter((c.kind, c.list) for c in changes)
        for (of, kind, list_id), times in recorded.items():
            if of == subject and len(times) > asked[kind, list_id]:
                yield (f"{address} has {len(times)} times {kind} of "
                       f"{list_id or 'all'}, asked for "
                       f"{asked[kind, list_id]} times")
        yield from unrecorded(e, address, changes, {
            key[1:]: list(times) for key, times in recorded.items()
            if key[0] == subject})


def unrecorded(e, address, changes, recorded):
    stepped = not clock_was_never_stepped(e)
    if any(c.kind == "erase" and c.acknowledged for c in changes) and \
            not recorded.get(("erase", None)):
        yield f"{address} was erased, and the ledger does not say so"
    # The first to end takes the first that fits: so there is one for all, if
    # there can be.
    for c in sorted(changes, key=lambda c: c.end):
        if not c.acknowledged or c.kind == "erase" or \
                may_be_blanked(e, c, changes, recorded, stepped):
            continue
        times = recorded.get((c.kind, c.list), [])
        fit = [t for t in times if stepped or e.wall_ms(c.begin) - CLOCK_MS
               <= t <= e.wall_ms(c.end) + CLOCK_MS]
        if fit:
            times.remove(min(fit))
        else:
            yield (f"{c} was acknowledged for {address}, and no event of the "
                   "ledger is it")


def may_be_blanked(e, change, changes, recorded, stepped):
    """By an erasure that is on record, or where clocks tell nothing by one that
    was tried."""
    if stepped:
        return any(c.kind == "erase" and c.end >= change.begin
                   for c in changes)
    return any(at + CLOCK_MS >= e.wall_ms(change.begin)
               for at in recorded.get(("erase", None), []))


def final_state_is_right(e):
    """Redis, when all had calmed down and after a rebuild, has nobody granted
    who opted out, and everybody who opted in."""
    for name in "settled.json", "rebuilt.json":
        records = records_of_redis(e.dump(name))
        for address in e.changes:
            for list_id in lists_of(e, address):
                granted = is_granted(records.get(e.subject(address), {}),
                                     list_id)
                why = e.why_blocked(address, list_id, float("inf"),
                                    float("inf"))
                if granted and why:
                    yield (f"{name}: {address} is granted {list_id}, but: "
                           f"{why}")
                if not granted and e.must_be_granted(address, list_id):
                    yield (f"{name}: {address} is not granted {list_id}, and "
                           "nothing speaks against it")


def lists_of(e, address):
    return {c.list for c in e.changes[address] if c.list is not None}


def filter_answers_rightly_in_the_end(e):
    """So does the filter, by SMTP, in its last answer to each question, which is
    that of the record in Redis."""
    settled = records_of_redis(e.dump("settled.json"))
    last = {(p["address"], p["list"]): p for p in e.lines["probe"]}
    for p in last.values():
        address, list_id, reply = p["address"], p["list"], p["reply"]
        why = e.why_blocked(address, list_id, p["begin"], p["end"])
        if reply[:3] not in ("250", "550"):
            yield f"{address}, {list_id}: {reply!r} when all was well again"
        elif reply[:3] == "250" and why:
            yield f"{address}, {list_id}: accepted in the end, but: {why}"
        elif reply[:3] == "550" and e.must_be_granted(address, list_id):
            yield (f"{address}, {list_id}: refused in the end, and nothing "
                   "speaks against it")
        elif clock_was_never_stepped(e) and (reply[:3] == "250") != is_granted(
                settled.get(e.subject(address), {}), list_id):
            yield (f"{address}, {list_id}: {reply!r} in the end, and Redis has "
                   f"{settled.get(e.subject(address))}")


def redis_is_the_ledger(e):
    """Redis holds what comes out of the ledger's events, before and after it
    was filled anew."""
    want = records_of_events(e.events())
    for name in "settled.json", "rebuilt.json":
        have = records_of_redis(e.dump(name))
        for subject in sorted(want.keys() | have.keys()):
            if want.get(subject, {}) != have.get(subject, {}):
                yield (f"{name}: {subject} is {have.get(subject)}, by the "
                       f"ledger {want.get(subject)}")
        for (subject, list_id), at in evidence_of_redis(e.dump(name)).items():
            times = have.get(subject, {})
            if not times.get((PERSON, "e"), 0) < at <= \
                    times.get((list_id, "g"), 0):
                yield (f"{name}: {subject} has evidence of {at} for "
                       f"{list_id}, and is {times}")


def erased_is_blanked(e):
    """Where an erasure said that it is complete, neither journal says anything
    of the person from before it."""
    kept = collections.defaultdict(list)
    for v in e.ledger.of_type("event"):
        if v["event"] != "erase":
            kept[v["subject"]].append((milliseconds(v["time"]), "the ledger"))
    for d in e.decisions.of_type("decision"):
        kept[d["subject"]].append((milliseconds(d["time"]), "the decision log"))
    for address, changes in e.changes.items():
        complete = [c for c in changes if c.kind == "erase" and c.complete]
        if not complete or not clock_was_never_stepped(e):
            continue
        before_ms = e.wall_ms(max(c.begin for c in complete))
        for at_ms, where in kept[e.subject(address)]:
            if at_ms < before_ms:
                yield (f"{address} was erased, and {where} still has an entry "
                       f"of {(before_ms - at_ms) / 1000:.3f} s before")


def clock_was_never_stepped(e):
    """Neither where changes are recorded nor where mail is decided on: what the
    filter logs after an erasure by a clock that is behind looks like before."""
    return not e.lines["clock"] and \
        all(e.clocks_are_right(a) for a in e.changes)


def chains_are_whole(e):
    """By this checker's own account, and by that of `consentctl verify'."""
    yield from e.ledger.problems
    yield from e.elsewhere.problems
    yield from e.decisions.problems
    for v in e.lines["verify"]:
        if v["exit"] != 0:
            yield f"consentctl verify: exit {v['exit']}: {v['output'][-600:]}"


def all_goes_on_afterwards(e):
    for p in e.lines["problem"]:
        yield p["text"]


def something_happened(e):
    """Of nothing, nothing can be said."""
    for name, journal in ("the ledger", e.ledger), \
            ("the decision log", e.decisions):
        if not journal.paths:
            yield f"{name} is not there"
    if not e.lines["verify"]:
        yield "consentctl verify was not run"
    if not any(c.acknowledged for c in itertools.chain(*e.changes.values())):
        yield "nothing was recorded"
    if not any(r["reply"] for r in e.lines["rcpt"] + e.lines["ask"]):
        yield "nobody was asked for"
    probed = {(p["address"], p["list"]) for p in e.lines["probe"]}
    for address in e.changes:
        for list_id in lists_of(e, address):
            if (address, list_id) not in probed:
                yield f"{address}, {list_id}: not asked for in the end"


def judged_opt_outs(e):
    """How many answers there were while an opt-out was in force."""
    return sum(
        bool(r["reply"]) and "acknowledged" in (e.why_blocked(
            r["address"], r["list"], r["begin"], r["end"]) or "")
        for r in e.lines["rcpt"] + e.lines["ask"])


PROMISES = [
    nothing_recorded_nothing_sent, accepted_is_granted,
    nobody_is_refused_who_opted_in,
    refused_is_not_delivered, nothing_is_sent_that_nobody_sent,
    accepted_mail_arrives, mail_has_links, decisions_are_on_record,
    acknowledged_is_recorded, final_state_is_right,
    filter_answers_rightly_in_the_end, redis_is_the_ledger, erased_is_blanked,
    chains_are_whole, all_goes_on_afterwards, something_happened,
]


def check(directory):
    """All violations that the evidence shows."""
    evidence = Evidence(directory)
    found = []
    for promise in PROMISES:
        try:
            found += [Violation(promise.__name__, text)
                      for text in promise(evidence)]
        except (ValueError, KeyError) as error:
            # Nonsense in Redis or a journal is as bad as a wrong answer.
            found.append(Violation(promise.__name__, f"unreadable: {error!r}"))
    return found


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    violations = check(sys.argv[1])
    for violation in violations:
        print(f"{violation.check}: {violation.text}")
    print(f"{len(violations)} violations")
    sys.exit(1 if violations else 0)


if __name__ == "__main__":
    main()
