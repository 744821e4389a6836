#!/bin/bash
# install.sh [-n]: what the benchmarks compare with, from Debian 12: rclone and restic. Without them W8 measures ours only.
#
# Run as root, or by somebody who may use sudo. When both are there it says so and does nothing; -n only looks (exit
# status 1: something is missing). Neither package has a daemon.
set -eu
missing() {
  local program
  for program in rclone restic; do command -v "$program" >/dev/null || echo "$program"; done
}

lacking=$(missing)
if [[ -z "$lacking" ]]; then echo "install.sh: rclone and restic are there"; exit 0; fi
echo "install.sh: missing:" $lacking
[[ "${1:-}" != -n ]] || exit 1
sudo=
if (( EUID != 0 )); then
  command -v sudo >/dev/null || { echo "install.sh: needs root, and there is no sudo" >&2; exit 1; }
  sudo="sudo DEBIAN_FRONTEND=noninteractive"
fi
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -q
$sudo apt-get install -y -q --no-install-recommends $lacking
lacking=$(missing)
[[ -z "$lacking" ]] || { echo "install.sh: still missing:" $lacking >&2; exit 1; }
echo "install.sh: done"
