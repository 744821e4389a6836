#!/bin/bash
# A throw-away GNU mailutils imap4d (3.15) on loopback: a deliberately poor server
# (no UIDPLUS, a selected mailbox is not updated by an APPEND).  Needs the Debian
# package mailutils-imap4d (and openssl, python3), and root (it changes to the
# mailbox owner's uid after LOGIN).
#
# Environment: IFAP_MAILUTILS_TRANSCRIPT=yes: the log has the protocol lines
# (Maildir only: with mbox an APPEND to a newly created folder is refused.)
# Users: user1@test … user4@test, password "secret"; hierarchy separator "/".
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/_common.sh"
PATH=$PATH:/usr/sbin:/usr/local/sbin:/sbin

start() {
  local dir=$1 port tls=0 i uid gid hash transcript=no
  command -v imap4d >/dev/null || die "imap4d is not installed (run tests/servers/install.sh)"
  (( EUID == 0 )) || die "imap4d can only be run as root"
  prepare_dir "$dir" mailutils
  dir=$(cd "$dir" && pwd -P)
  reachable "$dir"
  [[ -z "$(pid_of "$dir/server.pid")" ]] || die "already running in $dir"
  port=$(pick_port "$2"); check_port "$port"
  if [[ -n "${3:-}" ]]; then tls=$(pick_port "$3"); check_port "$tls"; fi
  [[ "${IFAP_MAILUTILS_TRANSCRIPT:-}" == yes ]] && transcript=yes
  make_cert "$dir"
  uid=$(id -u nobody) gid=$(id -g nobody)
  hash=$(openssl passwd -6 secret)
  mkdir -p "$dir/passwd" "$dir/home" "$dir/spool"
  chmod 755 "$dir" "$dir/home"; chown "$uid:$gid" "$dir/spool"
  : > "$dir/passwd/test"
  for i in 1 2 3 4; do
    mkdir -p "$dir/home/user$i"; chown "$uid:$gid" "$dir/home/user$i"
    echo "user$i:$hash:$uid:$gid:user$i:$dir/home/user$i:/bin/false" >> "$dir/passwd/test"
  done
  local tlsblock="tls { ssl-certificate-file \"$dir/cert.pem\"; ssl-key-file \"$dir/key.pem\"; }"
  {
    cat <<C
mode daemon;
foreground yes;
max-children 200;
timeout 1800;
logging { syslog no; print-severity yes; session-id yes; }
tls-file-checks { key-file none; cert-file none; ca-file none; }
auth { authentication "generic:virtdomain"; authorization virtdomain; }
virtdomain { passwd-dir "$dir/passwd"; }
mailbox { mail-spool "$dir/spool"; mailbox-type maildir; }
server 127.0.0.1:$port { transcript $transcript; tls-mode ondemand; $tlsblock }
C
    if (( tls )); then
      echo "server 127.0.0.1:$tls { transcript $transcript; tls-mode connection; $tlsblock }"
    fi
  } > "$dir/imap4d.conf"
  imap4d --config-file="$dir/imap4d.conf" --config-lint >"$dir/lint.log" 2>&1 ||
    { cat "$dir/lint.log" >&2; die "the configuration is not accepted"; }
  # As a detached 'foreground' daemon; its log goes to stderr.
  setsid imap4d --config-file="$dir/imap4d.conf" --foreground >"$dir/imap4d.log" 2>&1 </dev/null &
  local pid=$!
  disown 2>/dev/null
  echo "$pid" > "$dir/server.pid"
  if ! imap_ready "$port" user1@test secret 15 2>"$dir/ready.err"; then
    cat "$dir/ready.err" "$dir/imap4d.log" >&2; stop_pid "$pid"; die "imap4d did not become ready"
  fi
  tls_ready "$port" user1@test secret "$dir/cert.pem" starttls || { stop_pid "$pid"; die "STARTTLS does not work"; }
  if (( tls )); then
    tls_ready "$tls" user1@test secret "$dir/cert.pem" imaps || { stop_pid "$pid"; die "IMAPS does not work"; }
  fi
  cat <<I
server=mailutils
version=$(imap4d --version | head -1 | sed 's/.*) //')
host=127.0.0.1
port=$port
starttls=yes
$( (( tls )) && echo "tlsport=$tls" )
cafile=$dir/cert.pem
user=user1@test
password=secret
users=user1@test,user2@test,user3@test,user4@test
pid=$pid
log=$dir/imap4d.log
READY
I
}

stop() {
  local dir=$1 pid
  check_ours "$dir" mailutils
  pid=$(pid_of "$dir/server.pid")
  [[ -n "$pid" ]] || return 0
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
