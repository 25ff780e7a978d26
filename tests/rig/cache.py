# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""Debian packages that are unpacked, not installed, and kept between runs."""
import os

from .process import RigError, run


def cache_dir():
    """Where the unpacked packages stay between runs."""
    wanted = os.environ.get("CONSENT_MILTER_CACHE",
                            "/var/cache/consent-milter-tests")
    try:
        os.makedirs(wanted, exist_ok=True)
        if os.access(wanted, os.W_OK):
            return wanted
    except OSError:
        pass
    build = os.environ.get("CONSENT_MILTER_BUILD")
    if not build:
        raise RigError(f"{wanted} is not writable; set CONSENT_MILTER_CACHE")
    path = os.path.join(build, "tests-cache")
    os.makedirs(path, exist_ok=True)
    return path


def download(directory, packages, options=()):
    """options: of apt-get.  The package lists may be missing or old."""
    # "install --download-only" would want to resolve conflicts.
    fetch = ["sh", "-c", 'cd "$1" && shift && exec apt-get '
             '-o APT::Sandbox::User=root -q "$@"', "sh", directory, *options,
             "download", *packages]
    if run(fetch, check=False, timeout=300).returncode != 0:
        run(["apt-get", "-q", *options, "update"], timeout=300)
        run(fetch, timeout=300)
