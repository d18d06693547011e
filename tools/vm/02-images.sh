#!/usr/bin/env bash
# Make what the machine boots from: the kernel, an initramfs with busybox and the virtio
# modules, and root.img (ext4) out of the root tree.
set -euo pipefail

W=${W:-$PWD/vm-work}
root=$W/root
initramfs=$W/initrd

kernel=$(cd "$root/lib/modules" && printf '%s\n' * | head -1)
cp "$root/boot/vmlinuz-$kernel" "$W/vmlinuz"

rm -rf "$initramfs"
mkdir -p "$initramfs"/{bin,mods,proc,sys,dev,newroot}
cp "$root/bin/busybox" "$initramfs/bin/"
: >"$initramfs/mods/order"
for module in virtio_pci virtio_blk; do
    chroot "$root" modprobe -S "$kernel" --show-depends "$module" |
        awk '/^insmod/{print $2}' |
        while read -r path; do
            name=$(basename "$path")
            if [ -e "$initramfs/mods/$name" ]; then continue; fi
            cp "$root$path" "$initramfs/mods/"
            echo "$name" >>"$initramfs/mods/order"
        done
done
cat >"$initramfs/init" <<'E'
#!/bin/busybox sh
B=/bin/busybox
$B mount -t proc proc /proc
$B mount -t sysfs sysfs /sys
$B mount -t devtmpfs dev /dev
while read module; do $B insmod "/mods/$module"; done </mods/order
for i in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/vda ] && break; $B usleep 100000; done
if ! $B mount -t ext4 -o noatime /dev/vda /newroot; then
    echo NOROOT
    $B poweroff -f
fi
$B mount --move /dev /newroot/dev
$B umount /sys
$B umount /proc
exec $B switch_root /newroot /sbin/vminit
E
chmod 755 "$initramfs/init"
(cd "$initramfs" && find . | cpio -o -H newc --quiet | gzip -1) >"$W/initrd.gz"

# The machine has no init system: it runs the job and switches itself off. Disks: vda the
# root, vdb the output, vdc a tar of the job, vdd and later the job's own.
cat >"$root/sbin/vminit" <<'E'
#!/bin/bash
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root LC_ALL=C
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mkdir -p /dev/pts /dev/shm /run
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/lvm
mount -t tmpfs tmpfs /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
hostname thinvm
dmesg -n 4
for m in loop dm_mod dm-thin-pool dm-snapshot dm-flakey dm-zero xfs; do modprobe $m; done
mkdir -p /out /job
mount -t ext4 -o noatime /dev/vdb /out
tar -C /job -xf /dev/vdc
echo "VMINIT $(cut -d' ' -f1 /proc/uptime)s up"
cd /job
bash /job/run.sh
rc=$?
echo "JOB EXIT $rc at $(cut -d' ' -f1 /proc/uptime)s"
cd /
sync
umount /out || {
    fuser -vm /out
    mount -o remount,ro /out
}
sync
echo 1 >/proc/sys/kernel/sysrq
/bin/busybox poweroff -f
E
chmod 755 "$root/sbin/vminit"

rm -f "$W/root.img"
truncate -s 3G "$W/root.img"
mke2fs -q -t ext4 -O ^has_journal -E lazy_itable_init=1 -d "$root" "$W/root.img"
ls -lash "$W/root.img" "$W/initrd.gz"
