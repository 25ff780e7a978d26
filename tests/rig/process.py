# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""Processes, temporary directories and waiting.

Everything that a Rig starts ends with it: services are stopped in reverse
order; what is left (a daemon that detached itself) was re-parented to this
process, which is a "subreaper", and is killed at exit.  Services get SIGTERM
when this process dies in a way that runs no clean-up.
"""
import atexit
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)
_own_pid = None


class RigError(Exception):
    """The rig itself can't do what it is asked for."""


def wait_for(what, timeout=10.0, text="condition", pause=0.01):
    """Calls what() until it is true and returns its value."""
    end = time.monotonic() + timeout
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > end:
            raise RigError(f"not within {timeout:g} s: {text}")
        time.sleep(pause)


def free_ports(n):
    """n loopback TCP ports that nobody listens on, below the range that
    outgoing connections take theirs from."""
    held = []
    try:
        for port in _port_candidates():
            s = socket.socket()
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                s.close()
                continue
            held.append(s)
            if len(held) == n:
                return [s.getsockname()[1] for s in held]
        raise RigError("no free ports")
    finally:
        for s in held:
            s.close()


def _port_candidates():
    for _ in range(500):
        yield 20000 + int.from_bytes(os.urandom(2), "big") % 12000


def descendants(root):
    """Process ids below root, by /proc; not those that only wait to be
    collected."""
    children = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as f:
                stat = f.read()
        except OSError:
            continue
        state, ppid = stat[stat.rindex(b")") + 2:].split()[:2]
        if state == b"Z":
            continue
        ppid = int(ppid)
        children.setdefault(ppid, []).append(int(name))
    found, todo = [], [root]
    while todo:
        for pid in children.get(todo.pop(), []):
            found.append(pid)
            todo.append(pid)
    return found


def adopt_orphans():
    """Makes this process the parent of daemons that its children leave, and
    kills what remains of them at exit."""
    global _own_pid
    if _own_pid == os.getpid():
        return
    _own_pid = os.getpid()
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # Registered first, so that it runs last.
    atexit.register(_kill_descendants)

    def on_signal(number, _frame):
        sys.exit(128 + number)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)


def _kill_descendants():
    if os.getpid() != _own_pid:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        left = descendants(os.getpid())
        if not left:
            return
        for pid in left:
            try:
                os.kill(pid, number)
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass
        end = time.monotonic() + 2
        while time.monotonic() < end and _reap():
            time.sleep(0.01)


def _reap():
    """Collects ended children; tells whether any process is left below."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


class Service:
    """A process in the foreground, in a session of its own, its output in a
    log file."""

    def __init__(self, argv, log, **popen):
        self.argv = argv
        self.log_path = log
        with open(log, "ab") as out:
            # The signal comes when the thread that started it ends, so only
            # the main thread asks for it.
            main = threading.current_thread() is threading.main_thread()
            self.popen = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True,
                preexec_fn=_die_with_parent if main else None, **popen)

    @property
    def pid(self):
        return self.popen.pid

    def is_running(self):
        return self.popen.poll() is None

    def wait_ready(self, is_ready, timeout=15.0):
        """Waits until is_ready(); fails at once when the process ends."""
        def ready():
            if not self.is_running():
                raise RigError(
                    f"{self.argv[0]} ended with {self.popen.returncode}")
            return is_ready()
        try:
            wait_for(ready, timeout, f"{self.argv[0]} ready")
        except RigError as e:
            raise RigError(
                f"{e}\n{read_text(self.log_path)[-4000:]}") from None

    def signal(self, number):
        self.popen.send_signal(number)

    def sigstop(self):
        self.signal(signal.SIGSTOP)

    def cont(self):
        self.signal(signal.SIGCONT)

    def stop(self, timeout=10.0):
        """SIGTERM; SIGKILL when that takes too long.  Returns the status."""
        if self.is_running():
            self.popen.terminate()
            self.cont()
            try:
                self.popen.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill9()
        return self.popen.returncode

    def kill9(self):
        """Kills the process and its group at once."""
        if self.is_running():
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.popen.wait()
        return self.popen.returncode


def accepts(address):
    """Does somebody listen at (host, port) or a UNIX socket path?"""
    try:
        connect(address, 1).close()
        return True
    except OSError:
        return False


def connect(address, timeout):
    """address: (host, port) or the path of a UNIX socket."""
    if isinstance(address, tuple):
        return socket.create_connection(address, timeout)
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(timeout)
    try:
        s.connect(address)
    except OSError:
        s.close()
        raise
    return s


def read_text(path):
    try:
        with open(path, "rb") as f:
            return f.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


def write_file(path, text, mode=0o644, age=0):
    """age: seconds that the file's time is set back.  Postfix reads a file
    again and again until it is two seconds old."""
    with open(path, "wb") as f:
        f.write(text if isinstance(text, bytes) else text.encode())
    os.chmod(path, mode)
    if age:
        then = time.time() - age
        os.utime(path, (then, then))


def replace(text, *pairs):
    """text with each (old, new) of pairs replaced; old has to be there."""
    for old, new in pairs:
        if old not in text:
            raise RigError(f"{old!r} is not in {text!r}")
        text = text.replace(old, str(new))
    return text


def run(argv, input=None, check=True, timeout=60, env=None):
    """Runs a program to its end; str in, str out."""
    done = subprocess.run(
        argv, input=input, stdin=None if input is not None else
        subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout,
        env=env, errors="surrogateescape")
    if check and done.returncode != 0:
        raise RigError(f"{' '.join(argv)}: exit {done.returncode}\n"
                       f"{done.stdout}{done.stderr}")
    return done


def find_program(name):
    """A program that need not be in the PATH of this user."""
    path = shutil.which(name, path=os.environ.get("PATH", "") +
                        ":/usr/sbin:/sbin:/usr/local/sbin:/usr/lib/postfix/sbin")
    if path is None:
        raise RigError(f"{name} is not installed")
    return path


class Rig:
    """A temporary directory and what runs in it."""

    def __init__(self, name="rig", parent="/tmp"):
        adopt_orphans()
        name = re.sub("[^a-z0-9-]", "-", name.lower())
        self.dir = tempfile.mkdtemp(prefix=f"cm-{name}-", dir=parent)
        os.chmod(self.dir, 0o755)       # the MTA's users pass through
        self.logs = []                  # (label, path)
        self._closers = []
        self._closed = False
        self.keep = bool(os.environ.get("CONSENT_MILTER_KEEP"))
        atexit.register(self.close)

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def subdir(self, name, mode=0o755):
        """A new directory; a number is added when the name is taken."""
        path, n = self.path(name), 1
        while os.path.exists(path):
            n += 1
            path = self.path(f"{name}{n}")
        os.mkdir(path)
        os.chmod(path, mode)
        return path

    def on_close(self, closer):
        self._closers.append(closer)

    def add_log(self, label, path):
        self.logs.append((label, path))

    def log_sizes(self):
        return {path: os.path.getsize(path) if os.path.exists(path) else 0
                for _, path in self.logs}

    def log_report(self, since=None, limit=6000):
        """The ends of all logs; since is an earlier log_sizes()."""
        report = []
        for label, path in self.logs:
            text = read_text(path)[(since or {}).get(path, 0):]
            if text.strip():
                report.append(f"--- {label} ({path})\n{text[-limit:].rstrip()}")
        return "\n".join(report)

    def close(self):
        if self._closed:
            return
        self._closed = True
        errors = []
        while self._closers:
            try:
                self._closers.pop()()
            except Exception as e:      # the others still have to go
                errors.append(e)
        atexit.unregister(self.close)
        if not self.keep:
            shutil.rmtree(self.dir, ignore_errors=True)
        if errors:
            raise errors[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
