# What the drivers (run-tests, demo, serve) share. Whatever they start ends with them: on success, on failure, on
# Ctrl-C, and also when they are killed outright.
# shellcheck shell=bash disable=SC2034
set -euo pipefail

harness=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$harness/../.." && pwd)
work=$root/.work
broker=$harness/broker
me=$(basename "$0")
cd "$root"
mkdir -p "$work"
# OpenStack's client for object storage is a program named swift as well: the one beside the compiler is meant.
! compiler=$(command -v swiftc) || PATH=$(dirname "$compiler"):$PATH

fail() {
    echo "$me: $*" >&2
    exit 1
}

# One driver of a kind at a time: two would share directories. The lock goes with this process.
lock() {
    exec 8>"$work/$1.lock"
    flock -n 8 || fail "another 'make $1' is running in this checkout: wait for it or stop it"
}

sessions=()
brokers=()

# Starts a command in a session of its own, which the terminal's Ctrl-C does not reach: this script decides when it
# ends. The command gets the given signal when this script dies. Its process id is in $session.
start_session() {
    local signal=$1
    shift
    setsid setpriv --pdeathsig "$signal" env --default-signal=INT,QUIT "$@" </dev/null 8>&- &
    session=$!
    sessions+=("$session")
}

# Runs a command in a session of its own to its end; the status is the command's.
run() {
    local status=0 ended
    start_session INT "$@"
    ended=$session
    wait "$ended" || status=$?
    stop_session "$ended" TERM
    # The number may soon be another session's.
    unset 'sessions[-1]'
    return "$status"
}

# Signals everything in a session, and kills what is left of it after ten seconds.
stop_session() {
    local i signal
    for signal in "$2" KILL; do
        pkill "-$signal" -s "$1" || return 0
        for ((i = 0; i < 100; i++)); do
            # Only those that run: a leader this shell has not collected yet is listed as a zombie.
            pgrep -s "$1" -r R,S,D,T >/dev/null || return 0
            sleep 0.1
        done
    done
}

# Starts a private broker in a directory; its environment is exported.
start_broker() {
    brokers+=("$1")
    "$broker" start "$1" --parent $$ "${@:2}" 8>&- || exit 1
    eval "$("$broker" env "$1")"
}

finish() {
    local status=$? each
    trap - EXIT
    trap '' INT TERM HUP
    for each in "${sessions[@]}"; do stop_session "$each" "${stop_signal:-INT}"; done
    [ -z "${machines:-}" ] || stop_machines "$machines"
    for each in "${brokers[@]}"; do "$broker" "${broker_end:-kill}" "$each" 8>&- || true; done
    if [ -n "${tee_pid:-}" ]; then
        exec 1>&3 2>&3
        wait "$tee_pid" || true
    fi
    exit "$status"
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# Ends the QEMU processes of machines whose files are below a directory. They outlive their worker by design, so
# whoever gives up in the middle has to end them.
stop_machines() {
    local each
    for each in /proc/[0-9]*; do
        [[ $(readlink "$each/exe" 2>/dev/null) == */qemu-system-* ]] || continue
        ! tr '\0' '\n' <"$each/cmdline" 2>/dev/null | grep -qF -- "$1/" || kill -KILL "${each#/proc/}" || true
    done
}

# Everything from here on goes to the terminal and to a file.
log_to() {
    exec 3>&1
    exec > >(exec tee -i "$1" >&3 8>&-) 2>&1
    tee_pid=$!
}

# Ends with why a build failed, as far as its output tells: build_failed WHAT LOG
build_failed() {
    case "$(tail -n 60 "$2")" in
    *"No space left on device"*) fail "the disk is full: make room in $root" ;;
    *"Could not resolve host"* | *"Failed to clone repository"* | *"Git command"*"failed"*)
        fail "the Swift packages cannot be fetched: connect this machine to github.com and run it again" ;;
    esac
    fail "$1 does not build (all of it: $2)"
}

build_programs() {
    local product
    for product in vmopsd vmopsctl; do
        run swift build --product "$product" >"$work/build.log" 2>&1 || {
            grep -E 'error:' "$work/build.log" | sort -u | head -n 20 >&2 || true
            build_failed "$product" "$work/build.log"
        }
    done
    bin=$(swift build --show-bin-path)
}

# Starts a worker and waits until its hosts answer: start_worker DIR [HOSTS [CONFIGURATION]]. Hosts are simulated
# unless the configuration says otherwise. Its log is in DIR/vmopsd.log.
start_worker() {
    local directory=$1 hosts=${2:-host-a,host-b} more=${3:-} i answer
    mkdir -p "$directory"
    cat >"$directory/vmops.conf" <<CONFIGURATION
[DEFAULT]
transport_url = $VMOPS_TEST_AMQP_URL
control_exchange = nova
compute_topic = compute
hosts = $hosts
state_path = $directory/state
backend = simulated

[admin]
listen = 127.0.0.1:0
$more
CONFIGURATION
    start_session TERM "$bin/vmopsd" --config-file "$directory/vmops.conf" >"$directory/vmopsd.log" 2>&1
    worker=$session
    for ((i = 0; i < 100; i++)); do
        kill -0 "$worker" 2>/dev/null || break
        answer=$("$bin/vmopsctl" --url "$VMOPS_TEST_AMQP_URL" --timeout 1 --json hosts 2>/dev/null) || answer=
        [ "$(grep -o '"host":' <<<"$answer" | wc -l)" != "$(tr , '\n' <<<"$hosts" | wc -l)" ] || return 0
        sleep 0.2
    done
    tail -n 15 "$directory/vmopsd.log" >&2
    fail "the worker does not answer (its log: $directory/vmopsd.log)"
}
