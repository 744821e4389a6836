#!/bin/bash
# install.sh [-n]: everything that the tests need from Debian 12: Dovecot, GNU mailutils, openssl, strace, and Cyrus and
# Courier unpacked below ${IFAP_SERVERS_ROOT:-/opt/ifap-servers}.
#
# Run as root, or by somebody who may use sudo. When everything is there it says so and does nothing; -n only looks
# (exit status 1: something is missing). No daemon of the packages is started, now or at the next boot; a service
# that was there before is left as it was.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
PATH=$PATH:/usr/sbin:/usr/local/sbin:/sbin
root=${IFAP_SERVERS_ROOT:-/opt/ifap-servers}
packages="dovecot-imapd mailutils-imap4d openssl python3 procps strace"
services="dovecot mailutils-imap4d saslauthd"

links() { # links PROGRAM ROOT: all its shared libraries are found
  [[ -x "$1" ]] && ! LD_LIBRARY_PATH="$2/usr/lib/$(uname -m)-linux-gnu:$2/usr/lib" ldd "$1" | grep -q 'not found'
}

missing() { # the names of what is missing
  local program
  for program in dovecot imap4d openssl python3 ps strace; do
    command -v "$program" >/dev/null || echo "$program"
  done
  command -v saslpasswd2 >/dev/null && links "$root/cyrus/usr/lib/cyrus/bin/imapd" "$root/cyrus" &&
    links "$root/cyrus/usr/lib/cyrus/bin/master" "$root/cyrus" || echo cyrus
  links "$root/courier/usr/bin/imapd" "$root/courier" || echo courier
}

lacking=$(missing)
if [[ -z "$lacking" ]]; then
  echo "install.sh: all servers are there"
  exit 0
fi
echo "install.sh: missing:" $lacking
[[ "${1:-}" != -n ]] || exit 1
if (( EUID != 0 )); then
  command -v sudo >/dev/null || { echo "install.sh: needs root, and there is no sudo" >&2; exit 1; }
  exec sudo IFAP_SERVERS_ROOT="$root" "$here/install.sh"
fi

# Debian asks policy-rc.d before it starts a service: 101 forbids it. The machine's own comes back at the end.
policy=/usr/sbin/policy-rc.d
kept=$(mktemp -d)
restore() {
  if [[ -e "$kept/policy-rc.d" ]]; then mv "$kept/policy-rc.d" "$policy"; else rm -f "$policy"; fi
  rmdir "$kept"
}
[[ ! -e "$policy" ]] || cp -a "$policy" "$kept/policy-rc.d"
trap restore EXIT
printf '#!/bin/sh\nexit 101\n' > "$policy"
chmod 755 "$policy"

known=" "
for service in $services; do
  if [[ -e "/etc/init.d/$service" || -e "/lib/systemd/system/$service.service" ]]; then known="$known$service "; fi
done
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -y -q --no-install-recommends $packages
"$here/unpack-debs.sh" cyrus courier
for service in $services; do
  if [[ "$known" != *" $service "* && -e "/etc/init.d/$service" ]]; then
    update-rc.d "$service" disable >/dev/null 2>&1 || echo "install.sh: $service is not disabled at boot" >&2
  fi
done
lacking=$(missing)
[[ -z "$lacking" ]] || { echo "install.sh: still missing:" $lacking >&2; exit 1; }
echo "install.sh: done"
