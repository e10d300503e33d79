# What the scripts here share: folders, packages, processes. Source it.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# A short path: Unix sockets end at 107 bytes. Readable by service users.
DIR=${DIR:-$(mktemp -d)}
export DIR
chmod 755 "$DIR"

# debs PACKAGE...: Debian packages, none of which starts a service by itself.
debs() {
    local missing=()
    for package in "$@"; do dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package"); done
    [ "${#missing[@]}" -gt 0 ] || return 0
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
        chmod +x /usr/sbin/policy-rc.d
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# venv NAME PACKAGE...: a Python environment with exactly these packages, kept between runs; prints its folder.
# NAME says the versions: another version, another folder.
venv() {
    local folder="${XDG_CACHE_HOME:-$HOME/.cache}/hpc-foundation/counterparts/$1"
    if [ ! -e "$folder/ready" ]; then
        rm -rf "$folder"
        mkdir -p "$(dirname "$folder")"
        python3 -m venv "$folder" >&2
        "$folder/bin/pip" install --quiet --disable-pip-version-check "${@:2}" >&2
        touch "$folder/ready"
    fi
    echo "$folder"
}

# free_port: a TCP port of loopback that nobody listens on.
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# wait_http NAME URL: until the process NAME answers, or has ended.
wait_http() {
    for _ in $(seq 300); do
        curl -fs -o /dev/null "$2" && return
        kill -0 "$(cat "$DIR/$1.pid")" 2>/dev/null || break
        sleep 0.1
    done
    echo "$1 does not answer on $2:" >&2
    tail -20 "$DIR/$1.log" >&2
    return 1
}

# start NAME COMMAND...: the recorded process is the command itself, not a shell around it.
start() {
    local name=$1
    shift
    "$@" >"$DIR/$name.log" 2>&1 &
    echo $! >"$DIR/$name.pid"
}

stop() {
    local pid
    pid=$(cat "$DIR/$1.pid")
    rm -f "$DIR/$1.pid"
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
}

stop_all() {
    for file in "$DIR"/*.pid; do
        [ -e "$file" ] && stop "$(basename "$file" .pid)"
    done
    return 0
}
trap stop_all EXIT
