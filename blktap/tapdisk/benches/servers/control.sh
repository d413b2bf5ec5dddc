#!/bin/sh
# Serves IMAGE at SOCKET with a tapdisk that a tap-ctl controls, until a signal wants an end.
# usage: control.sh TAPDISK TAP_CTL IMAGE SOCKET
set -u
tapdisk=$1 tap_ctl=$2 image=$3 socket=$4
said=$(mktemp)
"$tapdisk" -D >"$said" 2>/dev/null &
pid=$!
minor=$("$tap_ctl" allocate)
minor=${minor##*-}

end() {
    timeout 5 "$tap_ctl" close -p "$pid" -m "$minor"
    timeout 5 "$tap_ctl" detach -p "$pid" -m "$minor"
    "$tap_ctl" free -m "$minor"
    # With nothing left to do it ends, and takes its sockets along.
    patience=50
    while kill -0 "$pid" && [ "$patience" -gt 0 ]; do
        patience=$((patience - 1))
        sleep 0.02
    done
    kill -9 "$pid"
    rm -f "$socket" "$said"
} >/dev/null 2>&1
trap 'end; exit 0' TERM INT

# It says where its control socket is when it is ready.
tries=0
until [ -s "$said" ] || [ "$tries" -ge 250 ]; do
    tries=$((tries + 1))
    sleep 0.02
done
control=$(head -n 1 "$said")
"$tap_ctl" attach -p "$pid" -m "$minor" >/dev/null &&
    "$tap_ctl" open -p "$pid" -m "$minor" -a "vhd:$image" >/dev/null &&
    ln -s "${control%/*}/nbd$pid.$minor" "$socket" || {
    end
    exit 1
}
wait "$pid"
