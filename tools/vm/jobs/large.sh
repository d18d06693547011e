#!/usr/bin/env bash
# Many mappings. The data device is a dm zero target of 10 TiB, so that writes cost
# nothing and only the metadata is real.

export DM_DISABLE_UDEV=1
export PATH=/job:$PATH
# shellcheck source-path=SCRIPTDIR source=recording.sh
. /job/recording.sh

TIB=$((1 << 31)) # sectors in a TiB

case_of() { # NAME METADATA-SIZE ABOUT
    S=/out/$1
    mkdir -p "$S"
    : >"$S/commands.sh"
    echo "$3" >"$S/about.txt"
    run "truncate -s $2 $S/meta.img"
    ML=$(losetup -f --show "$S/meta.img")
    echo "# $ML = meta.img" >>"$S/commands.sh"
    run "dmsetup create data --table \"0 $((10 * TIB)) zero\""
    local table="thin-pool $ML /dev/mapper/data 128 0 1 skip_block_zeroing"
    run "dmsetup create pool --table \"0 $((10 * TIB)) $table\""
}

message() { run "dmsetup message pool 0 \"$*\""; }

activate() { # ID SECTORS
    run "dmsetup create t$1 --table \"0 $2 thin /dev/mapper/pool $1\""
}

snapshot() { # ID ORIGIN-ID
    run "dmsetup suspend t$2"
    message "create_snap $1 $2"
    run "dmsetup resume t$2"
}

# fio; the log shows how full metadata and data are after it.
write() { # NAME FIO-ARGUMENT...
    local name=$1
    shift
    run "fio --name=$name $*"
    say "  $name $(dmsetup status pool | awk '{print $6,$7}')"
}

DIRECT='--direct=1 --ioengine=libaio'

# Random 4k writes over a whole device, no block twice.
write_random() { # NAME ID WRITES SIZE SEED
    write "$1" "--filename=/dev/mapper/t$2 --rw=randwrite --bs=4k --ba=64k $DIRECT" \
        "--iodepth=128 --number_ios=$3 --size=$4 --randseed=$5" \
        "--random_generator=tausworthe64 --norandommap --zero_buffers --minimal "
}

# Random 4k writes into a window of a device.
write_window() { # NAME ID WRITES OFFSET SIZE SEED
    run "fio --name=$1 --filename=/dev/mapper/t$2 --rw=randwrite --bs=4k --ba=64k $DIRECT" \
        "--iodepth=32 --number_ios=$3 --offset=$4 --size=$5 --randseed=$6" \
        "--norandommap --zero_buffers --minimal"
}

# Sequential writers side by side: their data blocks alternate.
write_interleaved() { # WRITES ID...
    local writes=$1 id names=(a b c d) jobs=''
    shift
    for id in "$@"; do
        jobs+=" --name=${names[0]} --filename=/dev/mapper/t$id"
        names=("${names[@]:1}")
    done
    run "fio --bs=64k --rw=write $DIRECT --iodepth=4 --zero_buffers --minimal" \
        "--number_ios=$writes --size=1t$jobs"
    say "  interleaved $(dmsetup status pool | awk '{print $6,$7}')"
}

finish() { # ID...
    local id
    {
        dmsetup status
        dmsetup table
    } >"$S/status-final.txt"
    for id in "$@"; do run "dmsetup remove t$id"; done
    dmsetup status pool >"$S/status-pool.txt"
    run "dmsetup remove pool"
    run "dmsetup remove data"
    losetup -d "$ML"
    dmesg -c >"$S/dmesg.txt"
}

d01() {
    case_of d01-one-million-mappings 256M "64k blocks, 10 TiB data device (dm zero target),\
 256 MiB metadata: random and interleaved thins, long sequential thin, snapshots with\
 overwrites: about a million mappings, most of them fragmented"
    local i
    for i in 1 2 3 4 5; do message create_thin $i; done
    activate 1 $((2 * TIB))
    activate 2 $TIB
    activate 3 $TIB
    activate 4 $((4 * TIB))
    activate 5 $TIB
    say start
    write_random rnd1 1 250000 2t 11
    write_interleaved 60000 2 3
    write_random rnd4 4 200000 4t 44
    write seq5 "--filename=/dev/mapper/t5 --rw=write --bs=1m $DIRECT --iodepth=8" \
        "--size=20g --zero_buffers --minimal"
    snapshot 11 1
    write_random ow1 1 40000 2t 11
    snapshot 12 1
    write_random new1 1 40000 2t 12
    snapshot 14 4
    write_random ow4 4 30000 4t 44
    message set_transaction_id 0 8
    finish 1 2 3 4 5
}

d02() {
    case_of d02-shared-subtrees 128M "64k blocks, 10 TiB data device (dm zero target),\
 128 MiB metadata: four fragmented thins (interleaved writers), 12 snapshots of thin 1,\
 each overwritten in its own 256 MiB window: over two million mappings to walk, most\
 subtrees shared"
    local i k
    for i in 1 2 3 4; do
        message create_thin $i
        activate $i $TIB
    done
    write_interleaved 60000 1 2 3 4
    for k in {1..12}; do
        snapshot $((100 + k)) 1
        activate $((100 + k)) $TIB
        write_window "w$k" $((100 + k)) 200 $((k * 256))m 256m "$k"
        [ $((k % 4)) = 0 ] || continue
        write_window "o$k" 1 100 $((3000 + k * 10))m 64m "$k"
    done
    message set_transaction_id 0 16
    finish 1 2 3 4 {101..112}
}

for wanted in $(cat /job/only 2>/dev/null || echo d01 d02); do
    say "== $wanted"
    "$wanted"
done
say 'all done'
