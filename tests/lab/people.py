# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""Who keeps the laboratory busy: campaigns that send, people who click, an
operator who records, imports and erases, and one who only asks.  Each is a
thread with a random generator of its own, and notes what it asked for and what
it was told."""
import random
import subprocess
import threading
import time

from rig import Closed, MilterClient, RigError, Smtp, make_message

from .world import SENDER

CLIENT_SEC = 10         # a client waits for an answer
YEAR_SEC = 365 * 24 * 3600
RECORDED = "recorded on disk"
REFUSALS = {"reject": "550", "tempfail": "451"}    # a milter's, without a text


class Party(threading.Thread):
    """One who goes on until told to stop."""

    rests = True            # while the world is quiet

    def __init__(self, world, people, seed):
        super().__init__(daemon=True)
        self.world = world
        self.history = world.history
        self.people = people
        self.rng = random.Random(seed)
        self.over = threading.Event()
        self.error = None

    def run(self):
        try:
            while not self.over.is_set():
                if not (self.rests and self.world.is_quiet):
                    self.act()
                self.over.wait(self.rng.uniform(*self.pause))
        except BaseException as e:      # raised again by who waits for us
            self.error = e

    def stop(self):
        self.over.set()

    def finish(self):
        self.join(60)
        if self.error is not None:
            raise self.error
        if self.is_alive():
            raise RigError(f"{type(self).__name__} does not come to an end")


class Campaign(Party):
    """Sends to people, whoever they are."""

    pause = 0.0, 0.05
    rests = False
    number = 0

    def act(self):
        self.number += 1
        kind = self.rng.choices(("one", "several", "header", "club"),
                                (60, 15, 15, 10))[0]
        n = 1 if kind in ("one", "club") else self.rng.randint(1, 3)
        to = self.rng.sample(self.people, n)
        message = {"id": f"{self.name}-{self.number}@lab.example.com"}
        list_id = "club" if kind == "club" else "weekly"
        sender = "x@example.com" if kind == "header" else SENDER[list_id]
        stage = "eom" if kind == "header" else "rcpt"
        asked = [{"id": message["id"], "list": list_id, "address": a,
                  "stage": stage, "begin": time.monotonic(), "end": None,
                  "reply": None, "final": None} for a in to]
        try:
            self._talk(sender, asked, message)
        except (OSError, ValueError):
            pass                        # what was not answered is not known
        for rcpt in asked:
            if rcpt["end"] is None:
                rcpt["end"] = time.monotonic()
            self.history.note("rcpt", **rcpt)

    def _talk(self, sender, asked, message):
        smtp = Smtp(self.world.postfix.smtp, timeout=CLIENT_SEC)
        try:
            if smtp.mail(sender).code != 250:
                return
            for rcpt in asked:
                rcpt["begin"] = time.monotonic()
                rcpt["reply"] = smtp.rcpt(rcpt["address"])
                rcpt["end"] = time.monotonic()
            taken = [r for r in asked if r["reply"].code == 250]
            if taken:
                self._send_body(smtp, taken, message)
        finally:
            smtp.close()

    def _send_body(self, smtp, taken, message):
        late = taken[0]["stage"] == "eom"
        fields = [("List-Id", "<weekly.news.example.com>")] if late else []
        body = make_message(to=taken[0]["address"], fields=fields).replace(
            b"<rig@news.example.com>", b"<%s>" % message["id"].encode())
        begin = time.monotonic()
        reply = None
        try:
            reply = smtp.data(body)
        finally:
            end = time.monotonic()
            for rcpt in taken:
                rcpt["final"] = reply
                if late:
                    rcpt["begin"], rcpt["end"] = begin, end
            self.history.note("message", id=message["id"], reply=reply,
                              recipients=[r["address"] for r in taken])


class Asker(Party):
    """Asks the filter itself about everybody, all the time: a wrong answer of
    a tenth of a second is one that a campaign hardly ever gets."""

    pause = 0.02, 0.08
    rests = False

    def act(self):
        try:
            with MilterClient(self.world.filter.address,
                              timeout=CLIENT_SEC) as client:
                client.negotiate()
                client.mail(f"<{SENDER['weekly']}>")
                for address in self.rng.sample(self.people, len(self.people)):
                    self._ask(client, address)
        except (OSError, Closed):
            pass                        # what was not answered is not known

    def _ask(self, client, address):
        begin = time.monotonic()
        answer = client.rcpt(f"<{address}>")
        self.history.note("ask", list="weekly", address=address, begin=begin,
                          end=time.monotonic(),
                          reply=answer.text if answer.kind == "replycode"
                          else REFUSALS.get(answer.kind, "250"))


class Clicker(Party):
    """Presses the unsubscribe links that came with the mail."""

    pause = 0.02, 0.15

    def act(self):
        # dict.copy() is atomic; the sink adds to it all the time.
        links = [(key, link) for key, link in self.world.links.copy().items()
                 if key[0] in self.people]
        if not links:
            return
        (address, list_id), link = self.rng.choice(links)
        clock = self.world.clocks.get("web")
        wrong = clock is not None and clock.hours != 0
        change = {"kind": "withdraw", "list": list_id, "address": address,
                  "acknowledged": False, "begin": time.monotonic(),
                  "clock": "right"}
        try:
            answer = self.world.web.click(link)
            change["acknowledged"] = answer is not None and \
                answer.status == 200
        except (OSError, ValueError):
            pass
        # The server may still be at it when its client has gone.
        change["end"] = time.monotonic() if change["acknowledged"] else None
        if wrong or clock is not None and clock.hours != 0:
            change["clock"] = "wrong"
        self.history.note("change", **change)


class Operator(Party):
    """Uses consentctl, and is killed in it when the world says so."""

    pause = 0.0, 0.1
    is_elsewhere = False

    def act(self):
        act = self.rng.choices(
            (self.grant, self.club, self.withdraw, self.withdraw_all,
             self.object, self.erase, self.import_rows),
            (45, 12, 15, 4, 4, 6, 14 * self.world.takes_imports))[0]
        act(self.rng.choice(self.people))

    def grant(self, *addresses):
        self._change([("grant", "weekly", a, None) for a in addresses],
                     "grant", "--list", "weekly", *addresses)

    def club(self, address):
        self._change([("grant", "club", address, None)],
                     "grant", "--list", "club", address)
        if self.rng.random() < 0.8:
            self._change([("confirm", "club", address, None)],
                         "confirm", "--list", "club", address)

    def withdraw(self, address):
        list_id = self.rng.choice(("weekly", "weekly", "club"))
        self._change([("withdraw", list_id, address, None)],
                     "withdraw", "--list", list_id, address)

    def withdraw_all(self, address):
        self._change([("withdraw", None, address, None)],
                     "withdraw", "--all", address)

    def object(self, address):
        self._change([("object", None, address, None)], "object", address)

    def erase(self, address):
        self._change([("erase", None, address, None)], "erase", address)

    def import_rows(self, address):
        """Some are old: they must not win over what happened since."""
        people = {address, *self.rng.sample(self.people, 2)}
        rows, asked = ["address,list,at"], []
        for person in sorted(people):
            ago = self.rng.choice((0.0, YEAR_SEC))
            # Whole seconds, not in the future.
            at = int(time.time() - ago)
            rows.append("%s,weekly,%s" % (person, time.strftime(
                "%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))))
            asked.append(("grant", "weekly", person, at))
        self._change(asked, "import", "-", input="\n".join(rows) + "\n")

    def _change(self, asked, *argv, input=None):
        clock = self.world.clocks.get("ctl")
        hours = clock.hours if clock else 0
        begin = time.monotonic()
        code, said = self._run(argv, input)
        end = time.monotonic()
        # Without a word of Redis, no other host can know.
        done = code == 0 or (RECORDED in said and not self.is_elsewhere)
        if argv[0] == "import" and code != 0:
            # Which rows were refused is not worth finding out.
            done = done and ", 0 refused" in said
        right = clock is None or hours == clock.hours == 0
        for kind, list_id, address, at in asked:
            self.history.note(
                "change", kind=kind, list=list_id, address=address,
                given_at=at, acknowledged=done, begin=begin, end=end,
                complete=kind == "erase" and code == 0,
                clock="right" if right else "wrong",
                elsewhere=self.is_elsewhere)

    def host(self):
        return self.world.filter

    def _run(self, argv, input):
        """Exit code (None: killed) and what it said."""
        child = subprocess.Popen(
            self.host().ctl_argv(*argv), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=self.world.filter.ctl_env)
        wait = CLIENT_SEC
        if self.world.kills_consentctl and self.rng.random() < 0.6:
            wait = self.rng.uniform(0.0, 0.04)
        try:
            said = child.communicate(input, timeout=wait)[0]
        except subprocess.TimeoutExpired:
            child.kill()
            # What it said before is true already.
            return None, child.communicate()[0]
        if "Sanitizer" in said or "runtime error:" in said:
            self.history.note("problem", text=f"consentctl {argv[0]}: "
                              f"{said[:3000]}")
        return child.returncode, said


class Colleague(Operator):
    """The same on the other host, where nobody is erased: other hosts' logs
    are not reached from there."""

    pause = 0.02, 0.15
    rests = False
    is_elsewhere = True

    def act(self):
        act = self.rng.choices((self.grant, self.withdraw), (30, 70))[0]
        act(self.rng.choice(self.people))

    def host(self):
        return self.world.elsewhere
