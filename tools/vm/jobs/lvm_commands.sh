#!/usr/bin/env bash
# LVM's own commands that docs/recovery.md and its neighbours show, run once, on /dev/vdd. The logs
# are kept in fixtures/recovery: what was typed, what was printed.

export PATH=/job:$PATH
# shellcheck source-path=SCRIPTDIR source=recording.sh
. /job/recording.sh
/lib/systemd/systemd-udevd --daemon
udevadm trigger
udevadm settle
printf '#!/bin/sh\nPYTHONPATH=/job/python exec python3 -m thinmeta "$@"\n' >/usr/local/bin/thinmeta
chmod 755 /usr/local/bin/thinmeta
mkdir -p /out/recovery
mkdir -p /out/.work && cd /out/.work || exit 1 # thin_check reads no file of a tmpfs

note() { printf '\n# %s\n' "$*" >>"$LOG"; }

# Run a command line and keep it in the log, with what it prints and how it ends.
show() { # COMMAND LINE
    local status
    printf '$ %s\n' "$*" >>"$LOG"
    eval "$*" >>"$LOG" 2>&1
    status=$?
    [ $status = 0 ] || echo "(exit $status)" >>"$LOG"
    return $status
}

# A group vg with a pool, in it the volume home with a file.
make_pool() { # LOG-NAME ABOUT [MORE OF lvcreate]
    LOG=/out/recovery/$1.log
    S=/dev/shm # of what is not shown
    say "== $1"
    echo "# $2" >"$LOG"
    rm -f ./*.txt ./*.img ./*.xml
    run "vgchange -an vg"
    run "vgremove -f -y vg"
    wipefs -aq /dev/vdd
    blkdiscard -f /dev/vdd
    show "pvcreate -y /dev/vdd && vgcreate -s 1M vg /dev/vdd"
    show "lvcreate -y -L 256M -T vg/pool -c 64k ${3:---poolmetadatasize 4M}"
    show "lvcreate -y -V 64M -T vg/pool -n home"
    show "mkfs.ext4 -q /dev/vg/home && mount /dev/vg/home /mnt"
    show "awk 'BEGIN { for (i = 0; i < ${BLOCKS:-1024}; i++) printf \"%-4095s\\n\", i }' >/mnt/text; sync"
    show "umount /mnt"
    show "blockdev --flushbufs /dev/vg/home; sha256sum /dev/vg/home"
}

# Where a block of the metadata lies on the disk: for what breaks it.
break_block() { # NUMBER
    local extent
    show "vgchange -an vg"
    run "lvchange -y -ay vg/pool_tmeta"
    extent=$(dmsetup table vg-pool_tmeta | awk '{print $5}')
    run "lvchange -an vg/pool_tmeta"
    note "block $1 of the metadata is overwritten on the disk"
    run "dd if=/dev/urandom of=/dev/vdd bs=512 seek=$((extent + $1 * 8)) count=8 oflag=direct"
}

keep_disk() { # as it is now, nothing on it active; the name of the log, and MORE of it
    local name
    name=$(basename "$LOG" .log)
    vgchange -an vg >/dev/null 2>&1
    sync
    note "the disk as it is now is $name${1:-}.disk.xz"
    dd if=/dev/vdd of="/out/recovery/$name${1:-}.disk.img" bs=1M iflag=direct conv=sparse status=none
}

copy_metadata() { # FILE
    show "lvchange -y -ay vg/pool_tmeta"
    show "dd if=/dev/vg/pool_tmeta of=$1 bs=1M iflag=direct status=none"
    show "lvchange -an vg/pool_tmeta"
}

root_of_device_1() { # in a copy; the tree of devices is a leaf, its first entry device 1
    python3 -c 'import struct, sys
image = open(sys.argv[1], "rb").read()
at = struct.unpack_from("<Q", image, 320)[0] * 4096
print(struct.unpack_from("<Q", image, at + 32 + 8 * struct.unpack_from("<I", image, at + 20)[0])[0])' "$1"
}

activate() {
    show "lvchange -ay vg/pool"
    show "lvchange -ay vg/home && sha256sum /dev/vg/home"
    show "lvs -a -o lv_name,lv_attr,lv_size,pool_lv,thin_id,transaction_id vg"
}

swap_in() { # FILE
    note 'the new metadata goes into a volume of its own, and the two are swapped'
    show "lvcreate -y -L 4M -n fixed vg"
    show "dd if=$1 of=/dev/vg/fixed bs=1M oflag=direct status=none"
    show "lvchange -an vg/fixed"
    show "lvconvert -y --swapmetadata vg/pool --poolmetadata fixed"
}

pool_ahead() {
    make_pool transaction-pool-ahead "The pool is ahead: an older text of LVM was restored"
    show "vgcfgbackup -f older.txt vg"
    show "lvcreate -y -s -n snap vg/home"
    show "vgchange -an vg"
    show "vgcfgrestore --force -f older.txt vg"
    note "LVM refuses"
    show "lvchange -ay vg/pool"
    keep_disk
    copy_metadata tmeta.img
    show "thinmeta info tmeta.img"
    show "thinmeta check tmeta.img --lvm older.txt --lv vg/pool"
    note "the text gets the pool's number"
    show "vgcfgbackup -f vg.txt vg"
    show "grep -n transaction_id vg.txt"
    show "sed -i '/^\\t\\tpool {/,/^\\t\\t}/ s/transaction_id = .*/transaction_id = 2/' vg.txt"
    show "grep -n transaction_id vg.txt"
    show "vgcfgrestore --force -f vg.txt vg"
    activate
    note "the device of snap is still in the pool, without a name: will LVM make another?"
    show "thin_dump /dev/mapper/vg-pool_tmeta | grep -c '<device '"
    show "lvcreate -y -s -n another vg/home"
    show "lvs -a -o lv_name,lv_attr,thin_id,transaction_id vg"
    show "vgchange -an vg"
    show "lvchange -ay vg/pool"
    copy_metadata after.img
    show "thinmeta info after.img"
}

lvm_ahead() { # LOG-NAME SNAPSHOT...
    local snap
    make_pool "transaction-$1" "LVM is ahead: the metadata is older, without what LVM made since"
    shift
    show "vgchange -an vg"
    copy_metadata older.img
    show "lvchange -ay vg/home"
    for snap in "$@"; do show "lvcreate -y -s -n $snap vg/home"; done
    show "vgchange -an vg"
    swap_in older.img
    show "lvremove -y vg/fixed"
    note "does LVM take it?"
    show "lvchange -ay vg/pool"
    show "lvcreate -y -s -n another vg/home"
    keep_disk
    show "thinmeta ls older.img --lvm /dev/vdd --lv vg/pool"
}

lvm_one_ahead() {
    lvm_ahead lvm-one-ahead snap
}

lvm_ahead_text() {
    lvm_ahead lvm-ahead-text snap snap2
    note "the text gets the pool's number, and loses what the pool does not have"
    show "vgcfgbackup -f vg.txt vg"
    show "sed -i -e '/^\\t\\tpool {/,/^\\t\\t}/ s/transaction_id = .*/transaction_id = 1/'" \
        "-e '/^\\t\\tsnap.* {/,/^\\t\\t}/d' vg.txt"
    show "sed -n '/logical_volumes/,\$p' vg.txt"
    show "vgcfgrestore --force -f vg.txt vg"
    activate
    show "lvcreate -y -s -n another vg/home && lvs -a -o lv_name,lv_attr,thin_id,transaction_id vg"
}

lvm_ahead_metadata() {
    lvm_ahead lvm-ahead-metadata snap snap2
    note "the metadata gets LVM's number"
    show "thinmeta dump -o pool.xml older.img"
    show "thinmeta restore -q -i pool.xml -o new.img --transaction-id 3"
    swap_in new.img
    activate
    note "what the pool does not have cannot be activated, and can it be removed?"
    show "lvchange -K -ay vg/snap"
    show "lvremove -y vg/snap vg/snap2"
    show "lvs -a -o lv_name,lv_attr,thin_id,transaction_id vg"
    show "lvcreate -y -s -n another vg/home && lvs -a -o lv_name,lv_attr,thin_id,transaction_id vg"
}

swap_after_repair() {
    make_pool swapmetadata-after-repair "The superblock is overwritten; repair, and LVM's swap"
    break_block 0
    show "lvchange -ay vg/pool"
    copy_metadata tmeta.img
    show "thinmeta repair -q -i tmeta.img -o new.img --lvm /dev/vdd --lv vg/pool"
    swap_in new.img
    activate
}

straight_after_repair() {
    make_pool repair-onto-a-volume "The superblock is overwritten; repair writes to a volume of LVM's"
    break_block 0
    show "lvcreate -y -L 4M -n fixed vg"
    show "lvchange -y -ay vg/pool_tmeta"
    show "vgcfgbackup -f vg.txt vg"
    show "thinmeta repair -q -i /dev/vg/pool_tmeta -o /dev/vg/fixed --lvm vg.txt --lv vg/pool"
    show "lvchange -an vg/pool_tmeta && lvchange -an vg/fixed"
    show "lvconvert -y --thinpool vg/pool --poolmetadata vg/fixed"
    activate
}

full() {
    local snap
    make_pool metadata-full "The metadata is full" "--poolmetadatasize 2M --zero n"
    note "a volume that is written here and there, then its snapshots"
    show "lvcreate -y -V 1G -T vg/pool -n busy"
    for chunk in $(seq 0 2 3800); do
        echo "w /dev/vg/busy $((chunk * 65536)) 4096 busy"
    done >busy.txt
    show "blkw <busy.txt; sync"
    for snap in $(seq 1 56); do run "lvcreate -y -s -n snap$snap vg/busy" || break; done
    for snap in $(seq 1 56); do
        run "lvchange -K -ay vg/snap$snap"
        touch_leaves snap$snap || break
        run "lvchange -an vg/snap$snap"
    done
    dmesg | tail -n 5 >>"$LOG"
    show "lvs -a -o lv_name,lv_attr,data_percent,metadata_percent vg | grep -v snap"
    show "dmsetup status vg-pool-tpool"
    show "vgchange -an vg"
    keep_disk
    copy_metadata tmeta.img
    show "thinmeta info tmeta.img"
    show "thinmeta check tmeta.img"
    show "thin_check tmeta.img"
    note "extended while it is inactive"
    show "lvextend -y --poolmetadatasize +4M vg/pool"
    activate_full
    note "the disk as it was: activated, then extended"
    put_back
    activate_full
    show "lvextend -y --poolmetadatasize +4M vg/pool"
    full_status
    note "the disk as it was: activated, written to until it fails again, then extended"
    put_back
    activate_full
    for snap in $(seq 50 56); do
        run "lvchange -K -ay vg/snap$snap"
        touch_leaves snap$snap || break
    done
    full_status
    show "lvextend -y --poolmetadatasize +4M vg/pool"
    full_status
    show "vgchange -an vg"
    activate_full
}

touch_leaves() { # VOLUME: write so that each leaf of its tree is copied
    local chunk
    for chunk in $(seq 0 240 3800); do
        echo "w /dev/vg/$1 $((chunk * 65536)) 512 $1"
    done >busy.txt
    blkw <busy.txt >/dev/null 2>&1
}

full_status() {
    show "lvs -a -o lv_name,lv_attr,lv_size,data_percent,metadata_percent vg | grep -v snap"
    show "dmsetup status vg-pool-tpool"
}

put_back() {
    vgchange -an vg >/dev/null 2>&1
    dd if=/out/recovery/metadata-full.disk.img of=/dev/vdd bs=1M oflag=direct status=none
}

activate_full() {
    show "lvchange -ay vg/pool"
    show "lvchange -ay vg/home && sha256sum /dev/vg/home"
    run "lvchange -ay vg/busy"
    full_status
}

repair_gone_wrong() {
    BLOCKS=5120 make_pool lvconvert-repair-gone-wrong "lvconvert --repair of metadata in which the root of a volume is lost"
    show "lvcreate -y -V 16M -T vg/pool -n other"
    show "vgchange -an vg"
    copy_metadata tmeta.img
    break_block "$(root_of_device_1 tmeta.img)"
    show "lvchange -ay vg/pool"
    show "lvconvert -y --repair vg/pool"
    show "lvs -a -o lv_name,lv_attr,lv_size,pool_lv,thin_id,transaction_id vg"
    show "lvchange -ay vg/pool"
    show "lvchange -ay vg/home && sha256sum /dev/vg/home"
    show "vgchange -an vg"
    keep_disk
    note "LVM kept what was there before as pool_meta0"
    show "lvchange -ay vg/pool_meta0"
    show "thinmeta check /dev/vg/pool_meta0"
    show "thinmeta repair -q -i /dev/vg/pool_meta0 -o new.img"
    show "lvchange -an vg/pool_meta0"
    swap_in new.img
    activate
}

repair_fails() {
    make_pool lvconvert-repair-fails "lvconvert --repair where the superblock is lost"
    break_block 0
    show "lvconvert -y --repair vg/pool"
    show "lvs -a -o lv_name,lv_attr,lv_size,pool_lv,thin_id,transaction_id vg"
    keep_disk
    copy_metadata tmeta.img
    show "thinmeta repair -q -i tmeta.img -o new.img --lvm /dev/vdd --lv vg/pool"
    swap_in new.img
    activate
}

for wanted in $(cat /job/only 2>/dev/null || echo pool_ahead lvm_one_ahead lvm_ahead_text lvm_ahead_metadata \
    swap_after_repair straight_after_repair full repair_gone_wrong repair_fails); do
    "$wanted"
done
run "vgchange -an vg"
say 'all done'
