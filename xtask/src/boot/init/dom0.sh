#!/bin/sh
# The first program of a dom0. Sets up what Xen's tools need, says of each thing whether it is well (`@@ NAME ok|bad TEXT`), and goes on
# as the kernel's command line says: `until=prompt` or `until=guest`.

export PATH=/usr/sbin:/usr/bin
/usr/bin/busybox --install -s /usr/bin 2>/dev/null
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
# Locks of the hotplug scripts look at /dev/stdin.
ln -sf /proc/self/fd /dev/fd
ln -sf /proc/self/fd/0 /dev/stdin
ln -sf /proc/self/fd/1 /dev/stdout
ln -sf /proc/self/fd/2 /dev/stderr
rm -rf /var/run /var/lock
ln -s /run /var/run
ln -s /run/lock /var/lock
mkdir -p /run/lock /run/xen /run/xenstored /run/xen-hotplug /var/lib/xenstored /var/lib/xen /var/lib/xen/dump /var/log/xen/console
# There is nothing to be loaded that was not loaded here.
ln -sf /bin/true /usr/sbin/modprobe
. /etc/path
export PATH

say() {
    echo "@@ $1 $2 $(echo $3)" | tee -a /tmp/said
}

# check NAME COMMAND...: what it prints becomes the text.
check() {
    what=$1
    shift
    if text=$("$@" 2>&1); then say "$what" ok "$text"; else say "$what" bad "$text"; fi
}

load_modules() {
    failed=0
    while read -r module; do insmod "$module" || failed=1; done </modules/order
    mount -t xenfs xenfs /proc/xen || failed=1
    return $failed
}

has_devices() {
    failed=0
    for device in evtchn gntdev gntalloc privcmd xenbus xenbus_backend; do
        [ -c /dev/xen/$device ] || { echo "no /dev/xen/$device"; failed=1; }
    done
    return $failed
}

# tries SECONDS COMMAND...
tries() {
    left=$1
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$left" -gt 0 ] || { "$@"; return 1; }
        left=$((left - 1))
        sleep 1
    done
}

start_xenstored() {
    xenstored --pid-file=/run/xen/xenstored.pid >/var/log/xen/xenstored.log 2>&1 </dev/null &&
        tries 60 xenstore-list / || { cat /var/log/xen/xenstored.log; return 1; }
    xen-init-dom0
}

start_xenconsoled() {
    xenconsoled --log=guest --log-dir=/var/log/xen/console --pid-file=/run/xen/xenconsoled.pid </dev/null &&
        tries 60 test -s /run/xen/xenconsoled.pid
}

xl_info() {
    xl info >/tmp/info || return 1
    sed -n 's/^\(xen_version\|release\|virt_caps\) *: /\1 /p' /tmp/info
    xl list | grep -q '^Domain-0 '
}

create() {
    dd if=/dev/zero of=/tmp/disk.img bs=1M count=16 2>/dev/null
    timeout 100 xl create /guest/config
}

guest_log() {
    cat /var/log/xen/console/guest-test.log
}

guest_ended() {
    guest_log | grep -q '^@@ guest-end'
}

guest_disk() {
    tries 150 guest_ended
    guest_log | tr -d '\r' | sed -n 's/^@@ guest-disk //p' >/tmp/guest-disk
    cat /tmp/guest-disk
    grep -q '^ok ' /tmp/guest-disk && return
    guest_log | tail -n 20
    return 1
}

# The bytes that the guest says it wrote are those in the image.
disk_image() {
    sync
    set -- $(cat /tmp/guest-disk)
    found=$(head -c "$2" /tmp/disk.img | sha256sum | cut -d ' ' -f 1)
    echo "$found"
    [ "$found" = "$3" ]
}

has_one_domain() {
    [ "$(xl list | grep -c '^[^N]')" = 1 ] && xl list | grep -q '^Domain-0 '
}

destroy() {
    timeout 60 xl destroy test && tries 30 has_one_domain
}

nothing_left_now() {
    for kind in $(xenstore-list /local/domain/0/backend 2>/dev/null); do
        [ -z "$(xenstore-list /local/domain/0/backend/$kind 2>/dev/null)" ] || { echo "backend $kind"; return 1; }
    done
    [ "$(xenstore-list /local/domain)" = 0 ] || { echo "domains $(xenstore-list /local/domain)"; return 1; }
    [ -z "$(losetup -a)" ] || { losetup -a; return 1; }
}

xl_dmesg() {
    xl dmesg >/tmp/dmesg || return 1
    grep -E 'Panic|BUG|Assertion|FATAL|Xen WARN|[Cc]all [Tt]race' /tmp/dmesg && return 1
    echo "$(wc -l </tmp/dmesg) lines"
}

dom0_dmesg() {
    dmesg | grep -E 'Oops|BUG: unable|kernel BUG|general protection|WARNING: CPU' && return 1
    echo "$(dmesg | wc -l) lines"
}

check dom0-modules load_modules
check dom0-devices has_devices
check xenstored start_xenstored
check xenconsoled start_xenconsoled
check xl-info xl_info
# Once more: a line of the hypervisor may have come into one of ours.
cat /tmp/said
if [ "$until" = prompt ]; then
    cd /root
    PS1='dom0# ' exec sh -i </dev/hvc0 >/dev/hvc0 2>&1
fi
check guest-created create
check guest-disk guest_disk
check disk-image disk_image
check guest-destroyed destroy
check nothing-left tries 30 nothing_left_now
check xl-dmesg xl_dmesg
check dom0-dmesg dom0_dmesg
cat /tmp/said
poweroff -f
