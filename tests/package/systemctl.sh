#!/bin/sh
# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
#
# Stands in for systemd in the chroot: does what the package's scripts ask for
# with a process, without the rest.  What it was asked is in /run/systemctl.log.

echo "$*" >>/run/systemctl.log
wants=/etc/systemd/system/multi-user.target.wants
verb= units=
for word; do
	case $word in
	-*) ;;
	*)
		if [ -z "$verb" ]; then
			verb=$word
		else
			units="$units ${word%.service}"
		fi
		;;
	esac
done

# A process that has ended and waits for its parent has no exe.
is_active() {
	[ -f "/run/$1.pid" ] && [ -e "/proc/$(cat "/run/$1.pid")/exe" ]
}

start() {
	is_active "$1" && return
	mkdir -p /run/consent-milter	# RuntimeDirectory=
	$(sed -n 's/^ExecStart=//p' "/lib/systemd/system/$1.service") \
	    </dev/null >>"/run/$1.log" 2>&1 &
	echo $! >"/run/$1.pid"
}

stop() {
	is_active "$1" || return
	kill "$(cat "/run/$1.pid")"
	while is_active "$1"; do
		sleep 0.05
	done
}

for unit in $units; do
	case $verb in
	start) start "$unit" ;;
	stop) stop "$unit" ;;
	restart)
		stop "$unit"
		start "$unit" ;;
	is-active) is_active "$unit" || exit 3 ;;
	preset)
		mkdir -p "$wants"
		ln -sf "/lib/systemd/system/$unit.service" "$wants/" ;;
	is-enabled)
		[ -L "$wants/$unit.service" ] || exit 1
		echo enabled ;;
	esac
done
[ ! -e /run/systemctl.fails ]
