#!/usr/bin/env bash
# LVM thin pools on the raw disks /dev/vdd and /dev/vde, which are kept as PV images.

export PATH=/job:$PATH
# shellcheck source-path=SCRIPTDIR source=recording.sh
. /job/recording.sh
/lib/systemd/systemd-udevd --daemon
udevadm trigger
udevadm settle

# What `lvs` is asked to tell of every volume.
FIELDS=lv_name,lv_size,pool_lv,origin,thin_id,transaction_id,chunksize,zero,discards
FIELDS+=,data_percent,metadata_percent

case_of() { # NAME ABOUT
    S=/out/$1
    mkdir -p "$S"
    say "== ${1%%-*}"
    echo "$2" >"$S/about.txt"
}

# Put some files on a volume.
fill() { # LV TAG [BLOCKS]
    run "mount /dev/$VG/$1 /mnt"
    run "mkdir -p /mnt/d; echo $2 > /mnt/d/$2.txt;" \
        "dd if=/dev/urandom of=/mnt/d/$2.bin bs=64k count=${3:-10}; sync"
    run "umount /mnt"
}

# Copy a pool's hidden volumes, which LVM activates one by one once the pool is inactive.
copy_components() { # POOL OUT
    local name=${VG//-/--}-${1//-/--}
    mkdir -p "$2"
    run "lvchange -y -ay $VG/${1}_tmeta"
    run "lvchange -y -ay $VG/${1}_tdata"
    run "dd if=/dev/mapper/${name}_tmeta of=$2/meta.img bs=1M iflag=direct conv=sparse"
    run "dd if=/dev/mapper/${name}_tdata of=$2/data.img bs=1M iflag=direct conv=sparse"
    dmsetup table >"$2/dmsetup-table-components.txt"
    run "lvchange -an $VG/${1}_tmeta"
    run "lvchange -an $VG/${1}_tdata"
}

# Read thin volumes through the kernel, and list the files of those that hold ext4.
truth() { # OUT LV...
    local out=$1 lv id
    shift
    mkdir -p "$out/truth/devs"
    for lv in "$@"; do
        run "lvchange -K -ay $VG/$lv"
        id=$(lvs --noheadings -o thin_id "$VG/$lv" | tr -d ' ')
        dd if="/dev/$VG/$lv" of="$out/truth/devs/$id.img" bs=1M iflag=direct conv=sparse \
            2>/dev/null
        echo "$id $(blockdev --getsize64 "/dev/$VG/$lv") $lv" >>"$out/truth/ids.txt"
        if mount -t ext4 -o loop,ro,noload "$out/truth/devs/$id.img" /mnt 2>/dev/null; then
            list_files /mnt "$out/truth/$id"
            umount /mnt
        fi
        run "lvchange -an $VG/$lv"
    done
}

describe() { # EXTRA-FIELDS
    sync
    lvs -a -o "$FIELDS,$1" --units b >"$S/lvs.txt" 2>&1
    dmsetup table >"$S/dmsetup-table-live.txt"
    dmsetup status >"$S/dmsetup-status-live.txt"
}

c01() {
    VG=vgthin
    case_of c01-lvm-thin-one-pv "LVM thin pool (64k chunks) on one PV: thin LVs root, home,\
 a snapshot, a snapshot of a snapshot, a renamed LV, a removed LV, an unused LV; pool\
 metadata and data extended, so that both have two segments; a second pool with 256k\
 chunks; tags"
    run pvcreate -y /dev/vdd
    run vgcreate $VG /dev/vdd
    run "lvcreate -y -L 256M -T $VG/pool0 -c 64k --poolmetadatasize 4M"
    run "lvcreate -y -V 128M -T $VG/pool0 -n root"
    run "lvcreate -y -V 200M -T $VG/pool0 -n home --addtag backup"
    run "mkfs.ext4 -q /dev/$VG/root"
    run "mkfs.ext4 -q /dev/$VG/home"
    fill root r1
    fill home h1
    run "lvcreate -y -s -n home_snap1 $VG/home"
    fill home h2
    run "lvcreate -y -s -n home-snap2 $VG/home"
    run "lvchange -K -ay $VG/home-snap2"
    fill home-snap2 s2
    run "lvcreate -y -s -n home_snap3 $VG/home-snap2"
    run "lvcreate -y -V 50M -T $VG/pool0 -n junk"
    run "mkfs.ext4 -q /dev/$VG/junk"
    run "lvremove -y $VG/junk"
    run "lvcreate -y -V 1T -T $VG/pool0 -n huge_unused"
    run "lvcreate -y -V 64M -T $VG/pool0 -n oldname"
    run "lvrename $VG oldname newname"
    run "lvcreate -y -L 100M -T $VG/pool-b -c 256k --poolmetadatasize 2M --zero n"
    run "lvcreate -y -V 80M -T $VG/pool-b -n bvol"
    run "mkfs.ext4 -q /dev/$VG/bvol"
    fill bvol b1
    run "lvextend --poolmetadatasize +8M $VG/pool0"
    run "lvextend -L +128M $VG/pool0"
    fill home h3 40
    fill root r2 40
    describe lv_uuid,lv_tags
    dmsetup ls --tree >"$S/dmsetup-tree.txt" 2>&1
    lvs -a --reportformat json -o +thin_id,transaction_id,seg_pe_ranges,devices \
        >"$S/lvs.json" 2>/dev/null
    run "vgcfgbackup -f $S/vgcfgbackup.txt $VG"
    run "vgchange -an $VG"
    copy_components pool0 "$S"
    copy_components pool-b "$S/pool-b"
    truth "$S" root home home_snap1 home-snap2 home_snap3 newname
    truth "$S/pool-b" bvol
    run "vgchange -an $VG"
    sync
    dd if=/dev/vdd of="$S/pv.img" bs=1M iflag=direct conv=sparse 2>/dev/null
}

c02() {
    VG=vg-two
    case_of c02-lvm-thin-striped-two-pvs "VG vg-two over two PVs, tdata striped -i2 (64 KiB\
 stripes), 128k chunks, tmeta on the second PV, external origin (a read-only plain LV), thin\
 snapshot names with dashes"
    run "vgremove -f -y vgthin"
    run "wipefs -aq /dev/vdd"
    run "blkdiscard -f /dev/vdd"
    run pvcreate -y /dev/vdd /dev/vde
    run vgcreate $VG /dev/vdd /dev/vde
    run "lvcreate -y -i2 -I64k -L 256M -n tp-data $VG"
    run "lvcreate -y -L 4M -n tp-meta $VG /dev/vde"
    run "lvconvert -y --thinpool $VG/tp-data --poolmetadata $VG/tp-meta -c 128k"
    run "lvcreate -y -L 48M -n plain $VG"
    run "mkfs.ext4 -q /dev/$VG/plain"
    fill plain p0
    run "lvchange -an $VG/plain"
    run "lvchange -pr $VG/plain"
    run "lvcreate -y -s --thinpool $VG/tp-data -n ext-snap $VG/plain"
    run "lvchange -K -ay $VG/ext-snap"
    fill ext-snap e1
    run "lvcreate -y -V 100M -T $VG/tp-data -n vol-a"
    run "mkfs.ext4 -q /dev/$VG/vol-a"
    fill vol-a a1
    run "lvcreate -y -s -n vol-a-snap $VG/vol-a"
    fill vol-a a2
    describe lv_uuid,devices
    run "vgcfgbackup -f $S/vgcfgbackup.txt $VG"
    run "vgchange -an $VG"
    copy_components tp-data "$S"
    truth "$S" ext-snap vol-a vol-a-snap
    run "vgchange -an $VG"
    sync
    local disk
    for disk in vdd vde; do
        dd if=/dev/$disk of="$S/pv-$disk.img" bs=1M iflag=direct conv=sparse 2>/dev/null
    done
}

c03() {
    VG=vgundo
    case_of c03-lvm-removed-volume "LVM thin pool with ext4 in thin LVs keep, gone and gone_snap,\
 in the folder before; then lvremove of gone, and copies right after"
    run "vgremove -f -y vg-two"
    run "wipefs -aq /dev/vdd /dev/vde"
    run "blkdiscard -f /dev/vdd"
    run pvcreate -y /dev/vdd
    run vgcreate $VG /dev/vdd
    run "lvcreate -y -L 64M -T $VG/pool -c 64k --poolmetadatasize 4M"
    local volume
    for volume in keep gone; do
        run "lvcreate -y -V 32M -T $VG/pool -n $volume"
        run "mkfs.ext4 -q /dev/$VG/$volume"
        fill $volume $volume
    done
    run "lvcreate -y -s -n gone_snap $VG/gone"
    fill gone later
    describe lv_uuid
    run "vgcfgbackup -f $S/vgcfgbackup-before.txt $VG"
    run "vgchange -an $VG"
    copy_components pool "$S/before"
    truth "$S/before" keep gone gone_snap
    run "lvremove -y $VG/gone"
    run "vgcfgbackup -f $S/vgcfgbackup.txt $VG"
    run "vgchange -an $VG"
    copy_components pool "$S"
    truth "$S" keep gone_snap
    run "vgchange -an $VG"
    sync
    dd if=/dev/vdd of="$S/pv.img" bs=1M iflag=direct conv=sparse 2>/dev/null
    run "vgremove -f -y $VG"
}

# Volumes as virtual machines have them: a partition table, and a volume group of its own.
c04() {
    VG=vghost
    local vm inner part loop pv
    case_of c04-lvm-virtual-machines "LVM thin pool (64k chunks) with the disks of virtual\
 machines: gpt (two ext4 partitions, and one that is LVM's), mbr (ext4 in a primary and in a\
 logical partition), whole (LVM on the whole disk, a volume in two pieces), xfsroot (GPT, XFS)"
    run "wipefs -aq /dev/vdd /dev/vde"
    run "blkdiscard -f /dev/vdd"
    run pvcreate -y /dev/vdd
    run vgcreate $VG /dev/vdd
    run "lvcreate -y -L 256M -T $VG/pool -c 64k --poolmetadatasize 4M"
    for vm in gpt:192M mbr:64M whole:64M xfsroot:400M; do
        run "lvcreate -y -V ${vm#*:} -T $VG/pool -n ${vm%:*}"
    done
    run "printf 'label: gpt\nsize=32M, name=boot\nsize=64M, name=data\ntype=lvm, name=lvm\n' |" \
        "sfdisk -q /dev/$VG/gpt"
    run "printf 'label: dos\nsize=16M, type=83, bootable\ntype=5\nsize=16M, type=83\n' |" \
        "sfdisk -q /dev/$VG/mbr"
    run "printf 'label: gpt\nsize=1M\nname=root\n' | sfdisk -q /dev/$VG/xfsroot"
    mkdir -p "$S/truth"
    for part in gpt:1 gpt:2 mbr:1 mbr:5 xfsroot:2; do
        vm=${part%:*} part=${part#*:}
        loop=$(losetup -fP --show "/dev/$VG/$vm")
        udevadm settle
        if [ "$vm" = xfsroot ]; then
            run "mkfs.xfs -q -L $vm ${loop}p$part"
        else
            run "mkfs.ext4 -q -L $vm$part ${loop}p$part"
        fi
        run "mount ${loop}p$part /mnt"
        run "mkdir -p /mnt/etc; echo $vm$part > /mnt/etc/hostname; sync"
        list_files /mnt "$S/truth/$vm-p$part"
        run "umount /mnt"
        losetup -d "$loop"
    done
    for inner in gpt:3 whole:0; do
        vm=${inner%:*} part=${inner#*:}
        loop=$(losetup -fP --show "/dev/$VG/$vm")
        udevadm settle
        pv=$loop
        [ "$part" = 0 ] || pv=${loop}p$part
        run "pvcreate -y $pv"
        run "vgcreate vg$vm $pv"
        run "lvcreate -y -L 24M -n root vg$vm"
        run "lvcreate -y -L 8M -n swap vg$vm"
        run "lvextend -L +8M vg$vm/root"
        run "mkfs.ext4 -q /dev/vg$vm/root"
        run "mkswap /dev/vg$vm/swap"
        run "mount /dev/vg$vm/root /mnt"
        run "mkdir -p /mnt/etc; echo inside-$vm > /mnt/etc/hostname; sync"
        list_files /mnt "$S/truth/$vm-inside-root"
        run "umount /mnt"
        run "vgcfgbackup -f $S/truth/vg$vm.txt vg$vm"
        run "vgchange -an vg$vm"
        losetup -d "$loop"
    done
    describe lv_uuid
    run "vgcfgbackup -f $S/vgcfgbackup.txt $VG"
    run "vgchange -an $VG"
    copy_components pool "$S"
    truth "$S" gpt mbr whole xfsroot
    run "vgchange -an $VG"
    sync
}

# ---- pools over two disks; small, since whole disks are kept

# Put text on a volume, of which every 4 KiB tell where they belong; it packs well.
fill_with_text() { # LV TAG MIB
    run "mount /dev/$VG/$1 /mnt"
    run "mkdir -p /mnt/$2; echo $2 > /mnt/$2/name.txt;" \
        "awk 'BEGIN { for (i = 0; i < $3 * 256; i++) printf \"%-4095s\\n\", \"$2 \" i }' > /mnt/$2/text.txt; sync"
    run "umount /mnt"
}

copy_disks() { # whole, as they are after all was deactivated
    sync
    local disk
    for disk in vdd vde; do
        run "dd if=/dev/$disk of=$S/pv-$disk.img bs=1M iflag=direct conv=sparse"
    done
}

new_group() { # GROUP
    VG=$1
    vgremove -f -y "${LAST:-none}" >/dev/null 2>&1
    LAST=$VG
    run "wipefs -aq /dev/vdd /dev/vde"
    run "blkdiscard -f /dev/vdd; blkdiscard -f /dev/vde"
    run "pvcreate -y /dev/vdd /dev/vde"
    run "vgcreate $VG /dev/vdd /dev/vde"
}

c05() {
    case_of c05-lvm-two-disks "LVM thin pool (64k chunks) with data and metadata on both of two\
 PVs: thin LVs web, db, a snapshot of web, and old, which lvremove took (truth-before is from before\
 that); a second pool, striped, with one volume"
    new_group vgtwo
    run "lvcreate -y -L 40M -T $VG/pool -c 64k --poolmetadatasize 4M /dev/vdd"
    run "lvcreate -y -V 48M -T $VG/pool -n web"
    run "mkfs.ext4 -q /dev/$VG/web"
    fill_with_text web w1 8
    run "lvcreate -y -V 32M -T $VG/pool -n old"
    run "mkfs.ext4 -q /dev/$VG/old"
    fill_with_text old o1 6
    run "lvextend -L +40M $VG/pool /dev/vde"
    run "lvextend --poolmetadatasize +4M $VG/pool /dev/vde"
    run "lvcreate -y -s -n web_snap $VG/web"
    run "lvcreate -y -V 48M -T $VG/pool -n db"
    run "mkfs.ext4 -q /dev/$VG/db"
    fill_with_text db d1 20
    fill_with_text web w2 6
    run "lvcreate -y -i2 -I64k -L 16M -n stripes $VG"
    run "lvcreate -y -L 4M -n stripes_meta $VG /dev/vde"
    run "lvconvert -y --thinpool $VG/stripes --poolmetadata $VG/stripes_meta -c 64k"
    run "lvcreate -y -V 16M -T $VG/stripes -n thin_on_stripes"
    run "mkfs.ext4 -q /dev/$VG/thin_on_stripes"
    fill_with_text thin_on_stripes s1 3
    run "vgcfgbackup -f $S/vgcfgbackup-before.txt $VG"
    run "vgchange -an $VG"
    truth "$S/before" web old web_snap db
    mv "$S/before/truth" "$S/truth-before"
    rm -r "$S/before"
    run "lvremove -y $VG/old"
    run "lvchange -ay $VG/web $VG/db"
    describe lv_uuid,devices
    run "vgcfgbackup -f $S/vgcfgbackup.txt $VG"
    run "vgchange -an $VG"
    copy_disks
    copy_components pool "$S"
    truth "$S" web web_snap db
    truth "$S/stripes" thin_on_stripes
    run "vgchange -an $VG"
}

c06() {
    case_of c06-lvm-raid1 "LVM thin pool (64k chunks) of which data and metadata are raid1 over two\
 PVs: thin LVs one, and a snapshot of it"
    new_group vgraid
    run "lvcreate -y --type raid1 -m1 -L 48M -n pool $VG"
    run "lvcreate -y --type raid1 -m1 -L 4M -n pool_metadata $VG"
    for _ in {1..120}; do
        [ "$(lvs --noheadings -o sync_percent $VG/pool | tr -d ' ')" = 100.00 ] && break
        sleep 1
    done
    run "lvs -o lv_name,sync_percent $VG"
    run "lvconvert -y --thinpool $VG/pool --poolmetadata $VG/pool_metadata -c 64k"
    run "lvcreate -y -V 40M -T $VG/pool -n one"
    run "mkfs.ext4 -q /dev/$VG/one"
    fill_with_text one a1 8
    run "lvcreate -y -s -n one_snap $VG/one"
    fill_with_text one a2 6
    describe lv_uuid,devices
    run "vgcfgbackup -f $S/vgcfgbackup.txt $VG"
    run "vgchange -an $VG"
    copy_disks
    copy_components pool "$S"
    truth "$S" one one_snap
    run "vgchange -an $VG"
}

c07() {
    local round offset length size id name meta data
    case_of c07-lvm-cached-pool "LVM thin pool (64k chunks), its data on one PV behind a write-back\
 cache on the other, with dirty blocks: thin LVs one, and a snapshot of it; truth-without-cache: the\
 same read through the kernel from a pool over what is below the cache"
    new_group vgcache
    run "lvcreate -y -L 64M -T $VG/pool -c 64k --poolmetadatasize 4M /dev/vdd"
    run "lvcreate -y -V 40M -T $VG/pool -n one"
    run "mkfs.ext4 -q /dev/$VG/one"
    fill_with_text one a1 8
    run "lvcreate -y --type cache-pool -L 16M --poolmetadatasize 8M -n fast $VG /dev/vde"
    run "lvconvert -y --type cache --cachepool $VG/fast --cachemode writeback --chunksize 32k" \
        "--cachesettings migration_threshold=2048 $VG/pool"
    run "lvchange -ay $VG/one"
    run "lvcreate -y -s -n one_snap $VG/one"
    run "mount /dev/$VG/one /mnt"
    describe lv_uuid,devices
    run "vgcfgbackup -f $S/vgcfgbackup.txt $VG"
    # What is written again and again gets into the cache; then nothing may leave it.
    for round in {1..30}; do
        eval "awk 'BEGIN { for (i = 0; i < 512; i++) printf \"%-4095s\\n\", \"round $round \" i }' |" \
            "dd of=/mnt/a1/text.txt bs=64k conv=notrunc,fsync iflag=fullblock 2>/dev/null"
        [ "$round" = 29 ] && dmsetup message $VG-pool_tdata 0 migration_threshold 0
    done
    run "dmsetup status $VG-pool_tdata"
    run "umount /mnt"
    run "vgchange -an $VG"
    copy_disks
    run "lvchange -y -ay $VG/pool_tmeta"
    run "dd if=/dev/mapper/$VG-pool_tmeta of=$S/meta.img bs=1M iflag=direct conv=sparse"
    run "lvchange -an $VG/pool_tmeta"
    truth "$S" one one_snap
    run "lvchange -ay $VG/pool"
    run "dmsetup status $VG-pool_tdata"
    run "vgchange -an $VG"
    # The same pool over the origin alone, from the copies.
    length=$(awk '/pool_tdata_corig:/ {print $3}' "$S/dmsetup-table-live.txt")
    offset=$(awk '/pool_tdata_corig:/ {print $6}' "$S/dmsetup-table-live.txt")
    cp --sparse=always "$S/meta.img" /out/.gt-meta
    dd if="$S/pv-vdd.img" of=/out/.gt-data bs=512 skip="$offset" count="$length" conv=sparse 2>/dev/null
    truncate -s $((length * 512)) /out/.gt-data
    meta=$(losetup -f --show /out/.gt-meta)
    data=$(losetup -f --show /out/.gt-data)
    run "dmsetup create gtpool --table '0 $length thin-pool $meta $data 128 0'"
    mkdir -p "$S/truth-without-cache/devs"
    while read -r id size name; do
        dmsetup create -r gt --table "0 $((size / 512)) thin /dev/mapper/gtpool $id"
        dd if=/dev/mapper/gt of="$S/truth-without-cache/devs/$id.img" bs=1M iflag=direct \
            conv=sparse 2>/dev/null
        dmsetup remove gt
        echo "$id $size $name" >>"$S/truth-without-cache/ids.txt"
    done <"$S/truth/ids.txt"
    dmsetup remove gtpool
    losetup -D
    rm -f /out/.gt-*
}

# Each takes the disk of the one before, so the order matters.
for wanted in $(cat /job/only 2>/dev/null || echo c01 c02 c03 c04 c05 c06 c07); do "$wanted"; done
say 'all done'
