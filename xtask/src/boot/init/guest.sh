#!/bin/sh
# The first program of a guest: writes to its disk (`disk=` on the kernel's command line), reads it back past the cache, and says
# with which digest. Then it switches itself off.

export PATH=/usr/bin
/usr/bin/busybox --install -s /usr/bin 2>/dev/null
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
while read -r module; do insmod "$module"; done </modules/order

left=60
until [ -b "/dev/$disk" ] || [ "$left" = 0 ]; do
    left=$((left - 1))
    sleep 1
done

BYTES=8388608
digest() { sha256sum | cut -d ' ' -f 1; }
read_back() {
    echo 3 >/proc/sys/vm/drop_caches
    head -c $BYTES "/dev/$disk" | digest
}

# All of it in large writes, then some of it again in small ones at odd places.
work() {
    head -c $BYTES /dev/urandom >/tmp/data
    dd if=/tmp/data of="/dev/$disk" bs=256k conv=fsync 2>/dev/null || return 1
    for sector in 1 7 511 512 4095 4096 4097 8190 16383; do
        head -c 1536 /dev/urandom >/tmp/piece
        dd if=/tmp/piece of="/dev/$disk" bs=512 seek=$sector conv=fsync,notrunc 2>/dev/null || return 1
        dd if=/tmp/piece of=/tmp/data bs=512 seek=$sector conv=notrunc 2>/dev/null
    done
    [ "$(wc -c </tmp/data)" -ge $BYTES ]
}

if work && want=$(head -c $BYTES /tmp/data | digest) && found=$(read_back) && [ "$want" = "$found" ]; then
    echo "@@ guest-disk ok $BYTES $found"
else
    echo "@@ guest-disk bad wrote $want, read $found; $(ls /dev | grep -c .) devices, disk $disk: $(cat "/sys/block/$disk/size") sectors"
fi
echo "@@ guest-end ok"
poweroff -f
