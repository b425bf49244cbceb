#!/bin/sh
# Installs what registry-build runs beside itself from Debian's own packages,
# and only what is missing.
#   install.sh run    redis-server, runc, git, busybox-static
#   install.sh test   the same, a C compiler for `go test -race`, node and npm
#                     for GitHub's description and an emulator of it, and
#                     chromium, which looks at the pages
set -eu

need() { # need COMMAND PACKAGE
	command -v "$1" >/dev/null 2>&1 || packages="$packages $2"
}

packages=""
PATH=$PATH:/usr/sbin:/sbin
need redis-server redis-server
need runc runc
need git git
need busybox busybox-static
if [ "${1:-run}" = test ]; then
	need gcc gcc
	need openssl openssl # a story signs as GitHub does
	need node nodejs
	need npm npm
	need chromium chromium
	[ -e /usr/include/stdlib.h ] || packages="$packages libc6-dev"
fi
[ -z "$packages" ] && exit 0

if ! command -v apt-get >/dev/null 2>&1; then
	echo "missing:$packages; this machine has no apt-get, so install them by its own means" >&2
	exit 1
fi
if [ "$(id -u)" != 0 ]; then
	echo "missing:$packages; run as root: apt-get install$packages" >&2
	exit 1
fi
echo "installing$packages"
export DEBIAN_FRONTEND=noninteractive
# A package's service must not start beside the one that we supervise.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod +x "$policy"
	trap 'rm -f "$policy"' EXIT
fi
# shellcheck disable=SC2086 # a list of packages
apt-get install -qq -y --no-install-recommends $packages >/dev/null 2>&1 ||
	{ apt-get update -qq && apt-get install -qq -y --no-install-recommends $packages >/dev/null; }
