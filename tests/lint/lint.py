#!/usr/bin/python3
# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""Checks that keep the rules of the house true.

usage: lint.py SRCDIR BUILDDIR

BUILDDIR has been built (`make all'), with any compiler and sanitizers.  Each
check prints what it found; the last line is `lint: N passed, N failed'.
"""
import ast
import glob
import os
import re
import subprocess
import sys

# Who may include whom: a room includes itself and lower ranks only.  Rooms of
# the same rank do not know each other.
RANK = {"base": 0, "mail": 1, "consent": 2,
        "settings": 3, "store": 3, "journal": 3, "net": 3,
        "ledger": 4, "monitor": 4, "rights": 5, "milterd": 6, "webd": 6, "ctl": 6}

# A third-party header and the only place that may include it.
OWNERS = [
    (r"libmilter/", r"src/milterd/"),
    (r"hiredis(/|\.h)", r"src/store/"),
    (r"libconfig", r"src/settings/"),
    (r"openssl/", r"src/(base/crypto|store/tls)\.c"),
    (r"jansson", r"src/base/json\.c"),
    (r"csv\.h", r"src/ctl/"),
    (r"idn2|uni(str|norm|case|ctype|types)|unicase", r"src/mail/"),
    (r"microhttpd", r"src/(webd/|monitor/listener\.c)"),
    (r"curl/", r"src/net/"),
    (r"dkim\.h", r"src/ctl/signature\.c"),
]

BANNED = set("""strcpy strcat sprintf vsprintf gets strtok atoi atol atof
asctime ctime localtime gmtime getpwnam getpwuid getgrnam getgrgid inet_ntoa
gethostbyname strerror rand srand tmpnam mktemp system popen""".split())

# Families of names with a prefix that is not their file's, room's or type's.
OTHER_PREFIXES = {
    "src/ctl/": ["command_"],
    "src/ctl/report_csv.c": ["report_"],
    "src/ctl/report_sum.c": ["report_"],
    "src/ctl/would_print.c": ["would_"],
    "src/base/codec.c": ["hex_", "base32_", "base64_", "base64url_"],
    "src/base/span.c": ["ascii_"],
    "src/base/xalloc.c": ["x"],
    "src/consent/decision.c": ["decide_"],
    "src/consent/event.c": ["list_name_"],
    "src/consent/record.c": ["evidence_"],
    "src/mail/list_field.c": ["list_id_"],
    "src/webd/webhook_body.c": ["webhook_"],
}

# The variables that outlive a call and can change.
MUTABLE = {
    # Set once, by pthread_once(), and constant from then on.
    "src/base/crypto.c": {"fetched_sha256", "fetch_once"},
    "src/base/log.c": {"sink"},
    "src/ctl/main.c": {"ctl"},
    # libmilter has no other way to reach our state; the rest are constants
    # for which it wants char *.
    "src/milterd/callbacks.c": {"application", "in_flight", "connections",
                                "told", "name", "connect_macros",
                                "mail_macros", "rcpt_macros",
                                "end_macros"},
    # Constant, but hiredis takes it without const.
    "src/store/reply.c": {"functions"},
}


class Lint:
    def __init__(self, src, build):
        self.src, self.build = src, build
        self.passed = self.failed = 0

    def files(self, *patterns):
        return sorted(os.path.relpath(p, self.src) for pattern in patterns
                      for p in glob.glob(os.path.join(self.src, pattern),
                                         recursive=True))

    def read(self, path):
        with open(os.path.join(self.src, path), encoding="utf-8") as f:
            return f.read()

    def objects(self):
        """(source, object) of each of our translation units in the build."""
        found = []
        for source in self.files("src/*/*.c"):
            stem = os.path.splitext(source)[0]
            path = os.path.join(self.build, stem + ".o")
            if not os.path.exists(path):
                # Per-program objects: ROOM/PROGRAM-NAME.o
                matches = glob.glob(os.path.join(
                    self.build, os.path.dirname(stem),
                    "*-" + os.path.basename(stem) + ".o"))
                path = matches[0] if matches else None
            found.append((source, path))
        return found

    def report(self, name, problems, note=""):
        if problems:
            self.failed += 1
            print(f"FAIL {name}")
            for problem in problems:
                print(f"     {problem}")
        else:
            self.passed += 1
            print(f"ok   {name}{': ' + note if note else ''}")


def output(argv, **options):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True,
                          **options).stdout


def symbols(path, *options):
    """(kind, name) of nm(1)."""
    pairs = []
    for line in output(["nm", *options, path]).splitlines():
        words = line.split()
        if len(words) >= 2:
            pairs.append((words[-2], words[-1]))
    return pairs


def is_compilers(name):
    """A name that the compiler or a sanitizer made."""
    return name.startswith(("__asan", "__ubsan", "__tsan", "__odr_asan",
                            "__sancov", "_GLOBAL_", "__gcov", ".L"))


def includes(text):
    """(line number, what) of each #include."""
    for number, line in enumerate(text.splitlines(), 1):
        found = re.match(r'\s*#\s*include\s*[<"]([^>"]+)[>"]', line)
        if found:
            yield number, found.group(1)


def check_layers(lint):
    problems, n = [], 0
    for path in lint.files("src/*/*.[ch]"):
        room = path.split("/")[1]
        if room not in RANK:
            problems.append(f"{path}: {room} has no rank in lint.py")
            continue
        for number, what in includes(lint.read(path)):
            other = what.split("/")[0]
            if "/" not in what or other not in RANK:
                continue
            n += 1
            if other != room and RANK[other] >= RANK[room]:
                problems.append(f"{path}:{number}: {room} must not include "
                                f"{what}")
    lint.report("layers", problems, f"{n} includes between rooms")


def check_owners(lint):
    problems = []
    for path in lint.files("src/**/*.[ch]"):
        for number, what in includes(lint.read(path)):
            for header, owner in OWNERS:
                if re.match(header, what) and not re.match(owner, path):
                    problems.append(f"{path}:{number}: {what} belongs to "
                                    f"{owner}")
    lint.report("owners", problems)


def check_objects(lint):
    """That the checks below look at everything."""
    missing = [source for source, path in lint.objects() if path is None]
    lint.report("objects", [f"{s} is not built" for s in missing],
                f"{len(lint.objects())} translation units")


def check_banned(lint):
    problems = []
    for source, path in lint.objects():
        if path is None:
            continue
        for _, name in symbols(path, "-u"):
            plain = re.sub(r"^__(\w+)_chk$", r"\1",
                           name.removeprefix("__isoc99_"))
            if plain not in BANNED and not plain.endswith("scanf"):
                continue
            if plain == "strerror" and source == "src/base/fail.c":
                continue
            problems.append(f"{source} calls {plain}")
    lint.report("banned calls", problems)


def check_names(lint):
    problems, n = [], 0
    for source, path in lint.objects():
        if path is None:
            continue
        room = source.split("/")[1]
        stem = os.path.splitext(os.path.basename(source))[0]
        allowed = [f"{prefix}_" for prefix in
                   {stem, room, stem.rstrip("s"), *own_types(lint, source)}]
        allowed += OTHER_PREFIXES.get(source, [])
        allowed += OTHER_PREFIXES.get(f"src/{room}/", [])
        for kind, name in symbols(path, "-g", "--defined-only"):
            if is_compilers(name) or kind in "VWvw" or \
                    name in ("main", stem, room):
                continue
            n += 1
            if not name.startswith(tuple(allowed)):
                problems.append(f"{source}: {name} starts with none of "
                                f"{', '.join(sorted(allowed))}")
    lint.report("names", problems, f"{n} external names")


def own_types(lint, source):
    """The structs and enums that the file's header defines or announces:
    functions may bear their names."""
    header = os.path.splitext(source)[0] + ".h"
    if not os.path.exists(os.path.join(lint.src, header)):
        return set()
    return set(re.findall(r"^(?:struct|enum)\s+(\w+)\s*[{;]",
                          lint.read(header), re.M))


def check_clashes(lint):
    """No external name of ours may stand twice, in two rooms or in a library
    that we link: of two, the linker silently takes one for both."""
    ours, problems = {}, []
    for source, path in lint.objects():
        if path is None:
            continue
        for kind, name in symbols(path, "-g", "--defined-only"):
            if name == "main" or is_compilers(name):
                continue
            if name in ours:
                problems.append(f"{source}: {name} is also in {ours[name]}")
            ours[name] = source
    libraries = set()
    for program in programs(lint):
        for line in output(["ldd", program]).splitlines():
            found = re.search(r"=> (/\S+)", line)
            if found and not re.search(r"lib(asan|ubsan|tsan)", line):
                libraries.add(found.group(1))
    if not libraries:
        problems.append("no program is built")
    for library in sorted(libraries):
        for _, name in symbols(library, "-D", "--defined-only"):
            name = name.split("@")[0]
            if name in ours:
                problems.append(f"{ours[name]}: {name} is also in {library}")
    lint.report("clashes", problems,
                f"{len(ours)} names against {len(libraries)} libraries")


def programs(lint):
    found = []
    for name in ("consent-milter", "consentctl", "consent-web"):
        found += [p for p in (os.path.join(lint.build, d, name) for d in
                              ("", "src/milterd", "src/ctl", "src/webd"))
                  if os.path.isfile(p)]
    return found


def check_globals(lint):
    """Variables that can change: those in .data and .bss."""
    problems, n = [], 0
    for source, path in lint.objects():
        if path is None:
            continue
        for line in output(["objdump", "-t", path]).splitlines():
            entry = re.match(r"[0-9a-f]+ (.{7}) (\S+)\s+([0-9a-f]+) (?:\.hidden )?"
                             r"(\S+)$", line)
            if entry is None or "O" not in entry.group(1):
                continue
            section, size, name = entry.group(2), entry.group(3), entry.group(4)
            if not re.match(r"\.(data|bss)(?!\.rel\.ro)|\*COM\*", section) or \
                    int(size, 16) == 0 or is_compilers(name):
                continue
            if section.startswith(".data.rel.ro") or re.match(
                    r"__|\*\.L|\.L", name):
                continue
            n += 1
            # A variable inside a function has a number behind its name.
            name = re.sub(r"\.\d+$", "", name)
            if name not in MUTABLE.get(source, ()):
                problems.append(f"{source}: {name}")
    lint.report("mutable variables", problems, f"{n}, all of them known")


def check_headers(lint):
    """Each header compiles alone."""
    problems = []
    flags = ["-std=c11", "-fsyntax-only", "-D_GNU_SOURCE", "-x", "c",
             "-include", os.path.join(lint.build, "config.h"),
             "-I", os.path.join(lint.src, "src"),
             "-I", os.path.join(lint.build, "src")]
    headers = lint.files("src/*/*.h")
    for path in headers:
        done = subprocess.run(["cc", *flags, os.path.join(lint.src, path)],
                              capture_output=True, text=True)
        errors = [line for line in done.stderr.splitlines()
                  if "pragma once" not in line and "error" in line]
        if done.returncode != 0:
            problems.append("\n     ".join([path, *errors]))
    lint.report("headers compile alone", problems, f"{len(headers)} headers")


def check_heads(lint):
    """Copyright and licence in the first lines, no unfinished business."""
    problems = []
    paths = lint.files("src/**/*.[ch]", "tests/**/*.[ch]", "tests/**/*.sh",
                       "tests/**/*.py", "tests/rig/*.pl", "contrib/**/*.sh",
                       "contrib/**/*.py")
    for path in paths:
        text = lint.read(path)
        if "SPDX-License-Identifier: BSD-2-Clause" not in \
                "\n".join(text.splitlines()[:6]):
            problems.append(f"{path}: no SPDX line")
        for number, line in enumerate(text.splitlines(), 1):
            if re.search(r"\b(TODO|FIXME|XXX)\b", line) and \
                    path != "tests/lint/lint.py":
                problems.append(f"{path}:{number}: {line.strip()}")
    lint.report("heads", problems, f"{len(paths)} files")


def check_manuals(lint):
    problems = []
    pages = lint.files("src/**/*.[1-8]", "man/*.[1-8]", "doc/*.[1-8]",
                       "conf/*.[1-8]")
    for path in pages:
        done = subprocess.run(
            ["mandoc", "-T", "lint", "-W", "warning",
             os.path.join(lint.src, path)], capture_output=True, text=True)
        problems += [line.replace(lint.src + "/", "").removeprefix("mandoc: ")
                     for line in done.stdout.splitlines() +
                     done.stderr.splitlines()
                     # A page of ours that is not installed yet.
                     if "referenced manual not found" not in line]
    if not pages:
        problems = ["no manual page found"]
    lint.report("manuals", problems, f"{len(pages)} pages")


def check_shell(lint):
    problems = []
    scripts = lint.files("tests/**/*.sh", "contrib/**/*.sh", ".ci/run",
                         "debian/*.postinst", "debian/*.postrm")
    for path in scripts:
        with open(os.path.join(lint.src, path), encoding="utf-8") as f:
            shell = "bash" if "bash" in f.readline() else "sh"
        done = subprocess.run([shell, "-n", os.path.join(lint.src, path)],
                              capture_output=True, text=True)
        if done.returncode != 0:
            problems.append(done.stderr.strip())
    lint.report("shell scripts", problems, f"{len(scripts)} scripts")


def check_python(lint):
    problems = []
    scripts = lint.files("tests/**/*.py", "contrib/**/*.py")
    for path in scripts:
        try:
            ast.parse(lint.read(path), path)
        except SyntaxError as e:
            problems.append(f"{path}:{e.lineno}: {e.msg}")
    lint.report("python scripts", problems, f"{len(scripts)} scripts")


def check_distributed(lint):
    """What tests and the demo need is in the tarball."""
    text = "".join(lint.read(p) for p in
                   ["Makefile.am"] + lint.files("*/local.mk", "src/*/local.mk",
                                                "tests/*/local.mk"))
    problems = [f"{path} is in no EXTRA_DIST" for path in lint.files(
        "tests/rig/*.p[yl]", "tests/integration/*.py", "tests/lint/*.py",
        "tests/lab/*.py", "tests/package/*.py",
        "tests/*.sh", "tests/*.supp", "contrib/**/*.py", "contrib/*.sh",
        "src/**/*.[1-8]", "src/**/*.lua", "tests/fuzz/corpus/*")
        if not any(re.search(rf"(^|\s){re.escape(part)}(\s|$)", text)
                   for part in (path, os.path.dirname(path)))]
    lint.report("distribution", problems)


def long_functions(lint):
    """Not a check: the longest functions, as a place to look."""
    found = []
    for path in lint.files("src/*/*.c"):
        start = None
        for number, line in enumerate(lint.read(path).splitlines(), 1):
            if line == "{":
                start = number
            elif line == "}" and start is not None:
                found.append((number - start + 1, f"{path}:{start}"))
                start = None
    print("longest functions: " + ", ".join(
        f"{where} ({n})" for n, where in sorted(found, reverse=True)[:5]))


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    lint = Lint(os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]))
    for check in (check_layers, check_owners, check_objects, check_banned,
                  check_names, check_clashes, check_globals, check_headers,
                  check_heads, check_manuals, check_shell, check_python,
                  check_distributed):
        try:
            check(lint)
        except (OSError, subprocess.CalledProcessError) as e:
            lint.report(check.__name__, [str(e)])
    long_functions(lint)
    print(f"lint: {lint.passed} passed, {lint.failed} failed")
    sys.exit(1 if lint.failed else 0)


if __name__ == "__main__":
    main()
