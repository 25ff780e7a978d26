# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""A minimal Debian in a directory, cut off from the machine around it.

enter_namespaces() gives this process mounts of its own, which are gone with
it however it ends; cut_network() leaves it a loopback interface of its own,
on which the ports of the packaged configuration are free.
"""
import ctypes
import fcntl
import os
import shutil
import socket
import struct
import subprocess

from rig import RigError, read_text, run, write_file

_CLONE_NEWNS = 0x00020000
_CLONE_NEWNET = 0x40000000
_MS_REC, _MS_PRIVATE = 0x4000, 1 << 18
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1

_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C", "HOME": "/root"}

_HERE = os.path.dirname(os.path.abspath(__file__))
_libc = ctypes.CDLL(None, use_errno=True)


def _check(rc, what):
    if rc != 0:
        raise RigError(f"{what}: {os.strerror(ctypes.get_errno())}")


def enter_namespaces():
    _check(_libc.unshare(_CLONE_NEWNS), "unshare mounts")
    _check(_libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None),
           "make mounts private")


def cut_network():
    """Before the first thread: it is the caller's network only."""
    _check(_libc.unshare(_CLONE_NEWNET), "unshare network")
    with socket.socket() as s:
        fcntl.ioctl(s, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))


def _apt_options():
    """How this machine reaches its mirror: proxies, and what its clock
    asks for."""
    return [line for line in run(["apt-config", "dump"]).stdout.splitlines()
            if line.startswith(("Acquire::http", "Acquire::https",
                                "Acquire::Check-"))]


def _sources():
    """The files with this machine's sources of packages."""
    names = ["/etc/apt/sources.list"]
    names += [os.path.join("/etc/apt/sources.list.d", name) for name in
              os.listdir("/etc/apt/sources.list.d")
              if name.endswith((".list", ".sources"))]
    return [n for n in names if "debian" in read_text(n)]


class Chroot:
    """Chroot(rig): .begin() starts to make it, .finish() waits for it."""

    def __init__(self, rig):
        self.dir = rig.path("chroot")
        self._log = rig.path("mmdebstrap.log")
        self._child = None
        rig.add_log("mmdebstrap", self._log)
        rig.on_close(self._close)

    def begin(self):
        codename = run(["sh", "-c", ". /etc/os-release; "
                        "echo $VERSION_CODENAME"]).stdout.strip()
        options = [o for line in _apt_options() for o in ("--aptopt", line)]
        with open(self._log, "wb") as log:
            self._child = subprocess.Popen(
                ["mmdebstrap", "--mode=root", "--variant=apt",
                 "--include=systemd-standalone-sysusers",
                 "--dpkgopt=force-unsafe-io",
                 "--dpkgopt=path-exclude=/usr/share/locale/*",
                 "--skip=cleanup/apt/lists", *options, codename, self.dir,
                 *_sources()], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log)

    def finish(self):
        if self._child.wait() != 0:
            raise RigError("mmdebstrap: " + read_text(self._log)[-4000:])
        self._child = None
        run(["mount", "-t", "proc", "proc", self.path("proc")])

    def offer_systemd(self):
        """From now on the package's scripts find systemd running."""
        os.makedirs(self.path("run/systemd/system"))
        shutil.copy(os.path.join(_HERE, "systemctl.sh"),
                    self.path("usr/bin/systemctl"))

    def systemctl(self, *words):
        return self.run("systemctl", *words)

    def asked_of_systemd(self):
        """What the scripts wanted since this was called last."""
        asked = self.read("run/systemctl.log")
        write_file(self.path("run/systemctl.log"), "")
        return asked

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def read(self, path):
        return read_text(self.path(path))

    def write(self, path, text):
        write_file(self.path(path), text)

    def run(self, *argv, check=True, timeout=300):
        """The output of both kinds is .stdout."""
        done = subprocess.run(
            ["chroot", self.dir, *argv], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=timeout, env=_ENVIRONMENT)
        if check and done.returncode != 0:
            raise RigError(f"{' '.join(argv)}: exit {done.returncode}\n"
                           f"{done.stdout}")
        return done

    def apt(self, *words):
        return self.run("apt-get", "-q", "-y", "--no-install-recommends",
                        "-o", "Dpkg::Options::=--force-confold", *words)

    def status(self, package="consent-milter"):
        return self.run("dpkg-query", "-W", "-f", "${Status} ${Version}",
                        package, check=False).stdout

    def files(self, *directories):
        """{path: bytes} of what is in these directories."""
        found = {}
        for directory in directories:
            for at, _, names in os.walk(self.path(directory)):
                for name in names:
                    path = os.path.join(at, name)
                    with open(path, "rb") as f:
                        found[os.path.relpath(path, self.dir)] = f.read()
        return found

    def _close(self):
        if self._child is not None:
            self._child.terminate()
            self._child.wait()
        for unit in ("consent-web", "consent-milter"):
            if os.path.exists(self.path(f"run/{unit}.pid")):
                self.run("systemctl", "stop", unit, check=False)
        run(["umount", "-l", self.path("proc")], check=False)
