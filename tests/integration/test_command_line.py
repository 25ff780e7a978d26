# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""consentctl's command line: help, mistakes, completion, and the manual page,
all of which have to say the same.  No server runs."""
import os
import re
import shlex
import subprocess

from rig import Filter, TestCase, WEEKLY, in_threads, program, read_text
from rig.process import run

CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
COMPLETION = os.path.join(CHECKOUT, "contrib/completion/consentctl")
PAGE = os.path.join(CHECKOUT, "src/ctl/consentctl.1")
EX_USAGE = 64
GROUPS = ["Consents", "Persons' rights", "The log", "Operation"]


def options_of(text):
    """The long options that a text names."""
    return set(re.findall(r"--([a-z][a-z-]*)", text))


class Words(TestCase):
    @classmethod
    def set_up_rig(cls):
        lists = [WEEKLY, dict(WEEKLY, id="weather", name="Weather")]
        cls.filter = Filter(cls.rig, start=False, keygen=False, lists=lists)
        # One run for each command, for all tests.
        cls.list = run([program("consentctl"), "help"]).stdout
        names = [*cls.commands(), "complete"]
        cls.help = dict(zip(names, in_threads(
            len(names), lambda i: run([program("consentctl"), "help",
                                       names[i]]).stdout)))

    def ctl(self, *args, code=0):
        done = subprocess.run([program("consentctl"), *args],
                              stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=60)
        self.assertEqual(done.returncode, code, f"{args}: {done}")
        return done

    @classmethod
    def commands(cls):
        """{name: group} of `consentctl help'."""
        found, group = {}, None
        for line in cls.list.splitlines():
            head = re.fullmatch(r"(\S.*):", line)
            entry = re.match(r"  ([a-z][a-z-]*) +\S", line)
            if head:
                group = head.group(1)
            elif entry and group in GROUPS:
                found[entry.group(1)] = group
        return found

    # -- help

    def test_help_lists_the_commands_by_purpose(self):
        commands = self.commands()
        self.assertEqual(list(dict.fromkeys(commands.values())), GROUPS)
        self.assertEqual({commands[c] for c in ("grant", "import", "show")},
                         {"Consents"})
        self.assertEqual({commands[c] for c in ("erase", "export")},
                         {"Persons' rights"})
        self.assertEqual(commands["verify"], "The log")
        self.assertEqual(commands["keygen"], "Operation")
        self.assertNotIn("complete", commands)
        done = self.ctl("--help")
        self.assertEqual(done.stdout, self.list)
        self.assertEqual(done.stderr, "")
        self.assertRegex(self.ctl("--version").stdout, r"^consentctl [0-9.]+$")

    def test_help_of_each_command(self):
        for command, text in self.help.items():
            with self.subTest(command):
                self.assertIn(f"usage: consentctl {command}", text)
                self.assertLessEqual(max(map(len, text.splitlines())), 79)
        for command in "help", "complete", "keygen", "ropa", \
                "unsubscribe-mail", "selftest":
            with self.subTest(command):
                done = self.ctl(command, "--help")
                self.assertEqual(done.stderr, "")
                self.assertEqual(done.stdout, self.help[command])

    def test_synopsis_and_options_agree(self):
        for command, text in self.help.items():
            usage, _, rest = text.partition("\n\n")
            _, _, listed = rest.partition("\nOptions:\n")
            listed = set(re.findall(r"^  (?:-\w, )?--([a-z-]+)", listed, re.M))
            for short, name in re.findall(r"^  -(\w), --([a-z-]+)", rest,
                                          re.M):
                usage = re.sub(rf"(?<=[\[ ])-{short}\b", f"--{name}", usage)
            named = options_of(usage) | {"help"}
            if "EVIDENCE" in usage:
                named |= {"source", "notice", "language", "method", "basis",
                          "guardian", "ip", "digest", "jurisdiction",
                          "purpose"}
            with self.subTest(command):
                self.assertEqual(listed, named)

    def test_manual_page_has_them_all(self):
        page = read_text(PAGE)
        body = page[page.index(".Sh DESCRIPTION"):page.index(".Sh ENVIRONMENT")]
        items = re.split(r"^\.It (?=Cm )", body, flags=re.M)
        # What all of them take stands behind them.
        changes = body[body.index(".Ss Changes"):body.index(".Ss Looking")]
        changes = changes[changes.rindex("\n.El"):]
        found = {}
        for item in items[1:]:
            line = item.splitlines()[0].split()
            found.setdefault(line[1], []).append(item)
        for command, help_text in self.help.items():
            with self.subTest(command):
                text = "\n".join(found.get(command, []))
                self.assertTrue(text, "no item in the manual page")
                if command in ("grant", "confirm", "withdraw", "object",
                               "restrict", "unrestrict"):
                    text += changes
                # `Fl Fl source , notice ,' has several after one macro.
                flags = "\n".join(line for line in text.splitlines()
                                  if "Fl" in line)
                words = set(re.findall(r"[a-z][a-z-]+", flags))
                options = options_of(help_text)
                self.assertEqual(options - words - {"help"}, set())
                synopsis = "\n".join(i.splitlines()[0]
                                     for i in found[command])
                named = set(re.findall(r"Fl Fl ([a-z][a-z-]*)", synopsis))
                self.assertEqual(named - options, set())

    # -- mistakes

    def test_mistakes_go_to_stderr_with_64(self):
        for args, said in (
                (["exprot"], "consentctl: unknown command 'exprot', did you "
                 "mean 'export'?"),
                (["help", "grnat"], "consentctl: unknown command 'grnat', did "
                 "you mean 'grant'?"),
                (["zzzzzzzz"], "consentctl: unknown command 'zzzzzzzz'"),
                (["--confg", "x", "log"], "consentctl: unknown option "
                 "'--confg', did you mean '--config'?"),
                (["import", "--dryrun", "-"], "consentctl: import: unknown "
                 "option '--dryrun', did you mean '--dry-run'?"),
                (["import", "--dryrun=1", "-"], "consentctl: import: unknown "
                 "option '--dryrun', did you mean '--dry-run'?"),
                (["withdraw", "--source", "x", "a@b.example"],
                 "consentctl: withdraw: unknown option '--source'"),
                (["log", "--re", "x"], "consentctl: log: option is not "
                 "unique: '--reason' or '--ref'"),
                (["log", "--last"], "consentctl: log: option '--last' wants "
                 "an argument"),
                (["log", "--json=1"], "consentctl: log: option '--json' takes "
                 "no argument"),
                (["explain", "-z"], "consentctl: explain: unknown option "
                 "'-z'"),
                (["keygen", "x"], "consentctl: keygen: takes no argument"),
                (["keygen", "--force"], "consentctl: keygen: unknown option "
                 "'--force'"),
                (["help", "grant", "log"], "consentctl: help: takes one "
                 "command")):
            with self.subTest(args):
                done = self.ctl(*args, code=EX_USAGE)
                self.assertEqual(done.stdout, "")
                first, *rest = done.stderr.splitlines()
                self.assertEqual(first, said)
                self.assertTrue(rest[0].startswith("usage: consentctl"))
        done = self.ctl(code=EX_USAGE)
        self.assertEqual(done.stdout, "")
        self.assertIn("Persons' rights:", done.stderr)

    def test_options_may_be_cut_short_and_mixed(self):
        done = self.ctl("-c", "/nowhere/x.conf", "log", "--jso", code=78)
        self.assertIn("/nowhere/x.conf", done.stderr)

    # -- completion

    def complete(self, *words):
        """COMPREPLY for these words, as bash takes them apart."""
        path = os.path.dirname(program("consentctl"))
        script = (
            "set -u\n"
            f"source {shlex.quote(COMPLETION)}\n"
            "complete -p consentctl\n"
            f"COMP_WORDS=({' '.join(map(shlex.quote, words))})\n"
            f"COMP_CWORD={len(words) - 1}\n"
            "_consentctl consentctl\n"
            'for word in "${COMPREPLY[@]}"; do echo "$word"; done\n')
        done = subprocess.run(["bash", "--norc", "-c", script],
                              capture_output=True, text=True, timeout=60,
                              cwd=self.filter.dir, env=dict(
                                  os.environ,
                                  PATH=f"{path}:{os.environ['PATH']}"))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        first, *rest = done.stdout.splitlines()
        self.assertEqual(first, "complete -F _consentctl consentctl")
        return rest

    def test_completion_of_commands_and_options(self):
        c = "consentctl"
        self.assertEqual(sorted(self.complete(c, "")),
                         sorted(self.commands()))
        self.assertEqual(self.complete(c, "ex"), ["explain", "export"])
        self.assertEqual(self.complete(c, "help", "exp"),
                         ["explain", "export"])
        self.assertEqual(self.complete(c, "--c"), ["--config"])
        self.assertEqual(self.complete(c, "import", "--"),
                         ["--format", "--dry-run", "--json", "--help"])
        self.assertEqual(
            {o[2:] for o in self.complete(c, "selftest", "--")},
            options_of(self.help["selftest"].partition("\nOptions:\n")[2]))
        self.assertEqual(self.complete(c, "nonsense", ""), [])

    def test_completion_of_values(self):
        c, conf = "consentctl", ["-c", self.filter.config_path]
        self.assertEqual(self.complete(c, *conf, "grant", "--list", ""),
                         ["weekly", "weather"])
        self.assertEqual(self.complete(c, *conf, "grant", "--list", "wea"),
                         ["weather"])
        # bash takes --list=wea apart, and --config=FILE too.
        self.assertEqual(self.complete(c, "--config", "=", conf[1], "check",
                                       "--list", "=", "wea"), ["weather"])
        self.assertEqual(self.complete(c, *conf, "check", "--list", "="),
                         ["weekly", "weather"])
        self.assertEqual(self.complete(c, "-c", "/nowhere", "check",
                                       "--list", ""), [])
        self.assertEqual(self.complete(c, "report", "--format", ""),
                         ["text", "html", "csv", "json"])
        self.assertEqual(self.complete(c, "log", "--action", "would-t"),
                         ["would-tempfail"])
        # What the whole word is, where a shell does not take it apart.
        self.assertEqual(self.ctl("complete", "--", "export",
                                  "--format=c").stdout, "--format=csv\n")

    def test_completion_of_files(self):
        os.makedirs(os.path.join(self.filter.dir, "some dir"), exist_ok=True)
        open(os.path.join(self.filter.dir, "some file.csv"), "w").close()
        c = "consentctl"
        self.assertEqual(sorted(self.complete(c, "import", "some")),
                         ["some dir", "some file.csv"])
        self.assertEqual(self.complete(c, "log", "--dir", "some"),
                         ["some dir"])
        self.assertIn("consent-milter.conf", self.complete(c, "-c", "cons"))
        self.assertEqual(self.complete(c, "notice", "sh"), ["show"])

    def test_words_in_the_table_are_those_of_the_code(self):
        source = os.path.join(CHECKOUT, "src/consent")
        for option, path, pattern in (
                (("log", "--reason"), "decision.c", r'\[REASON_\w+\] = (.*)'),
                (("grant", "--basis"), "evidence.c",
                 r'(?s)bases\[BASES\] = \{(.*?)\};')):
            words = re.findall(r'"([a-z-]+)"', "".join(re.findall(
                pattern, read_text(os.path.join(source, path)))))
            self.assertTrue(words, path)
            self.assertEqual(sorted(self.complete("consentctl", *option, "")),
                             sorted(words))
