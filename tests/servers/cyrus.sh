#!/bin/bash
# A throw-away Cyrus IMAP (3.6) on loopback.  Works as root (then the daemons run as
# "nobody") and should work as an ordinary user.
#
# Debian's cyrus-imapd conflicts with every other imap-server package; so these are
# looked for in this order: $IFAP_CYRUS_ROOT, ${IFAP_SERVERS_ROOT:-/opt/ifap-servers}/cyrus (unpacked by
# unpack-debs.sh), / (installed by apt-get).  Also needed: saslpasswd2 (package sasl2-bin,
# libsasl2-modules, libsasl2-modules-db), openssl, python3.
#
# Cyrus logs to syslog only: without a syslog daemon its reasons for failing are lost;
# DIR/master.log has what goes to stderr.
# Users: user1 … user4, password "secret"; hierarchy separator "/", alternative namespace
# (a folder is created beside INBOX, not below it).  IFAP_CYRUS_QUOTA=KB: a quota.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/_common.sh"
PATH=$PATH:/usr/sbin:/usr/local/sbin:/sbin

find_cyrus() {
  local r
  for r in "${IFAP_CYRUS_ROOT:-}" "${IFAP_SERVERS_ROOT:-/opt/ifap-servers}/cyrus" /; do
    [[ -n "$r" && -x "${r%/}/usr/lib/cyrus/bin/master" ]] && { root=${r%/}; bin=$root/usr/lib/cyrus/bin; return; }
  done
  die "Cyrus is not there: run $here/install.sh"
}

start() {
  local dir=$1 port tls=0 i own grp
  find_cyrus
  command -v saslpasswd2 >/dev/null || die "saslpasswd2 is missing (run tests/servers/install.sh)"
  prepare_dir "$dir" cyrus
  dir=$(cd "$dir" && pwd -P)
  reachable "$dir"
  [[ -z "$(pid_of "$dir/server.pid")" ]] || die "already running in $dir"
  port=$(pick_port "$2"); check_port "$port"
  if [[ -n "${3:-}" ]]; then tls=$(pick_port "$3"); check_port "$tls"; fi
  make_cert "$dir"
  if (( EUID == 0 )); then own=nobody; grp=$(id -gn nobody); else own=$(id -un); grp=$(id -gn); fi
  mkdir -p "$dir/conf/"{db,socket,proc,log,lock,sieve} "$dir/spool"
  cat > "$dir/imapd.conf" <<C
configdirectory: $dir/conf
partition-default: $dir/spool
defaultpartition: default
cyrus_user: $own
cyrus_group: $grp
servername: localhost
admins: admin
allowplaintext: yes
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: $dir/sasldb2
sasl_mech_list: PLAIN LOGIN SCRAM-SHA-256
tls_server_cert: $dir/cert.pem
tls_server_key: $dir/key.pem
tls_session_timeout: 0
unixhierarchysep: yes
altnamespace: yes
autocreate_users: anyone
autocreate_quota: ${IFAP_CYRUS_QUOTA:-0}
virtdomains: off
expunge_mode: immediate
delete_mode: immediate
duplicatesuppression: no
conversations: no
imapidlepoll: 1
idlesocket: $dir/conf/socket/idle
notifysocket: $dir/conf/socket/notify
lmtpsocket: $dir/conf/socket/lmtp
proc_path: $dir/conf/proc
mboxname_lockpath: $dir/conf/lock
sievedir: $dir/conf/sieve
maxlogins_per_host: 0
maxlogins_per_user: 0
C
  {
    echo "START {"
    echo "  recover cmd=\"$bin/ctl_cyrusdb -C $dir/imapd.conf -r\""
    echo "}"
    echo "SERVICES {"
    echo "  imap cmd=\"$bin/imapd -C $dir/imapd.conf\" listen=\"127.0.0.1:$port\" proto=\"tcp4\" prefork=1"
    (( tls )) && echo "  imaps cmd=\"$bin/imapd -C $dir/imapd.conf -s\" listen=\"127.0.0.1:$tls\" proto=\"tcp4\" prefork=0"
    echo "}"
    echo "EVENTS {"
    echo "  checkpoint cmd=\"$bin/ctl_cyrusdb -C $dir/imapd.conf -c\" period=60"
    echo "}"
    echo "DAEMON {"
    echo "  idled cmd=\"$bin/idled -C $dir/imapd.conf\""
    echo "}"
  } > "$dir/cyrus.conf"
  if [[ ! -s "$dir/sasldb2" ]]; then
    for i in user1 user2 user3 user4 admin; do
      echo secret | saslpasswd2 -p -c -f "$dir/sasldb2" -u localhost "$i" || die "saslpasswd2 failed"
    done
  fi
  if (( EUID == 0 )); then chown -R "$own:$grp" "$dir"; fi
  if [[ -n "$root" ]]; then
    export LD_LIBRARY_PATH="$root/usr/lib/$(uname -m)-linux-gnu:$root/usr/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
    local missing
    missing=$(ldd "$bin/master" "$bin/imapd" "$bin/idled" "$bin/ctl_cyrusdb" | sed -n 's/^[[:space:]]*\([^ ]*\) => not found/\1/p' | sort -u | tr '\n' ' ')
    [[ -z "$missing" ]] || die "shared libraries are missing: $missing (see unpack-debs.sh)"
  fi
  setsid "$bin/master" -D -C "$dir/imapd.conf" -M "$dir/cyrus.conf" -p "$dir/conf/master.pid" \
    >"$dir/master.log" 2>&1 </dev/null &
  local pid=$!
  disown 2>/dev/null
  echo "$pid" > "$dir/server.pid"
  unset LD_LIBRARY_PATH
  if ! imap_ready "$port" user1 secret 25 2>"$dir/ready.err"; then
    cat "$dir/ready.err" "$dir/master.log" >&2; stop_pid "$pid"
    die "cyrus did not become ready (its messages go to syslog)"
  fi
  tls_ready "$port" user1 secret "$dir/cert.pem" starttls || { stop_pid "$pid"; die "STARTTLS does not work"; }
  if (( tls )); then
    tls_ready "$tls" user1 secret "$dir/cert.pem" imaps || { stop_pid "$pid"; die "IMAPS does not work"; }
  fi
  cat <<I
server=cyrus
version=$(LD_LIBRARY_PATH="$root/usr/lib/$(uname -m)-linux-gnu" "$bin/master" -V 2>&1 | head -1 | sed 's/^cyrus-imapd *//')
host=127.0.0.1
port=$port
starttls=yes
$( (( tls )) && echo "tlsport=$tls" )
cafile=$dir/cert.pem
user=user1
password=secret
users=user1,user2,user3,user4
pid=$pid
log=$dir/master.log
READY
I
}

stop() {
  local dir=$1 pid
  check_ours "$dir" cyrus
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
