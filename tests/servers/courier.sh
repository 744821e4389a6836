#!/bin/bash
# A throw-away Courier IMAP (5.0.13) on loopback.  Works as root (imapd then runs as
# "nobody") and as an ordinary user.
#
# The part before LOGIN is courier_front.py (ours: Courier's has /etc/courier and
# /run/courier compiled in); everything after LOGIN is Courier's real imapd.
# Debian's courier-imap conflicts with the other imap-server packages; looked for in
# $IFAP_COURIER_ROOT, ${IFAP_SERVERS_ROOT:-/opt/ifap-servers}/courier (see unpack-debs.sh), / .
# Needs openssl and python3 (3.9 or later when run as root).
#
# Users: user1 … user4, password "secret".  NB: the personal namespace is "INBOX." and
# the hierarchy separator "."; a folder outside INBOX. cannot be created.
# libgamin starts a gam_server for the mail user; it ends by itself when idle.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/_common.sh"
PATH=$PATH:/usr/sbin:/usr/local/sbin:/sbin

find_courier() {
  local r
  for r in "${IFAP_COURIER_ROOT:-}" "${IFAP_SERVERS_ROOT:-/opt/ifap-servers}/courier" /; do
    [[ -n "$r" && -x "${r%/}/usr/bin/imapd" && -f "${r%/}/etc/courier/imapd" ]] && { root=${r%/}; return; }
  done
  die "Courier is not there: run $here/install.sh"
}

start() {
  local dir=$1 port tls=0 i uid gid libs=
  find_courier
  prepare_dir "$dir" courier
  dir=$(cd "$dir" && pwd -P)
  reachable "$dir"
  [[ -z "$(pid_of "$dir/server.pid")" ]] || die "already running in $dir"
  port=$(pick_port "$2"); check_port "$port"
  if [[ -n "${3:-}" ]]; then tls=$(pick_port "$3"); check_port "$tls"; fi
  make_cert "$dir"
  if (( EUID == 0 )); then uid=$(id -u nobody) gid=$(id -g nobody); else uid=$(id -u) gid=$(id -g); fi
  if [[ -n "$root" ]]; then
    libs="$root/usr/lib:$root/usr/lib/$(uname -m)-linux-gnu"
    local missing
    missing=$(LD_LIBRARY_PATH=$libs ldd "$root/usr/bin/imapd" | sed -n 's/^[[:space:]]*\([^ ]*\) => not found/\1/p' | tr '\n' ' ')
    [[ -z "$missing" ]] || die "shared libraries are missing: $missing (see unpack-debs.sh)"
  fi
  mkdir -p "$dir/home"; chmod 755 "$dir" "$dir/home"
  for i in 1 2 3 4; do
    mkdir -p "$dir/home/user$i/Maildir/"{cur,new,tmp}
    chmod -R go= "$dir/home/user$i/Maildir"
  done
  : >> "$dir/imapd.log"
  if (( EUID == 0 )); then chown -R "$uid:$gid" "$dir/home"; fi
  ( set -a
    . "$root/etc/courier/imapd"
    IMAP_EMPTYTRASH=
    LD_LIBRARY_PATH=$libs
    IFAP_DIR=$dir IFAP_PORT=$port IFAP_TLS=$tls IFAP_UID=$uid IFAP_GID=$gid IFAP_BIN=$root/usr/bin/imapd
    python3 - <<'P' > "$dir/front.json"
import json, os
e = os.environ
d = e["IFAP_DIR"]
env = {k: v for k, v in e.items() if k.startswith("IMAP_") or k in ("LD_LIBRARY_PATH", "MAILDIRPATH")}
print(json.dumps({
    "port": int(e["IFAP_PORT"]), "tlsport": int(e["IFAP_TLS"]), "uid": int(e["IFAP_UID"]),
    "gid": int(e["IFAP_GID"]), "imapd": e["IFAP_BIN"], "home": d + "/home",
    "log": d + "/imapd.log", "cert": d + "/cert.pem", "key": d + "/key.pem", "env": env,
    "users": {"user%d" % i: "secret" for i in (1, 2, 3, 4)}}, indent=1))
P
  ) || die "cannot write the configuration"
  setsid python3 "$here/courier_front.py" "$dir/front.json" >"$dir/front.log" 2>&1 </dev/null &
  local pid=$!
  disown 2>/dev/null
  echo "$pid" > "$dir/server.pid"
  if ! imap_ready "$port" user1 secret 15 2>"$dir/ready.err"; then
    cat "$dir/ready.err" "$dir/front.log" "$dir/imapd.log" >&2; stop_pid "$pid"; die "courier did not become ready"
  fi
  tls_ready "$port" user1 secret "$dir/cert.pem" starttls || { stop_pid "$pid"; die "STARTTLS does not work"; }
  if (( tls )); then
    tls_ready "$tls" user1 secret "$dir/cert.pem" imaps || { stop_pid "$pid"; die "IMAPS does not work"; }
  fi
  cat <<I
server=courier
version=$(LD_LIBRARY_PATH=$libs "$root/usr/bin/imapd" --version 2>&1 | head -1)
host=127.0.0.1
port=$port
starttls=yes
$( (( tls )) && echo "tlsport=$tls" )
cafile=$dir/cert.pem
user=user1
password=secret
users=user1,user2,user3,user4
prefix=INBOX.
pid=$pid
log=$dir/imapd.log
READY
I
}

stop() {
  local dir=$1 pid p
  check_ours "$dir" courier
  pid=$(pid_of "$dir/server.pid")
  [[ -n "$pid" ]] || return 0
  # its imapd children first: they outlive the front otherwise
  for p in $(ps -o pid= --ppid "$pid" 2>/dev/null); do stop_pid "$p" 2; done
  stop_pid "$pid" 10 || die "pid $pid does not end"
  rm -f "$dir/server.pid"
}

case ${1:-} in
  start) [[ $# -ge 3 ]] || usage; start "$2" "$3" "${4:-}" | sed '/^$/d'; exit "${PIPESTATUS[0]}" ;;
  stop) [[ $# -eq 2 ]] || usage; stop "$2" ;;
  status) [[ $# -eq 2 ]] || usage; [[ -n "$(pid_of "$2/server.pid")" ]] ;;
  purge) [[ $# -eq 2 ]] || usage; stop "$2"; rm -rf -- "$2" ;;
  *) usage ;;
esac
