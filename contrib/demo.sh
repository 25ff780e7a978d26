#!/bin/sh
# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
#
# Shows on this machine what consent-milter does: builds it, starts it with a
# Redis and a Postfix of its own in a temporary directory, and sends mail.
# Nothing outside that directory is touched, except that packages that are
# missing get installed (none of them starts a service).
#
# usage: contrib/demo.sh [--keep] [--no-install]
#
#   --keep         leaves everything running, and says where and how to stop it
#   --no-install   names missing packages instead of installing them
#
# Needs root and Debian 12 or a relative of it.  Exits with 0 only when
# everything that it shows is as it should be.
set -eu
src=$(cd "$(dirname "$0")/.." && pwd)
. "$src/tests/packages.sh"

keep=
for argument; do
	case $argument in
	--keep) keep=--keep ;;
	--no-install) packages_only_name=1 ;;
	*)
		echo "usage: $0 [--keep] [--no-install]" >&2
		exit 64 ;;
	esac
done
if [ "$(id -u)" -ne 0 ]; then
	echo "$0: a private Postfix needs root; a container is fine" >&2
	exit 77
fi

# shellcheck disable=SC2086 # lists of words
packages_install $packages_build $packages_rig || exit 69

work=$(mktemp -d /tmp/consent-milter-demo.XXXXXX)
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# A copy, so that the source tree stays as it is.
if [ -z "${CONSENT_MILTER_BUILD:-}" ]; then
	echo "Building in $work ..."
	mkdir "$work/src" "$work/build"
	(cd "$src" && tar -cf - --exclude=./.git --exclude='./build*' \
	    --exclude=./config.status --exclude='*.o' .) |
	    tar -C "$work/src" -xf -
	if ! {
		autoreconf -fi "$work/src" &&
		    cd "$work/build" && "$work/src/configure" -q CFLAGS=-O2 &&
		    make -s -j"$(nproc)" all
	} >"$work/build.log" 2>&1; then
		tail -n 40 "$work/build.log" >&2
		exit 1
	fi
	CONSENT_MILTER_BUILD=$work/build
	export CONSENT_MILTER_BUILD
fi
status=0
python3 -B "$src/contrib/demo/demo.py" $keep "$work" || status=$?
# With --keep the directory belongs to what runs now.
if [ -n "$keep" ] && [ "$status" -eq 0 ]; then
	trap - EXIT
fi
exit "$status"
