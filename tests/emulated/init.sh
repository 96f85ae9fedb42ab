#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# The first process of an emulated machine: mounts what the host shares over 9p and runs tests.emulated.inside.
# Of the host's files nothing can be written but the job folder; what else is written goes to memory. Byte code is
# beside its source, and is found only where no other place is set.
busybox=/bin/busybox
$busybox mkdir -p /proc /sys /dev /lower /lower-checkout /upper /root
$busybox mount -t proc proc /proc
$busybox mount -t sysfs sysfs /sys
$busybox mount -t devtmpfs devtmpfs /dev
for module in $($busybox cat /modules/order); do
	$busybox insmod "/modules/$module.ko" || echo "init: module $module cannot be loaded"
done

share() {
	$busybox mount -t 9p -o "trans=virtio,version=9p2000.L,msize=500000,$3" "$1" "$2"
}
cover() {
	$busybox mkdir -p "/upper/$2" "/upper/$2-work"
	$busybox mount -t overlay -o "lowerdir=$1,upperdir=/upper/$2,workdir=/upper/$2-work" overlay "$3"
}
share root /lower ro,cache=loose
share checkout /lower-checkout ro,cache=loose
$busybox mount -t tmpfs tmpfs /upper
cover /lower root /root
$busybox mkdir -p /root/proc /root/sys /root/dev /root/tmp /root/checkout /root/job /root/emulated
$busybox cp -r /modules /bin/busybox /root/emulated
cover /lower-checkout checkout /root/checkout
share job /root/job rw,cache=none
$busybox mount -t proc proc /root/proc
$busybox mount -t sysfs sysfs /root/sys
$busybox mount -t tracefs tracefs /root/sys/kernel/tracing
$busybox mount -t debugfs debugfs /root/sys/kernel/debug
$busybox mount -t securityfs securityfs /root/sys/kernel/security
$busybox mount -t bpf -o mode=700 bpf /root/sys/fs/bpf
$busybox mount --bind /dev /root/dev

# The addresses of QEMU's user networking: the host is 10.0.2.2.
$busybox ip link set lo up
$busybox ip link set eth0 up
$busybox ip address add 10.0.2.15/24 dev eth0
$busybox ip route add default via 10.0.2.2

$busybox env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root PYTHONPATH=/checkout \
	$busybox chroot /root "$($busybox cat /python)" -m tests.emulated.inside
$busybox poweroff -f
