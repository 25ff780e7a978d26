# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
#
# Sourced by run.sh and the demo: which Debian packages they need, and how to
# install those that are missing without starting or changing a service.
# shellcheck shell=sh

packages_build="autoconf automake make gcc libc6-dev pkg-config libmilter-dev
	libhiredis-dev libconfig-dev libssl-dev libidn2-dev libunistring-dev
	libjansson-dev libcsv-dev libsystemd-dev libmicrohttpd-dev
	libcurl4-openssl-dev libopendkim-dev"
# What the rig starts.
packages_rig="python3 postfix redis-server"
packages_test="clang llvm libclang-rt-dev binutils opendkim opendkim-tools rspamd
	libmail-dkim-perl libnet-dns-perl nginx-light caddy haproxy
	prometheus openssl chromium perl m4 mandoc xz-utils libfaketime
	e2fsprogs spin debhelper dpkg-dev lintian mmdebstrap rpm systemd"

# Prints those of the arguments that are not installed.
packages_missing() {
	for package_; do
		dpkg-query -W -f '${db:Status-Status}\n' "$package_" 2>/dev/null |
		    grep -qx installed || printf '%s ' "$package_"
	done
}

# Is there a mail server that installing Postfix would throw out?  Prints it.
packages_other_mta() {
	dpkg-query -W -f '${db:Status-Status} ${Package} ${Provides}\n' |
	    awk '$1 == "installed" && $2 != "postfix" && \
		/ mail-transport-agent/ { print $2; exit }'
}

# packages_install NAME... installs what is missing; with packages_only_name=1,
# or for others than root, it only says what that is.
# Returns 1 when something stays missing.
packages_install() {
	missing_=$(packages_missing "$@")
	[ -n "$missing_" ] || return 0
	if [ "${packages_only_name:-0}" = 1 ] || [ "$(id -u)" -ne 0 ]; then
		echo "These packages are missing:" >&2
		echo "    apt-get install --no-install-recommends $missing_" >&2
		return 1
	fi
	case " $missing_" in
	*" postfix "*)
		other_=$(packages_other_mta)
		if [ -n "$other_" ]; then
			cat >&2 <<EOF
This machine's mail server is $other_, and installing postfix would remove it.
Nothing was changed. Use a machine or a container without a mail server, or
remove $other_ yourself if nobody needs it, and run this again.
EOF
			return 1
		fi
		;;
	esac
	echo "Installing: $missing_"
	packages_quietly_ $missing_
}

# With a policy that lets no package start its service; one that is there
# already stays as it is.
packages_quietly_() (
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		trap 'rm -f "$policy"' EXIT
		trap 'exit 1' HUP INT TERM
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi
	DEBIAN_FRONTEND=noninteractive
	export DEBIAN_FRONTEND
	# A Postfix that comes for the tests gets no configuration of its own.
	case " $* " in
	*" postfix "*)
		echo "postfix postfix/main_mailer_type select No configuration" |
		    debconf-set-selections ;;
	esac
	log=$(mktemp)
	{ apt-get -q update && apt-get -q -y install \
	    --no-install-recommends "$@"; } </dev/null >"$log" 2>&1
	status=$?
	[ "$status" -eq 0 ] || tail -n 30 "$log" >&2
	rm -f "$log"
	[ "$status" -eq 0 ]
)
