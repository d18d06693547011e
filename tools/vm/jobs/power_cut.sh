#!/usr/bin/env bash
# A pool with an ext4 and an XFS that are written to until the host cuts the power; then, in a
# second machine over copies of its disks, what the kernel makes of it: the truth.
# /dev/vdd is the pool's data, /dev/vde its metadata.

# shellcheck source-path=SCRIPTDIR source=recording.sh
. /job/recording.sh

export DM_DISABLE_UDEV=1

KINDS='ext4 xfs'
ID_OF_ext4=1 ID_OF_xfs=2
SECTORS=655360 # 320 MiB: XFS wants 300

activate() {
    run "dmsetup create pool --table '0 $(blockdev --getsz /dev/vdd) thin-pool /dev/vde /dev/vdd 128 0'"
}

volume() { # KIND
    local id=ID_OF_$1
    run "dmsetup create $1 --table '0 $SECTORS thin /dev/mapper/pool ${!id}'"
}

# Everything that a journal has to keep right, some of it synced and some not.
write_on() { # MOUNT-POINT
    local i=0 d
    mkdir "$1/kept" "$1/gone"
    echo synced >"$1/kept/first"
    sync
    while true; do
        i=$((i + 1))
        d=$1/kept/d$((i % 17))
        mkdir -p "$d"
        echo "content $i" >"$d/f$i"
        seq "$i" $((i + 400)) >"$d/long$i"
        ln "$d/f$i" "$1/gone/link$i"
        ln -s "../f$i" "$d/symlink$i"
        mkfifo "$d/fifo$i"
        setfattr -n user.count -v "$i" "$d/f$i"
        chmod $((600 + i % 7)) "$d/f$i"
        [ $((i % 3)) = 0 ] && mv "$d/long$i" "$1/kept/moved$i"
        [ $((i % 4)) = 0 ] && rm -f "$1/kept/moved$((i - 9))" "$1/gone/link$((i - 5))"
        [ $((i % 50)) = 0 ] && truncate -s $((i * 1000)) "$d/f$i"
        [ $((i % 12)) = 0 ] && sync "$d/f$i"
        [ $((i % 60)) = 0 ] && sleep 0.1
    done
}

until_the_power_is_cut() {
    local kind
    S=/out/power-cut-ext4-xfs-64k
    mkdir -p $S
    echo "a pool by dmsetup (64k blocks) with an ext4 and an XFS, in a machine whose power was" \
        "cut while both were written to" >$S/about.txt
    : >$S/commands.sh
    activate
    for kind in $KINDS; do
        local id=ID_OF_$kind
        run "dmsetup message /dev/mapper/pool 0 'create_thin ${!id}'"
        volume "$kind"
    done
    run "mkfs.ext4 -q -J size=4 /dev/mapper/ext4"
    run "mkfs.xfs -q /dev/mapper/xfs"
    for kind in $KINDS; do
        mkdir -p /mnt/"$kind"
        run "mount /dev/mapper/$kind /mnt/$kind"
    done
    echo "power cut (host kills the VM) while files are written to both" >>$S/commands.sh
    sync
    mount -o remount,ro /out
    for kind in $KINDS; do write_on /mnt/"$kind" & done
    say CRASHNOW
    sleep 600
}

# Mounting replays the journal; the list of each is then what a reader has to find.
after_it() {
    local kind id
    S=/out/power-cut-ext4-xfs-64k
    mkdir -p $S/truth/devs
    activate
    for kind in $KINDS; do
        id=ID_OF_$kind
        volume "$kind"
        dd if="/dev/mapper/$kind" of="$S/truth/devs/${!id}.img" bs=1M iflag=direct conv=sparse \
            2>/dev/null
        echo "${!id} $((SECTORS * 512)) $kind" >>$S/truth/ids.txt
        mkdir -p /mnt/"$kind"
        run "mount -o noatime /dev/mapper/$kind /mnt/$kind"
        list_files /mnt/"$kind" "$S/truth/${!id}"
        run "umount /mnt/$kind"
    done
    run "e2fsck -fn /dev/mapper/ext4"
    run "xfs_repair -n /dev/mapper/xfs"
    dmesg | grep -iE 'ext4|xfs|recover' >"$S/truth/dmesg.txt"
}

if [ -e /job/after ]; then after_it; else until_the_power_is_cut; fi
