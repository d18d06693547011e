#!/usr/bin/env bash
# What `thinmeta undelete` writes is taken by a real kernel and by LVM. In /job/undelete: metadata and
# data of a26-deleted-volumes, and the disks of c05-lvm-two-disks, which go onto /dev/vdd and /dev/vde.

# shellcheck source-path=SCRIPTDIR source=recording.sh
. /job/recording.sh
/lib/systemd/systemd-udevd --daemon
udevadm trigger
udevadm settle
printf '#!/bin/sh\nPYTHONPATH=/job/python exec python3 -m thinmeta "$@"\n' >/usr/local/bin/thinmeta
chmod 755 /usr/local/bin/thinmeta
mkdir -p /out/recovery
S=/dev/shm
mkdir -p /out/.work && cd /out/.work || exit 1 # thin_check reads no file of a tmpfs

note() { printf '\n# %s\n' "$*" >>"$LOG"; }

# Run a command line and keep it in the log, with what it prints and how it ends.
show() { # COMMAND LINE
    local status
    printf '$ %s\n' "$*" >>"$LOG"
    eval "$*" >>"$LOG" 2>&1
    status=$?
    [ $status = 0 ] || echo "(exit $status)" >>"$LOG"
}

volume() { # ID: of 24 MiB
    show "dmsetup create t$1 --table '0 49152 thin /dev/mapper/pool $1' && sha256sum /dev/mapper/t$1"
}

with_dmsetup() {
    LOG=/out/recovery/undelete-dmsetup.log
    echo "# Deleted devices brought back: dmsetup, the pool of a26-deleted-volumes" >"$LOG"
    cp --sparse=always /job/undelete/{tmeta,tdata}.img .
    show "thinmeta undelete 3@63:66 4@63:66 -p tmeta.img -o new.img"
    show "thin_check new.img && /job/pdata_tools thin_check new.img"
    show "losetup /dev/loop0 new.img && losetup /dev/loop1 tdata.img"
    show "dmsetup create pool --table '0 131072 thin-pool /dev/loop0 /dev/loop1 128 0 0'"
    for id in 11 4 1 2 3 6 7 8 9 10; do volume $id; done
    note "what is written to a device that came back is not in those that share its blocks, nor the other way round"
    show "dd if=/dev/urandom of=/dev/mapper/t11 bs=1M count=1 seek=3 oflag=direct status=none"
    show "dd if=/dev/urandom of=/dev/mapper/t4 bs=1M count=1 oflag=direct status=none"
    show "sha256sum /dev/mapper/t6 /dev/mapper/t1"
    show "dmsetup message pool 0 'create_snap 20 11' && dmsetup message pool 0 'delete 4'"
    show "dmsetup status pool"
    dmsetup remove t4
    show "dmsetup message pool 0 'delete 4'"
    for id in 11 1 2 3 6 7 8 9 10; do dmsetup remove t$id; done
    show "dmsetup remove pool && losetup -d /dev/loop0"
    show "thin_check new.img && /job/pdata_tools thin_check new.img"
    note "one of which others have taken blocks"
    show "thinmeta undelete 5@63:66 -p tmeta.img -o new5.img"
    show "thin_check new5.img"
    note "a former state of a device that is there, beside it"
    show "thinmeta undelete 1@63:66 -p tmeta.img -o new1.img"
    cp --sparse=always /job/undelete/tdata.img tdata1.img
    losetup -D
    show "losetup /dev/loop0 new1.img && losetup /dev/loop1 tdata1.img"
    show "dmsetup create pool --table '0 131072 thin-pool /dev/loop0 /dev/loop1 128 0 0'"
    for id in 1 11; do volume $id; done
    show "dd if=/dev/urandom of=/dev/mapper/t1 bs=1M count=1 oflag=direct status=none; sha256sum /dev/mapper/t11"
    show "sha256sum /dev/mapper/t1"
    show "dd if=/dev/urandom of=/dev/mapper/t11 bs=1M count=1 seek=2 oflag=direct status=none; sha256sum /dev/mapper/t1"
    show "dmsetup remove t1 && dmsetup remove t11 && dmsetup remove pool && losetup -D"
    show "thin_check new1.img"
    say 'dmsetup done'
}

with_lvm() {
    LOG=/out/recovery/undelete-lvm.log
    echo "# A volume that lvremove took is brought back: the disks of c05-lvm-two-disks" >"$LOG"
    dd if=/job/undelete/pv-vdd.img of=/dev/vdd bs=1M oflag=direct conv=sparse status=none
    dd if=/job/undelete/pv-vde.img of=/dev/vde bs=1M oflag=direct conv=sparse status=none
    show "pvscan --cache && lvs -a -o lv_name,lv_attr,pool_lv,thin_id,transaction_id vgtwo"
    show "thinmeta deleted --lvm /dev/vdd --lvm /dev/vde --lv vgtwo/pool"
    show "thinmeta undelete old --lvm /dev/vdd --lvm /dev/vde --lv vgtwo/pool -o new.img >printed.txt"
    show "cat printed.txt"
    show "sed -n '/^\t\told {/,\$p' printed.txt >section.txt"
    show "lvcreate -y -L 8M -n fixed vgtwo && dd if=new.img of=/dev/vgtwo/fixed bs=1M oflag=direct status=none"
    show "lvchange -an vgtwo/fixed"
    show "lvconvert -y --thinpool vgtwo/pool --poolmetadata vgtwo/fixed"
    show "vgcfgbackup -f vg.txt vgtwo"
    show "sed -i '/logical_volumes {/r section.txt' vg.txt"
    show "vgcfgrestore --force -f vg.txt vgtwo"
    show "lvchange -ay vgtwo/pool && lvchange -ay vgtwo/old vgtwo/web vgtwo/db && lvchange -K -ay vgtwo/web_snap"
    show "sha256sum /dev/vgtwo/old /dev/vgtwo/web /dev/vgtwo/db /dev/vgtwo/web_snap"
    show "mount /dev/vgtwo/old /mnt && cat /mnt/o1/name.txt && umount /mnt"
    show "lvs -a -o lv_name,lv_attr,pool_lv,thin_id,transaction_id vgtwo"
    show "lvcreate -y -s -n old_snap vgtwo/old && lvremove -y vgtwo/old && lvs -o lv_name,lv_attr,thin_id vgtwo"
    show "vgchange -an vgtwo"
    show "lvchange -y -ay vgtwo/pool_tmeta && thin_check /dev/vgtwo/pool_tmeta"
    show "vgchange -an vgtwo"
}

for wanted in $(cat /job/only 2>/dev/null || echo with_dmsetup with_lvm); do
    rm -f ./*
    "$wanted"
done
say 'all done'
