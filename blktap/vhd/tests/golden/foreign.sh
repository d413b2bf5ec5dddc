#!/bin/sh
# Makes the golden images of other programs anew, in the directory of this script. Afterwards:
#   SNAPSHOTS=overwrite cargo test -p vhd --test it golden
#
#   foreign.sh VHD_UTIL TAP_CTL     C blktap's vhd-util and tap-ctl, which starts its tapdisk and so needs root; qemu-img and
#                                   qemu-io are those on the path
set -eu
vhd_util=$(realpath "$1")
tap_ctl=$(realpath "$2")
golden=$(realpath "$(dirname "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for image in child grandchild; do gunzip <"$golden/$image.vhd.gz" >$image.vhd; done
gunzip <"$golden/raw.img.gz" >raw.img

# Data that blktap writes, the whole of a block too: what our images hold, coalesced into its own.
coalesce_into() {
    for image in child grandchild; do
        cp $image.vhd data.vhd
        "$vhd_util" modify -n data.vhd -p "$1"
        "$vhd_util" coalesce -n data.vhd >/dev/null
    done
    rm data.vhd
}

"$vhd_util" create -n blktap-new.vhd -s 6
"$vhd_util" create -n blktap-new-room.vhd -s 6 -S 65536
"$vhd_util" create -n blktap-new-fixed.vhd -s 2 -r
"$vhd_util" snapshot -n blktap-new-child.vhd -p blktap-new.vhd -e
"$vhd_util" snapshot -n blktap-new-on-raw.vhd -p raw.img -m

"$vhd_util" create -n blktap-dynamic.vhd -s 6
coalesce_into blktap-dynamic.vhd
"$vhd_util" set -n blktap-dynamic.vhd -f hidden -v 1
"$vhd_util" snapshot -n blktap-child.vhd -p blktap-dynamic.vhd -e
"$vhd_util" set -n blktap-child.vhd -f marker -v 7
coalesce_into blktap-child.vhd
# Of an image with a full block it clears the batmap and keeps its checksum; its own check refuses that.
cp blktap-child.vhd blktap-marked-late.vhd
"$vhd_util" set -n blktap-marked-late.vhd -f marker -v 8

"$vhd_util" create -n blktap-room.vhd -s 4 -S 65536
"$vhd_util" resize -n blktap-room.vhd -s 6 -f
"$vhd_util" key -s -n blktap-room.vhd -H 5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a
coalesce_into blktap-room.vhd

# Its tables grow past their sectors: blocks move. Once it is stopped before the end.
for image in resized in-a-resize; do
    "$vhd_util" create -n blktap-$image.vhd -s 6
    coalesce_into blktap-$image.vhd
done
"$vhd_util" resize -n blktap-resized.vhd -s 258 -j journal
VHD_UTIL_TEST_FAIL_RESIZE_METADATA_MOVED=1 "$vhd_util" resize -n blktap-in-a-resize.vhd -s 258 -j journal || true

# Encrypted by tapdisk: blktap's own copy leaves zeros that it then reads as noise.
key='blktap-encrypted,aes-xts-plain,512.key'
printf %s 0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+- >"$key"
"$vhd_util" create -n blktap-encrypted.vhd -s 6
"$vhd_util" key -s -n blktap-encrypted.vhd -k "$key" 2>/dev/null
device=$("$tap_ctl" allocate)
pid=$("$tap_ctl" spawn)
minor=${device##*-}
"$tap_ctl" attach -p "$pid" -m "$minor"
"$tap_ctl" open -p "$pid" -m "$minor" -a vhd:"$work/blktap-encrypted.vhd" -E <"$key"
qemu-io -f raw -c 'write -q -P 1 0 512' -c 'write -q -P 2 2560 1536' -c 'write -q -P 3 2096128 2048' \
    -c 'write -q -P 0 4198400 1024' -c 'write -q -P 4 6287360 4096' \
    "nbd+unix:///tapdisk_client?socket=/run/blktap-control/nbd$pid.$minor"
"$tap_ctl" close -p "$pid" -m "$minor"
"$tap_ctl" detach -p "$pid" -m "$minor"
"$tap_ctl" free -m "$minor"
rm "$key"

qemu_image() { # NAME SIZE OPTIONS
    qemu-img create -q -f vpc -o "$3" "$1" "$2"
    qemu-io -f vpc -c 'write -q -P 1 512 1024' -c 'write -q -P 2 2M 2M' -c 'write -q -P 3 4999680 512' "$1"
}
qemu_image qemu-dynamic.vhd 5000192 subformat=dynamic,force_size=on
qemu_image qemu-dynamic-chs.vhd 5000192 subformat=dynamic
qemu_image qemu-fixed.vhd 5000192 subformat=fixed,force_size=on

for image in blktap-* qemu-*; do gzip -9n <"$image" >"$golden/$image.gz"; done
