#!/usr/bin/env bash
# Plain device-mapper thin pools, made with dmsetup alone. Each function aNN below makes
# the case of that number; /job/only names those wanted, all of them if there is none.

# Without udev dmsetup makes the device nodes itself.
export DM_DISABLE_UDEV=1
export PATH=/job:$PATH
# shellcheck source-path=SCRIPTDIR source=recording.sh
. /job/recording.sh

MIB=2048 # sectors in a MiB
P=/dev/mapper

# ---- the vocabulary of the cases

case_of() { # NAME ABOUT
    S=/out/$1
    mkdir -p "$S/truth/devs"
    : >"$S/commands.sh"
    say "== $1"
    printf '%s\n' "$2" >"$S/about.txt"
    echo "# $1: $2" >>"$S/commands.sh"
    linear=
    TRUTH=$S/truth
    READ=()
}

# Sparse files for metadata and data, as loop devices $ML and $DL.
files() { # METADATA-SIZE DATA-SIZE
    run "truncate -s $1 $S/meta.img"
    run "truncate -s $2 $S/data.img"
    ML=$(losetup -f --show "$S/meta.img")
    DL=$(losetup -f --show "$S/data.img")
    MDEV=$ML
    echo "# $ML = meta.img  $DL = data.img" >>"$S/commands.sh"
}

# A pool straight on the loop devices; $PT is its table.
pool() { # METADATA-KIB DATA-MIB BLOCK-SECTORS [FEATURE...]
    local metadata=$1 data=$2 block=$3
    shift 3
    files "${metadata}K" "${data}M"
    PT="0 $((data * MIB)) thin-pool $ML $DL $block 0 $# $*"
    PT=${PT% }
    run "dmsetup create pool --table \"$PT\""
}

# The metadata on a dm linear target, so that it can be made to fail or to grow.
linear_metadata() { # SECTORS
    linear=meta
    MDEV=$P/meta
    run "dmsetup create meta --table \"0 $1 linear $ML 0\""
}

thinmeta() { PYTHONPATH=/job/python python3 -m thinmeta "$@"; }

message() { run "dmsetup message pool 0 \"$*\""; }

activate() { # ID SECTORS [ID ORIGIN]
    run "dmsetup create t$1 --table \"0 $2 thin $P/pool ${3:-$1} ${4-}\""
}

deactivate() { # ID...
    local id
    for id in "$@"; do run "dmsetup remove t$id"; done
}

# The kernel wants an active origin suspended while the message is sent.
snapshot() { # ID ORIGIN-ID [active]
    if [ -n "${3-}" ]; then
        run "dmsetup suspend t$2"
        message "create_snap $1 $2"
        run "dmsetup resume t$2"
    else
        message "create_snap $1 $2"
    fi
}

# Feed blkw from stdin; its language is described in blkw.c.
blocks() {
    local script status
    script=$(cat)
    printf "blkw <<'E'\n%s\nE\n" "$script" >>"$S/commands.sh"
    printf '%s\n' "$script" | blkw >>"$S/log.txt" 2>&1
    status=$?
    [ $status = 0 ] || printf '# ^ rc=%s\n' $status >>"$S/commands.sh"
    return $status
}

# Read thin devices through the kernel; what they hold is the truth to test against. It
# goes to $TRUTH.
truth() { # SECTORS ID...
    local sectors=$1 id
    shift
    for id in "$@"; do truth_over '' "$sectors" "$id"; done
}

truth_over() { # ORIGIN SECTORS ID
    if ! dmsetup create -r gt --table "0 $2 thin $P/pool $3 $1"; then
        say "  truth $3 failed"
        return
    fi
    dd if=$P/gt of="$TRUTH/devs/$3.img" bs=1M conv=sparse 2>/dev/null
    truncate -s $(($2 * 512)) "$TRUTH/devs/$3.img"
    echo "$3 $(($2 * 512))" >>"$TRUTH/ids.txt"
    dmsetup remove gt
    READ+=("$3 $2 $1")
}

status() { # WHEN
    {
        dmsetup status pool
        dmsetup table pool
    } >"$S/status-$1.txt" 2>&1
}

copy_metadata() { # FILE
    run "dd if=$MDEV of=$S/$1 bs=1M iflag=direct conv=sparse"
}

# Metadata, data and thin devices of an active pool, to hold a later state against.
keep_state() { # NAME SECTORS ID...
    status "$1" # which makes the kernel commit
    copy_metadata "meta-$1.img"
    run "cp --sparse=always $S/data.img $S/data-$1.img"
    TRUTH=$S/truth-$1
    mkdir -p "$TRUTH/devs"
    shift
    truth "$@"
    TRUTH=$S/truth
    READ=()
}

# Once the pool is gone: read what truth() read, through thinmeta's tables of linear and
# zero targets, and as thinmeta extracts it.
without_pool() {
    local each id sectors origin of image=/tmp/extracted.img
    for each in "${READ[@]}"; do
        read -r id sectors origin <<<"$each"
        of="$id --size ${sectors}s -p $ML ${origin:+--origin $origin}"
        run "thinmeta table $of --linear $DL | dmsetup create gt --readonly"
        hash_of "$id" linear $P/gt
        run "dmsetup remove gt"
        run "thinmeta extract $of --data $DL --quiet -o $image"
        hash_of "$id" extract $image
        rm -f $image
    done
}

hash_of() { # ID HOW FILE
    local size sha256
    size=$(wc -c <"$3") sha256=$(sha256sum <"$3" | cut -d' ' -f1)
    echo "$sha256 $1 $size $2" >>"$S/truth/without-pool.sha256"
}

no_truth() { rmdir "$S/truth/devs" "$S/truth" 2>/dev/null; }

finish() { # [COMMAND, to run once the pool is gone]
    status final
    run "dmsetup remove pool"
    "$@"
    [ -z "$linear" ] || run "dmsetup remove $linear"
    losetup -d "$ML" "$DL"
    echo "# losetup -d $ML $DL" >>"$S/commands.sh"
    dmesg -c >"$S/dmesg.txt"
    no_truth
    # Whatever is left over would be in the next case's way.
    dmsetup ls | grep -v 'No devices'
}

# ---- the cases

a01() {
    case_of a01-empty-pool "pool formatted by the kernel, no devices at all, transaction 0"
    pool 8192 64 128
    finish
}

a02() {
    case_of a02-empty-pool-min-metadata \
        "2 MiB metadata, one thin without mappings, transaction id 7"
    pool 2048 64 128
    message create_thin 0
    message set_transaction_id 0 7
    activate 0 $((16 * MIB))
    deactivate 0
    truth $((16 * MIB)) 0
    finish
}

a03() {
    case_of a03-one-thin-sequential-64k \
        "one thin, 96 MiB written in order, one range of 1536 blocks over several leaves"
    pool 8192 128 128
    message create_thin 1
    activate 1 $((100 * MIB))
    blocks <<<"w $P/t1 0 $((96 << 20)) seq"
    deactivate 1
    message set_transaction_id 0 1
    truth $((100 * MIB)) 1
    finish
}

a04() {
    case_of a04-interleaved-four-thins-64k \
        "four thins written in turn, random 4k writes after, so mappings fragment"
    local i k
    pool 8192 512 128
    for i in 1 2 3 4; do
        message create_thin $i
        activate $i $((96 * MIB))
    done
    {
        for k in {0..299}; do
            for i in 1 2 3 4; do
                echo "w $P/t$i $((k * i * 65536 % (96 << 20))) 65536 t$i"
            done
        done
        for i in 1 2 3 4; do echo "r $P/t$i $i 400 $((96 << 20)) 4096 rnd$i"; done
    } | blocks
    deactivate 1 2 3 4
    message set_transaction_id 0 4
    truth $((96 * MIB)) 1 2 3 4
    finish
}

block_size() { # NAME BLOCK-SECTORS
    case_of "$1" "pool with $2-sector blocks: three thins interleaved, a snapshot each,\
 random overwrites, a discard"
    local i k block=$(($2 * 512)) size=$((256 << 20))
    pool 8192 1024 "$2"
    for i in 1 2 3; do
        message create_thin $i
        activate $i $((256 * MIB))
    done
    for k in {0..39}; do
        for i in 1 2 3; do
            echo "w $P/t$i $((k * i * 7 % (size / block) * block)) 4096 t$i"
        done
    done | blocks
    for i in 1 2 3; do snapshot 1$i $i active; done
    for i in 1 2 3; do
        echo "r $P/t$i 5$i 30 $size 4096 after$i"
        echo "d $P/t$i 0 $((8 * block))"
    done | blocks
    deactivate 1 2 3
    message set_transaction_id 0 3
    truth $((256 * MIB)) 1 2 3 11 12 13
    finish
}
a05() { block_size a05-block-128k 256; }
a06() { block_size a06-block-512k 1024; }
a07() { block_size a07-block-1m 2048; }

a08() {
    case_of a08-snapshots-of-snapshots \
        "chain and tree of snapshots, each overwritten at other places"
    local i size=$((48 * MIB))
    pool 8192 512 128
    message create_thin 0
    activate 0 $size
    blocks <<<"w $P/t0 0 $((32 << 20)) gen0"
    for i in {1..8}; do
        snapshot "$i" $((i - 1)) active
        activate "$i" $size
        blocks <<E
w $P/t$i $((i * 1048576)) $((65536 * i)) gen$i
r $P/t$i $i 20 $((48 << 20)) 4096 rnd$i
E
    done
    for i in 9 10 11; do
        snapshot $i 3 active
        activate $i $size
        blocks <<<"r $P/t$i $i 40 $((48 << 20)) 65536 br$i"
    done
    snapshot 12 9 active
    snapshot 13 12
    snapshot 14 13
    blocks <<<"r $P/t0 77 60 $((48 << 20)) 4096 gen0b"
    deactivate {0..11}
    message set_transaction_id 0 15
    truth $size {0..14}
    finish
}

a09() {
    case_of a09-discards-and-deletes "discards of whole, partial and shared ranges;\
 snapshots; deletes of origin and of middle snapshots"
    local i size=$((64 * MIB))
    pool 8192 512 128
    for i in 1 2 3; do
        message create_thin $i
        activate $i $size
        blocks <<<"w $P/t$i 0 $((40 << 20)) d$i"
    done
    snapshot 4 1 active
    snapshot 5 2 active
    snapshot 6 3 active
    blocks <<E
d $P/t1 0 $((4 << 20))
d $P/t1 $((10 << 20)) 65536
d $P/t1 $(((11 << 20) + 4096)) 65536
d $P/t2 $((39 << 20)) $((8 << 20))
d $P/t3 0 $((64 << 20))
z $P/t2 $((2 << 20)) $((1 << 20))
w $P/t1 0 131072 again
s $P/t1
s $P/t2
s $P/t3
E
    snapshot 7 1 active
    deactivate 1 2 3
    message delete 2
    message delete 6
    message create_thin 8
    activate 8 $size
    blocks <<<"w $P/t8 0 $((12 << 20)) reuse8"
    deactivate 8
    message delete 4
    message set_transaction_id 0 9
    truth $size 1 3 5 7 8
    finish
}

a10() {
    case_of a10-external-origin \
        "two thins over an external origin (one smaller than the thin), partly overwritten"
    local origin size=$((32 * MIB)) smaller=$((24 * MIB))
    pool 8192 256 128
    run "truncate -s 24M $S/origin.img"
    origin=$(losetup -f --show "$S/origin.img")
    echo "# $origin = origin.img" >>"$S/commands.sh"
    blocks <<<"w $origin 0 $((24 << 20)) origin"
    message create_thin 1
    message create_thin 2
    activate 1 $size 1 "$origin"
    activate 2 $smaller 2 "$origin"
    blocks <<E
w $P/t1 65536 4096 ov
w $P/t1 $((24 << 20)) 65536 past
r $P/t1 4 30 $((32 << 20)) 4096 e1
r $P/t2 5 30 $((24 << 20)) 65536 e2
E
    snapshot 3 1 active
    blocks <<<"r $P/t1 6 10 $((32 << 20)) 4096 e3"
    deactivate 1 2
    message set_transaction_id 0 3
    truth_over "$origin" $size 1
    truth_over "$origin" $smaller 2
    truth_over "$origin" $size 3
    finish without_pool
    losetup -d "$origin"
}

a11() {
    case_of a11-needs-check-flag "writes to the metadata (all but the superblock) fail\
 with EIO: the pool goes read-only with needs_check set"
    local sectors=16384
    files 8192K 256M
    linear_metadata $sectors
    run "dmsetup create pool --table \"0 $((256 * MIB)) thin-pool $P/meta $DL 128 0 0 \""
    message create_thin 1
    message create_thin 2
    activate 1 $((64 * MIB))
    activate 2 $((64 * MIB))
    blocks <<E
w $P/t1 0 $((16 << 20)) ok1
r $P/t2 3 60 $((64 << 20)) 4096 ok2
s $P/t1
s $P/t2
E
    snapshot 3 1 active
    message set_transaction_id 0 3
    copy_metadata meta-before.img
    # The flag itself is kept in the superblock, which must stay writable.
    local flakey="8 $((sectors - 8)) flakey $ML 8 0 3600 1 error_writes"
    run "printf '0 8 linear $ML 0\n$flakey\n' | dmsetup load meta"
    run "dmsetup suspend --noflush meta"
    run "dmsetup resume meta"
    blocks <<E
r $P/t1 9 40 $((64 << 20)) 65536 lost
s $P/t1
E
    sleep 2
    status failed
    deactivate 1 2
    finish
}

a12() {
    case_of a12-metadata-full-pool-failed "metadata device of 2 MiB filled by random\
 single-block mappings until the kernel fails the pool"
    pool 2048 65536 128 skip_block_zeroing
    message create_thin 1
    activate 1 $((65536 * MIB))
    message set_transaction_id 0 1
    blocks <<E
r $P/t1 11 90000 $((65536 << 20)) 65536 f
s $P/t1
E
    status filled
    deactivate 1
    message create_thin 9
    finish
    : >"$S/.nodata"
}

a13() {
    case_of a13-metadata-snapshot-held "metadata snapshot reserved, then the pool changed\
 (writes, snapshot, delete, new thin); copied live, after deactivation with the snapshot\
 still held, and after release"
    local size=$((32 * MIB))
    pool 8192 256 128
    message create_thin 1
    message create_thin 2
    activate 1 $size
    activate 2 $size
    blocks <<E
w $P/t1 0 $((12 << 20)) a
r $P/t2 2 50 $((32 << 20)) 4096 b
E
    snapshot 3 1 active
    message set_transaction_id 0 3
    message reserve_metadata_snap
    status reserved
    copy_metadata meta-live-at-reserve.img
    keep live-m-at-reserve.xml thin_dump -m "$MDEV"
    keep live-nom.xml thin_dump "$MDEV"
    keep live-m-at-reserve-1.1.0.xml pdata_tools thin_dump -m "$MDEV"
    keep live-nom-1.1.0.xml pdata_tools thin_dump "$MDEV"
    keep live-thin_ls-m.txt thin_ls -m "$MDEV"
    keep live-thin_check.txt thin_check "$MDEV"
    keep live-thin_check-m.txt thin_check -m "$MDEV"
    blocks <<E
r $P/t1 5 60 $((32 << 20)) 4096 c
d $P/t2 0 $((16 << 20))
s $P/t1
E
    snapshot 4 2 active
    deactivate 2
    message delete 2
    message create_thin 5
    activate 5 $size
    blocks <<<"w $P/t5 $((1 << 20)) $((3 << 20)) e"
    message set_transaction_id 3 6
    status modified
    copy_metadata meta-live-after-changes.img
    keep live-m-after-1.1.0.xml pdata_tools thin_dump -m "$MDEV"
    keep live-m-after.xml thin_dump -m "$MDEV"
    deactivate 1 5
    truth $size 1 3 4 5
    status held
    run "dmsetup remove pool"
    run "cp --sparse=always $S/meta.img $S/meta-held.img"
    run "dmsetup create pool --table \"$PT\""
    message release_metadata_snap
    finish
    run "mv $S/meta.img $S/meta-released.img"
    run "mv $S/meta-held.img $S/meta.img"
}

a14() {
    case_of a14-live-copy-no-metadata-snapshot "metadata device copied while the pool is\
 active and being written, no metadata snapshot, three times; then clean"
    local i writer
    pool 8192 512 128
    message create_thin 1
    activate 1 $((400 * MIB))
    blocks <<E
r $P/t1 1 200 $((400 << 20)) 4096 a
s $P/t1
E
    blkw <<<"r $P/t1 2 6000 $((400 << 20)) 4096 b" &
    writer=$!
    echo "# background: blkw r t1 2 6000 ..." >>"$S/commands.sh"
    for i in 1 2 3; do
        sleep 0.7
        copy_metadata meta-live-$i.img
        dmsetup status pool >>"$S/status-live.txt"
    done
    keep live.xml thin_dump "$MDEV"
    keep live-1.1.0.xml pdata_tools thin_dump "$MDEV"
    wait $writer
    deactivate 1
    truth $((400 * MIB)) 1
    finish
}

a15() {
    case_of a15-data-full \
        "every data block in use (error_if_no_space): 512 of 512 blocks, writes then fail"
    local k
    pool 8192 32 128 error_if_no_space
    message create_thin 1
    message create_thin 2
    activate 1 $((64 * MIB))
    activate 2 $((64 * MIB))
    for k in {0..300}; do
        echo "w $P/t1 $((k * 65536)) 65536 a"
        echo "w $P/t2 $((k * 131072)) 4096 b"
    done | blocks
    status full
    deactivate 1 2
    message set_transaction_id 0 2
    truth $((64 * MIB)) 1 2
    finish
}

a16() {
    case_of a16-metadata-and-data-resized "metadata grown 4 MiB to 24 MiB and data 64 MiB\
 to 256 MiB while active, more mappings after"
    local table="thin-pool $P/meta"
    files 24M 256M
    linear_metadata $((4 * MIB))
    run "dmsetup create pool --table \"0 $((64 * MIB)) $table $DL 128 0\""
    message create_thin 1
    activate 1 $((200 * MIB))
    blocks <<E
r $P/t1 1 300 $((200 << 20)) 65536 a
s $P/t1
E
    copy_metadata meta-before.img
    run "dmsetup load meta --table \"0 $((24 * MIB)) linear $ML 0\""
    run "dmsetup load pool --table \"0 $((256 * MIB)) $table $DL 128 0\""
    # From the top down, and up again.
    run "dmsetup suspend t1"
    run "dmsetup suspend pool"
    run "dmsetup suspend meta"
    run "dmsetup resume meta"
    run "dmsetup resume pool"
    run "dmsetup resume t1"
    status resized
    snapshot 2 1 active
    blocks <<<"r $P/t1 2 1500 $((200 << 20)) 65536 b"
    deactivate 1
    message set_transaction_id 0 2
    truth $((200 * MIB)) 1 2
    finish
}

a17() {
    case_of a17-256-snapshots "one 24 MiB origin, 256 snapshots, each with a few\
 overwritten blocks, some snapshots of snapshots (many shared subtrees)"
    local i size=$((64 * MIB)) bytes=$((64 << 20))
    pool 32768 1024 128
    message create_thin 0
    activate 0 $size
    blocks <<E
w $P/t0 0 $((24 << 20)) base
r $P/t0 1 300 $bytes 4096 base
E
    for i in {1..256}; do
        if [ $((i % 16)) = 0 ]; then
            snapshot "$i" $((i - 1))
        else
            snapshot "$i" 0 active
        fi
        activate "$i" $size
        blocks <<<"r $P/t$i $i $((1 + i % 5)) $bytes 4096 s$i"
        deactivate "$i"
        [ $((i % 8)) = 0 ] && blocks <<<"r $P/t0 $((1000 + i)) 2 $bytes 4096 o$i"
    done
    deactivate 0
    message set_transaction_id 0 257
    truth $size 0 1 2 15 16 17 100 128 200 255 256
    finish
}

a18() {
    case_of a18-large-device-ids "device ids 0, 1, 255, 256, 65535, 65536, 8388608,\
 16777214, 16777215, with snapshots among them; 16777216 is refused"
    local id size=$((16 * MIB)) ids=(0 1 255 256 65535 65536 8388608 16777214)
    pool 8192 128 128
    for id in "${ids[@]}"; do
        message "create_thin $id"
        activate "$id" $size
        blocks <<<"r $P/t$id 3 20 $((16 << 20)) 4096 id$id"
    done
    snapshot 16777215 65535 active
    message create_thin 16777216
    activate 16777215 $size
    blocks <<<"w $P/t16777215 0 65536 top"
    deactivate 16777215 "${ids[@]}"
    message set_transaction_id 0 10
    truth $size "${ids[@]}" 16777215
    finish
}

a19() {
    case_of a19-device-id-reuse "device ids deleted and created again, as thin and as\
 snapshot; data blocks reused in other order"
    local i round size=$((24 * MIB))
    pool 8192 64 128
    for round in 1 2 3 4; do
        for i in 1 2 3; do
            message create_thin $i
            activate $i $size
            blocks <<<"r $P/t$i $((round * 10 + i)) 60 $((24 << 20)) 4096 g$round-$i"
            deactivate $i
        done
        message set_transaction_id $((round - 1)) $round
        [ $round = 4 ] && break
        message delete 2
        message delete 1
        message delete 3
    done
    message delete 2
    snapshot 2 1
    activate 2 $size
    blocks <<<"r $P/t2 99 30 $((24 << 20)) 4096 snapreuse"
    deactivate 2
    truth $size 1 2 3
    finish
}

a20() {
    case_of a20-transaction-ids "transaction id set to 2^63-1 style values"
    pool 4096 64 128
    message create_thin 1
    message set_transaction_id 0 18446744073709551615
    message create_thin 2
    message create_snap 3 1
    finish
}

a21() {
    case_of a21-skip-zeroing-ignore-discard "features skip_block_zeroing ignore_discard:\
 partly written blocks keep old data"
    pool 8192 128 128 skip_block_zeroing ignore_discard
    message create_thin 1
    activate 1 $((64 * MIB))
    blocks <<E
w $P/t1 0 $((8 << 20)) old
d $P/t1 0 $((4 << 20))
E
    deactivate 1
    message delete 1
    message create_thin 2
    activate 2 $((64 * MIB))
    blocks <<<"r $P/t2 1 64 $((64 << 20)) 512 new"
    deactivate 2
    message set_transaction_id 0 2
    truth $((64 * MIB)) 2
    finish
}

a22() {
    case_of a22-odd-sizes "thin sizes and data size that are no multiple of the block;\
 last partial block written"
    local first=$((10 * MIB + 9)) second=1000
    files 8200K $((100 * 1048576 + 37 * 512))
    run "dmsetup create pool --table \"0 $((100 * MIB + 37)) thin-pool $ML $DL 384 0\""
    message create_thin 1
    message create_thin 2
    activate 1 $first
    activate 2 $second
    blocks <<E
w $P/t1 $((10 * 1048576)) $((8 * 512)) tail
w $P/t1 0 196608 b0
w $P/t2 $((999 * 512)) 512 last
E
    deactivate 1 2
    message set_transaction_id 0 2
    truth $first 1
    truth $second 2
    finish without_pool
}

a23() {
    case_of a23-long-runs-and-holes "runs of 1..600 blocks with holes, in-order and\
 reverse-order data blocks, a snapshot changing the time in the middle of a run"
    local length at=0
    pool 16384 2048 128 skip_block_zeroing
    message create_thin 1
    activate 1 $((4096 * MIB))
    # Around 126 and 252, the entries of half a leaf and of a full one.
    for length in 1 2 3 5 126 127 251 252 253 254 255 600; do
        echo "w $P/t1 $((at * 65536)) $((length * 65536)) run$length"
        at=$((at + length + length % 3 + 1))
    done | blocks
    for at in {700..1}; do echo "w $P/t1 $(((40000 + at) * 65536)) 4096 rev"; done | blocks
    blocks <<<"w $P/t1 $((50000 * 65536)) $((50 * 65536)) first"
    snapshot 2 1 active
    blocks <<E
w $P/t1 $((50050 * 65536)) $((50 * 65536)) second
s $P/t1
E
    snapshot 3 1 active
    blocks <<<"w $P/t1 $((50100 * 65536)) $((100 * 65536)) third"
    deactivate 1
    message set_transaction_id 0 3
    finish
}

a24() {
    case_of a24-metadata-16g-sparse "the largest metadata device the kernel takes\
 (16 GiB, over the 255-bitmap limit), nearly empty"
    pool $((16 * 1024 * 1024)) 256 128
    message create_thin 1
    activate 1 $((64 * MIB))
    blocks <<<"r $P/t1 1 100 $((64 << 20)) 4096 a"
    deactivate 1
    snapshot 2 1
    message set_transaction_id 0 2
    truth $((64 * MIB)) 1
    finish
}

a25() {
    case_of a25-mass-delete "128 thins with mappings, of which all but 5 are deleted;\
 then a few new ones: sparse device ids and rebalanced trees"
    local i size=$((64 * MIB))
    pool 16384 512 128 skip_block_zeroing
    for i in {1..128}; do
        message "create_thin $i"
        activate "$i" $size
        blocks <<<"r $P/t$i $i 40 $((64 << 20)) 65536 m$i"
        deactivate "$i"
    done
    for i in {1..128}; do
        case $i in
            3 | 64 | 65 | 100 | 128) ;;
            *) message "delete $i" ;;
        esac
    done
    for i in 500 7 30000; do
        message create_thin $i
        activate $i $size
        blocks <<<"r $P/t$i $i 70 $((64 << 20)) 4096 n$i"
        deactivate $i
    done
    message set_transaction_id 0 131
    truth $size 3 64 65 100 128 7 500
    finish
}

a26() {
    case_of a26-deleted-volumes "three of six thins deleted, with copies of the metadata\
 right before and right after; then new thins, snapshots and overwrites, which use a part\
 of their blocks again"
    local id size=$((24 * MIB)) bytes=$((24 << 20))
    pool 4096 64 128
    for id in 1 2 3 5; do
        message create_thin $id
        activate $id $size
        blocks <<E
w $P/t$id $((id << 20)) $((id << 20)) s$id
r $P/t$id $id 40 $bytes 4096 r$id
E
    done
    blocks <<<"w $P/t5 0 $((20 << 20)) t5"
    snapshot 4 1 active
    snapshot 6 3 active
    activate 4 $size
    blocks <<E
r $P/t4 44 30 $bytes 4096 s4
r $P/t3 33 20 $bytes 4096 s3
d $P/t3 $((6 << 20)) $((1 << 20))
E
    message set_transaction_id 0 6
    deactivate {1..5}
    keep_state before $size {1..6}
    # 3 shares blocks with 6, and 4 with 1; 5 has its own.
    message delete 3
    message delete 4
    message delete 5
    message set_transaction_id 6 9
    keep_state deleted $size 1 2 6
    # A pool that is activated anew looks for free blocks from the first one on.
    run "dmsetup remove pool"
    run "dmsetup create pool --table \"$PT\""
    message create_thin 7
    message create_thin 3
    activate 7 $size
    activate 3 $size
    activate 1 $size
    blocks <<E
w $P/t7 0 $((1 << 20)) n7
r $P/t3 77 12 $bytes 4096 n3
r $P/t1 11 10 $bytes 4096 n1
E
    deactivate 1 3 7
    for id in {8..11}; do snapshot "$id" 7; done
    message delete 11
    message set_transaction_id 9 16
    truth $size 1 2 3 6 {7..10}
    finish without_pool
}

dmesg -c >/dev/null
for wanted in $(cat /job/only 2>/dev/null || echo a{01..26}); do "$wanted"; done
say 'all done'
dmsetup ls
losetup -a
