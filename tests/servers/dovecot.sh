#!/bin/bash
# A throw-away Dovecot (2.3) on loopback.  Needs the Debian package dovecot-imapd
# (and openssl, python3).  Works as root and as an ordinary user.
#
# Environment (all optional):
#   IFAP_DOVECOT_FORMAT      maildir | sdbox | mdbox          (default maildir)
#   IFAP_DOVECOT_FSYNC       optimized | always | never       (default optimized)
#   IFAP_DOVECOT_CAPABILITY  a whole capability string to announce instead of the
#                            real one, e.g. 'IMAP4rev1 UIDPLUS' to try a poor server
#   IFAP_DOVECOT_QUOTA       e.g. 20M: a storage quota for every user
#   IFAP_DOVECOT_MAXMSG      e.g. 1M: refuse larger messages (quota_max_mail_size)
#   IFAP_DOVECOT_COMPRESS    yes: announce COMPRESS=DEFLATE
#   IFAP_DOVECOT_RAWLOG      yes: keep every session's bytes in DIR/rawlog/
#   IFAP_DOVECOT_EXTRA       a file whose lines are appended to the configuration
# Users: user1 … user8, password "secret" (or IFAP_DOVECOT_PASSWORD); each has the separator "/".
set -u
password=${IFAP_DOVECOT_PASSWORD:-secret}
here=$(cd "$(dirname "$0")" && pwd)
. "$here/_common.sh"
PATH=$PATH:/usr/sbin:/usr/local/sbin:/sbin

start() {
  local dir=$1 port tls=0
  command -v dovecot >/dev/null || die "dovecot is not installed (run tests/servers/install.sh)"
  prepare_dir "$dir" dovecot
  dir=$(cd "$dir" && pwd -P)
  reachable "$dir"
  [[ -z "$(pid_of "$dir/run/master.pid")" ]] || die "already running in $dir"
  port=$(pick_port "$2"); check_port "$port"
  if [[ -n "${3:-}" ]]; then tls=$(pick_port "$3"); check_port "$tls"; fi
  make_cert "$dir"

  local me grp mailuid mailgid i plugins='' imap_plugins=''
  if (( EUID == 0 )); then
    # mail processes may not run as root
    me=root; grp=root; mailuid=$(id -u nobody); mailgid=$(id -g nobody)
    chmod 755 "$dir"
  else
    me=$(id -un); grp=$(id -gn); mailuid=$(id -u); mailgid=$(id -g)
  fi
  mkdir -p "$dir/run" "$dir/state" "$dir/mail" "$dir/rawlog"
  if (( EUID == 0 )); then chown "$mailuid:$mailgid" "$dir/mail" "$dir/rawlog"; fi
  : > "$dir/users"
  for i in 1 2 3 4 5 6 7 8; do
    mkdir -p "$dir/mail/user$i"
    if (( EUID == 0 )); then chown "$mailuid:$mailgid" "$dir/mail/user$i"; fi
    echo "user$i:{PLAIN}$password:$mailuid:$mailgid::$dir/mail/user$i::" >> "$dir/users"
  done
  local loc
  case ${IFAP_DOVECOT_FORMAT:-maildir} in
    maildir) loc="maildir:~/Maildir" ;;
    sdbox) loc="sdbox:~/sdbox" ;;
    mdbox) loc="mdbox:~/mdbox" ;;
    *) die "bad IFAP_DOVECOT_FORMAT" ;;
  esac
  if [[ -n "${IFAP_DOVECOT_QUOTA:-}${IFAP_DOVECOT_MAXMSG:-}" ]]; then
    plugins="$plugins quota"; imap_plugins="$imap_plugins imap_quota"
  fi
  if [[ "${IFAP_DOVECOT_COMPRESS:-}" == yes ]]; then
    plugins="$plugins zlib"; imap_plugins="$imap_plugins imap_zlib"
  fi
  {
    cat <<C
base_dir = $dir/run
state_dir = $dir/state
instance_name = ifap-test
log_path = $dir/dovecot.log
listen = 127.0.0.1
protocols = imap
shutdown_clients = yes
default_internal_user = $( (( EUID == 0 )) && echo dovecot || echo "$me")
default_internal_group = $( (( EUID == 0 )) && echo dovecot || echo "$grp")
default_login_user = $( (( EUID == 0 )) && echo dovenull || echo "$me")
default_vsz_limit = 2G
default_process_limit = 200
default_client_limit = 900
first_valid_uid = 1
first_valid_gid = 1
mail_location = $loc
mail_fsync = ${IFAP_DOVECOT_FSYNC:-optimized}
mailbox_list_index = yes
mailbox_idle_check_interval = 1 secs
mail_max_userip_connections = 200
auth_mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256
auth_failure_delay = 0
auth_verbose = yes
disable_plaintext_auth = no
ssl = yes
ssl_cert = <$dir/cert.pem
ssl_key = <$dir/key.pem
mail_plugins =$plugins
passdb {
  driver = passwd-file
  args = scheme=PLAIN username_format=%u $dir/users
}
userdb {
  driver = passwd-file
  args = username_format=%u $dir/users
}
namespace inbox {
  inbox = yes
  separator = /
}
service anvil {
  chroot =
  unix_listener anvil-auth-penalty {
    # a wrong password does not slow down the logins of the tests after it
    mode = 0
  }
}
service stats {
  chroot =
}
service imap-login {
  chroot =
  service_count = 0
  process_min_avail = 1
  inet_listener imap {
    address = 127.0.0.1
    port = $port
  }
  inet_listener imaps {
    address = 127.0.0.1
    port = $tls
    ssl = yes
  }
}
service imap {
  process_limit = 200
  service_count = 100
}
protocol imap {
  mail_plugins = \$mail_plugins$imap_plugins
$( [[ -n "${IFAP_DOVECOT_CAPABILITY:-}" ]] && echo "  imap_capability = ${IFAP_DOVECOT_CAPABILITY}" )
$( [[ "${IFAP_DOVECOT_RAWLOG:-}" == yes ]] && echo "  rawlog_dir = $dir/rawlog" )
}
C
    if [[ -n "${IFAP_DOVECOT_CAPABILITY:-}" ]]; then
      # the greeting (before LOGIN) comes from imap-login
      echo "imap_capability = ${IFAP_DOVECOT_CAPABILITY}"
    fi
    if [[ -n "${IFAP_DOVECOT_QUOTA:-}${IFAP_DOVECOT_MAXMSG:-}" ]]; then
      echo "plugin {"
      echo "  quota = count:User quota"
      echo "  quota_vsizes = yes"
      [[ -n "${IFAP_DOVECOT_QUOTA:-}" ]] && { echo "  quota_rule = *:storage=$IFAP_DOVECOT_QUOTA"; echo "  quota_grace = 0"; }
      [[ -n "${IFAP_DOVECOT_MAXMSG:-}" ]] && echo "  quota_max_mail_size = $IFAP_DOVECOT_MAXMSG"
      echo "}"
    fi
    [[ -n "${IFAP_DOVECOT_EXTRA:-}" ]] && cat "$IFAP_DOVECOT_EXTRA"
  } > "$dir/dovecot.conf"

  doveconf -n -c "$dir/dovecot.conf" >"$dir/doveconf.out" 2>&1 ||
    { cat "$dir/doveconf.out" >&2; die "the configuration is not accepted"; }
  # foreground process, in its own session so that a test runner's ^C leaves it to 'stop'
  setsid dovecot -F -c "$dir/dovecot.conf" >"$dir/stdout.log" 2>&1 </dev/null &
  local pid=$!
  disown 2>/dev/null
  if ! imap_ready "$port" user1 "$password" 15 2>"$dir/ready.err"; then
    cat "$dir/ready.err" "$dir/stdout.log" >&2; tail -20 "$dir/dovecot.log" >&2
    stop_pid "$pid"
    die "dovecot did not become ready (see $dir/dovecot.log)"
  fi
  tls_ready "$port" user1 "$password" "$dir/cert.pem" starttls || { stop_pid "$pid"; die "STARTTLS does not work"; }
  if (( tls )); then
    tls_ready "$tls" user1 "$password" "$dir/cert.pem" imaps || { stop_pid "$pid"; die "IMAPS does not work"; }
  fi
  cat <<I
server=dovecot
version=$(dovecot --version)
host=127.0.0.1
port=$port
starttls=yes
$( (( tls )) && echo "tlsport=$tls" )
cafile=$dir/cert.pem
user=user1
password=$password
users=user1,user2,user3,user4,user5,user6,user7,user8
pid=$(cat "$dir/run/master.pid" 2>/dev/null || echo "$pid")
log=$dir/dovecot.log
READY
I
}

stop() {
  local dir=$1 pid
  check_ours "$dir" dovecot
  pid=$(pid_of "$dir/run/master.pid")
  [[ -n "$pid" ]] || return 0
  stop_pid "$pid" 10 || die "pid $pid does not end"
}

case ${1:-} in
  start) [[ $# -ge 3 ]] || usage; start "$2" "$3" "${4:-}" | sed '/^$/d'; exit "${PIPESTATUS[0]}" ;;
  stop) [[ $# -eq 2 ]] || usage; stop "$2" ;;
  status) [[ $# -eq 2 ]] || usage; [[ -n "$(pid_of "$2/run/master.pid")" ]] ;;
  purge) [[ $# -eq 2 ]] || usage; stop "$2"; rm -rf -- "$2" ;;
  *) usage ;;
esac
