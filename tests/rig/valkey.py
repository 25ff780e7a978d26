# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""Valkey, beside an installed Redis or without one.

Debian 12 has it among its backports, which the machine's own sources of packages
need not have: they are asked for in a corner of the cache.
"""
import fcntl
import glob
import os
import re
import shutil

from .cache import cache_dir, download
from .process import RigError, read_text, run, write_file


def _backports(top, codename):
    """Options of apt-get with which it knows nothing else."""
    found = run(["apt-get", "indextargets", "--format", "$(REPO_URI)",
                 "Created-By: Packages", f"Codename: {codename}"],
                check=False).stdout.split()
    if not found:
        raise RigError(f"this machine has no packages of {codename}")
    os.makedirs(os.path.join(top, "lists", "partial"))
    sources = os.path.join(top, "sources.list")
    write_file(sources, f"deb {found[0]} {codename}-backports main\n")
    return [o for value in (
        f"Dir::Etc::sourcelist={sources}", "Dir::Etc::sourceparts=/dev/null",
        f"Dir::State::lists={top}/lists", "Dir::Cache::pkgcache=",
        "Dir::Cache::srcpkgcache=") for o in ("-o", value)]


def fetch_valkey():
    """Downloads and unpacks it once; returns the path of valkey-server."""
    cache = cache_dir()
    root = os.path.join(cache, "valkey")
    with open(os.path.join(cache, "valkey.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(root):
            fresh = root + ".new"
            shutil.rmtree(fresh, ignore_errors=True)
            os.makedirs(fresh)
            codename = re.search(r"(?m)^VERSION_CODENAME=(.*)$",
                                 read_text("/etc/os-release"))[1]
            download(fresh, ["valkey-server", "valkey-tools"],
                     _backports(os.path.join(fresh, "apt"), codename)
                     if codename == "bookworm" else ())
            for deb in glob.glob(os.path.join(fresh, "*.deb")):
                run(["dpkg", "-x", deb, fresh])
                os.unlink(deb)
            os.rename(fresh, root)
    return os.path.join(root, "usr/bin/valkey-server")
