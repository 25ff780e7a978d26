# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""The demonstration that demo.sh starts: shows, and checks what it shows.

usage: demo.py [--keep] WORKDIR
"""
import argparse
import csv
import datetime
import json
import os
import re
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tests"))
from rig import (Filter, Postfix, Redis, Rig, Sink, Smtp,  # noqa: E402
                 make_message, run, verify_chain, write_file)
from rig.filter import program  # noqa: E402

SENDER = "news@news.example.com"
SHOP = "orders@shop.example.com"
LIST = {
    "id": "weekly",
    "name": "Weekly news",
    "purpose": "product news by e-mail, once a week",
    "list_id": "weekly.news.example.com",
    "match": [{"sender": "*@news.example.com"}],
    "max_age": "24 months",
    "double_opt_in": True,
}
# Who, what happened, the reason that the decision log has to give.
PEOPLE = [
    ("ann@example.org", "opted in and confirmed, 40 days ago", "granted"),
    ("ben@example.org", "opted in and confirmed, 8 days ago", "granted"),
    ("carl@example.org", "was never asked", "no-consent"),
    ("dora@example.org", "signed up, has not confirmed yet", "pending"),
    ("emil@example.org", "opted in, and has withdrawn since", "withdrawn"),
    ("fay@example.org", "opted in 900 days ago; 24 months count", "expired"),
    ("gus@example.org", "opted in, objects to all marketing", "objected"),
    ("hal@example.org", "stands on a list that was bought", "unproven"),
]
COLOUR = sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def paint(code, text):
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


def section(title, text=""):
    print("\n" + paint("1", title) + "\n" + paint("1", "-" * len(title)))
    if text:
        print(text.strip() + "\n")


def show(text, indent="    "):
    for line in text.rstrip("\n").splitlines():
        print(indent + line)


def show_dialogue(transcript):
    for direction, line in transcript:
        if direction == ">":
            print("    C: " + line)
        else:
            code = "31" if line[:1] in "45" else "32"
            print("    S: " + paint(code, line))


class Demo:
    def __init__(self, work):
        self.work = work
        self.checks = 0
        self.problems = []

    def check(self, holds, what):
        self.checks += 1
        if not holds:
            self.problems.append(what)
            print(paint("31;1", f"    NOT AS IT SHOULD BE: {what}"))

    def ctl(self, *args, input=None, want=0):
        print("    $ consentctl " + " ".join(args))
        done = self.filter.ctl(*args, check=False, input=input)
        show(done.stdout + done.stderr)
        if want != 0:
            print(f"    (exit {done.returncode})")
        self.check(done.returncode == want,
                   f"consentctl {args[0]} exits with {want} "
                   f"(it was {done.returncode})")
        return done

    # -- the sections

    def start(self):
        section("What runs", "A Redis, a Postfix and a mail server that "
                "collects what Postfix delivers, all of\nthem private; and "
                "consent-milter between Postfix and Redis.")
        mailbox = os.path.join(self.work, "mailbox")
        os.mkdir(mailbox)
        self.rig = Rig("demo", self.work)
        self.redis = Redis(self.rig)
        self.filter = Filter(self.rig, self.redis, start=False, keygen=False,
                             lists=[LIST], redis={"timeout_ms": 200})
        self.sink = Sink(self.rig, save=mailbox)
        self.postfix = Postfix(self.rig, self.sink, [self.filter])
        show(run([program("consent-milter"), "-V"]).stdout)
        print(f"""
    configuration   {self.filter.config_path}
    Redis           {self.redis.socket}
    filter          {self.filter.address}
    Postfix         {self.postfix.smtp[0]} port {self.postfix.smtp[1]}
    delivered mail  {mailbox}""")
        print("\nThe list, as the configuration describes it:\n")
        text = open(self.filter.config_path, encoding="utf-8").read()
        show(text[text.index("lists ="):text.index("bulk =")])
        print("\nThe keys that make pseudonyms and unsubscribe links are made "
              "once. Then the filter starts.\n")
        self.ctl("keygen")
        keys = os.listdir(self.filter.keys_dir)
        self.check("pseudonym.key" in keys and "token-0.key" in keys,
                   "keygen made a pseudonym key and a token key")
        begun = time.monotonic()
        self.filter.start()
        print(f"    consent-milter is ready after "
              f"{(time.monotonic() - begun) * 1000:.0f} ms")

    def import_people(self):
        section("People", "A file of consents, with the evidence of each, is "
                "imported. One row is broken on purpose.")
        path = os.path.join(self.work, "consents.csv")
        now = datetime.datetime.now(datetime.timezone.utc)

        def moment(text):
            found = re.fullmatch(r"now - (\d+) days", text)
            if not found:
                return text
            then = now - datetime.timedelta(days=int(found.group(1)))
            return then.strftime("%Y-%m-%dT%H:%M:%SZ")
        with open(os.path.join(HERE, "consents.csv"), newline="") as source, \
                open(path, "w", newline="") as target:
            writer = csv.writer(target)
            for row in csv.reader(source):
                writer.writerow([moment(cell) for cell in row])
        show(open(path, encoding="utf-8").read())
        print()
        done = self.ctl("import", path, want=1)
        self.check("consents.csv:9: " in done.stderr,
                   "the import names line 9, the broken one")
        self.ctl("withdraw", "--list", "weekly", "emil@example.org")
        self.ctl("object", "gus@example.org")
        print("\nWhat consentctl says of each now:\n")
        for address, story, reason in PEOPLE:
            done = self.filter.ctl("check", "--list", "weekly", address,
                                   check=False)
            print(f"    {address:<18} {story:<40} {done.stdout.strip()}")
            self.check(reason in done.stdout.split(),
                       f"{address} is {reason}")
            self.check(done.returncode == (0 if reason == "granted" else 1),
                       f"exit code of check for {address}")

    def one_by_one(self):
        section("A campaign, one message per person", "The right way: each "
                "person's message has a link of their own. The first session "
                "in\nfull, of the others the answer that counts.")
        refs = {}
        for i, (address, _, reason) in enumerate(PEOPLE):
            with Smtp(self.postfix.smtp, "campaign.example.com") as smtp:
                smtp.mail(SENDER)
                reply = smtp.rcpt(address)
                if reply.code == 250:
                    end = smtp.data(make_message(SENDER, address))
                    self.check(end.code == 250, f"{address} gets the message")
                smtp.quit()
            if i == 0:
                show_dialogue(smtp.transcript)
                print()
            else:
                show_dialogue([pair for pair in zip(
                    "><", (f"RCPT TO:<{address}>", reply))])
            if reason == "granted":
                self.check(reply.code == 250, f"{address} is let through")
                continue
            found = re.fullmatch(
                rf'550 5\.7\.1 <{re.escape(address)}> has not opted in to '
                r'"Weekly news" \(ref (\S+)\)', reply)
            self.check(found, f"{address} is refused in the documented words")
            if found:
                refs[address] = found.group(1)
        self.postfix.wait_idle()
        got = sorted(r for m in self.sink.messages for r in m.recipients)
        print("\n    delivered to: " + ", ".join(got))
        self.check(got == ["ann@example.org", "ben@example.org"],
                   "ann and ben get one message each, nobody else does")
        print("\nThe sender never hears why. The reference finds it in the "
              "decision log:\n")
        for address, _, reason in PEOPLE:
            if address in refs:
                entry = self.filter.decision(refs[address])
                print(f"    ref {refs[address]}  {address:<18} "
                      f"{entry['reason']}")
                self.check(entry["reason"] == reason,
                           f"the log says {reason} for {address}")

    def headers(self):
        section("What arrived at ann's", "The three List-… fields are the "
                "filter's work; mail programs make an\nunsubscribe button of "
                "them (RFC 8058).")
        mail = self.sink.for_recipient("ann@example.org")[0]
        for line in mail.head.splitlines():
            ours = line.startswith(("List-", "\t", " <"))
            print("    " + (paint("36", line) if ours else line))
        print("\n    The same link, from the command line:\n")
        done = self.ctl("token", "--list", "weekly", "ann@example.org")
        self.check(f"<{done.stdout.strip()}>" in mail.one("List-Unsubscribe"),
                   "header and consentctl have the same link")
        self.check(mail.one("List-Unsubscribe-Post") ==
                   "List-Unsubscribe=One-Click", "one click is offered")
        self.check("<weekly.news.example.com>" in mail.one("List-Id"),
                   "the list has its List-Id")
        other = self.sink.for_recipient("ben@example.org")[0]
        self.check(other.one("List-Unsubscribe") !=
                   mail.one("List-Unsubscribe"), "ben's link is another")

    def all_at_once(self):
        section("The same campaign as one message to everybody", "Each "
                "recipient still gets an answer. A header is the same for all "
                "readers, so it has\nno personal link now: no "
                "List-Unsubscribe-Post, and a page that asks for the address.")
        self.sink.clear()
        with Smtp(self.postfix.smtp, "campaign.example.com") as smtp:
            smtp.mail(SENDER)
            for address, _, reason in PEOPLE:
                reply = smtp.rcpt(address)
                self.check(reply.code == (250 if reason == "granted" else 550),
                           f"answer for {address}")
            self.check(smtp.data(make_message(SENDER, SENDER)).code == 250,
                       "the message is taken")
            smtp.quit()
        start = next(i for i, (_, line) in enumerate(smtp.transcript)
                     if line.startswith("MAIL"))
        show_dialogue(smtp.transcript[start:])
        self.postfix.wait_idle()
        got = sorted(r for m in self.sink.messages for r in m.recipients)
        self.check(got == ["ann@example.org", "ben@example.org"],
                   "ann and ben get it")
        mail = self.sink.messages[0]
        print("\n    delivered to: " + ", ".join(got))
        show("List-Unsubscribe: " + mail.one("List-Unsubscribe"))
        self.check(mail.all("List-Unsubscribe-Post") == [],
                   "no one-click where it can't be honest")

    def transactional(self):
        section("An order confirmation to emil", "He withdrew from the "
                "newsletter; what he ordered is another matter.")
        self.sink.clear()
        message = make_message(SHOP, "emil@example.org", "Your order 17",
                               "It is on its way.\n")
        with Smtp(self.postfix.smtp, "shop.example.com") as smtp:
            smtp.mail(SHOP)
            smtp.rcpt("emil@example.org")
            smtp.data(message)
            smtp.quit()
        show_dialogue(smtp.transcript[-11:])
        self.postfix.wait_idle()
        got = self.sink.messages
        same = len(got) == 1 and got[0].below_received() == message
        print("\n    below Postfix's own Received: field, every byte as it "
              "was sent: " + ("yes" if same else "no"))
        self.check(same, "transactional mail is untouched")

    def withdraw_now(self):
        section("Ann withdraws", "It counts from the next recipient on.")
        self.ctl("withdraw", "--list", "weekly", "ann@example.org")
        self.try_recipient("ann@example.org", 550)

    def try_recipient(self, address, code, sender=SENDER):
        with Smtp(self.postfix.smtp, "campaign.example.com") as smtp:
            smtp.mail(sender)
            reply = smtp.rcpt(address)
            smtp.quit()
        show_dialogue([(">", f"MAIL FROM:<{sender}>"),
                       (">", f"RCPT TO:<{address}>"), ("<", reply)])
        self.check(reply.code == code, f"{address} from {sender}: {code}")
        return reply

    def redis_dies(self):
        section("Redis dies", "List mail waits at the sender's; other mail "
                "passes. Redis comes back with nothing in it,\nand the ledger "
                "on disk fills it again: it was a copy all along.")
        self.redis.kill9()
        self.try_recipient("ben@example.org", 451)
        self.try_recipient("ben@example.org", 250, SHOP)
        self.redis.start()
        self.filter.wait_store()
        print("\n    Redis is back, and empty: absent is not yes.  The filter "
              "knows that Redis lacks\n    what it had, so nobody is refused "
              "for good either.\n")
        self.try_recipient("ben@example.org", 451)
        print()
        self.ctl("rebuild")
        self.filter.wait_complete()
        self.try_recipient("ben@example.org", 250)
        self.try_recipient("ann@example.org", 550)

    def logs(self):
        section("The decision log", "What an auditor reads: every decision, "
                "chained so that none can be changed unseen.")
        done = self.ctl("log", "--list", "weekly")
        self.check(len(done.stdout.splitlines()) >= 2 * len(PEOPLE),
                   "the log shows every decision")
        print("\n    One entry as it is on disk:\n")
        entry = self.filter.decisions(reason="withdrawn")[0]
        on_disk = run(["grep", "-hF", f'"ref":"{entry["ref"]}"', "-r",
                       self.filter.audit_dir]).stdout.strip()
        show(on_disk)
        self.check(json.loads(on_disk) == entry, "the line is plain JSON")
        count = verify_chain(self.filter.audit_dir)
        print(f"\n    The chain, computed again from its documentation: "
              f"{count} entries, all of them fit.")
        self.check(count > 2 * len(PEOPLE), "the chain holds every decision")
        print("\nAnd what is known about one person:\n")
        self.ctl("show", "emil@example.org")

    def end(self):
        print()
        if self.problems:
            print(paint("31;1", f"{len(self.problems)} of {self.checks} "
                        "checks do not hold:"))
            show("\n".join(self.problems))
            print("\nThe logs:\n" + self.rig.log_report())
        else:
            print(paint("32;1", f"All {self.checks} checks hold."))

    def run(self):
        self.start()
        self.import_people()
        self.one_by_one()
        self.headers()
        self.all_at_once()
        self.transactional()
        self.withdraw_now()
        self.redis_dies()
        self.logs()
        self.end()
        return not self.problems


def write_stop(demo):
    path = os.path.join(demo.work, "stop")
    write_file(path, f"""#!/bin/sh
# Stops what demo.sh --keep left running and removes its directories.
running() {{
	grep -q demo.py /proc/{os.getpid()}/cmdline 2>/dev/null
}}
running && kill {os.getpid()}
while running; do
	sleep 0.1
done
rm -rf {demo.work}
""", 0o755)
    return path


def keep(demo):
    """Tells what runs and where, and stays until the stop script comes."""
    section("Left running")
    print(f"""    send mail       with any SMTP client, for example
                      swaks --server {demo.postfix.smtp[0]}:{demo.postfix.smtp[1]} \\
                        --from {SENDER} --to ben@example.org
    read mail       {demo.work}/mailbox/
    consentctl      {program('consentctl')} \\
                      -c {demo.filter.config_path} show ben@example.org
    Redis           redis-cli -s {demo.redis.socket}
    log of Postfix  {demo.postfix.log_path}
    log of filter   {demo.filter.log_path}
    decision log    {demo.filter.audit_dir}/
    stop            {write_stop(demo)}
""", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("work")
    options = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)
    if not options.keep:
        demo = Demo(options.work)
        good = demo.run()
        demo.rig.close()
        sys.exit(0 if good else 1)
    # A child does it all and stays; this process leaves when it is told to.
    reader, writer = os.pipe()
    if os.fork() != 0:
        os.close(writer)
        sys.exit(0 if os.read(reader, 1) == b"+" else 1)
    os.close(reader)
    os.setsid()
    demo = Demo(options.work)
    if not demo.run():
        demo.rig.close()
        sys.exit(1)
    keep(demo)
    os.write(writer, b"+")
    os.close(writer)
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
