#!/usr/bin/env bash
# A machine whose power is cut while it writes.
#
#   crash.sh JOB          a docker job, as all.sh makes it: metadata and data are then cut out
#                         of its disk
#   crash.sh JOB AFTER    a power_cut job, and the same to be run after it, over copies of its
#                         disks: what the kernel makes of them is the truth
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
W=${W:-$PWD/vm-work}
OUT=${OUT:-$PWD/vm-out}
job=$1 after=${2-}
out=$W/crash-out.img log=$W/crash.log

cut_off() { # DISK...
    local machine
    "$here/03-run.sh" "$job" "$out" "$@" >"$log" 2>&1 &
    machine=$! # this is timeout(1); qemu is its child
    for _ in {1..600}; do
        grep -q CRASHNOW "$log" && break
        if ! kill -0 $machine 2>/dev/null; then
            echo "crash: the machine died" >&2
            tail "$log" >&2
            exit 1
        fi
        sleep 1
    done
    # Time for some of the containers to start, and for one to be in the middle of it.
    sleep "${CRASH_AFTER:-9}"
    kill -9 "$(ps -o pid= --ppid $machine | tr -d ' ')"
    wait $machine
}

file_systems() {
    local name=power-cut-ext4-xfs-64k disk
    truncate -s 700M "$W/crash-data.img"
    truncate -s 8M "$W/crash-meta.img"
    CRASH_AFTER=${CRASH_AFTER:-40}
    cut_off "$W/crash-data.img" "$W/crash-meta.img"
    for disk in data meta; do
        cp --sparse=always "$W/crash-$disk.img" "$W/after-$disk.img"
    done
    "$here/03-run.sh" "$after" "$out" "$W/after-data.img" "$W/after-meta.img" >>"$log" 2>&1
    "$here/04-collect.sh" "$out" $name
    for disk in data meta; do
        cp --sparse=always "$W/crash-$disk.img" "$OUT/$name/$disk.img"
    done
}

docker() {
    local name=docker-power-cut-direct-lvm-xfs-64k disk=$W/crash-disk.img case volume length offset
    touch "$job/crash"
    truncate -s 3G "$disk"
    cut_off "$disk"
    "$here/04-collect.sh" "$out" "$name"
    case=$OUT/$name
    cp --sparse=always "$disk" "$case/pv.img"
    while read -r volume _ length _ _ offset; do
        local image
        case $volume in
            *_tmeta:) image=meta ;;
            *_tdata:) image=data ;;
            *) continue ;;
        esac
        dd if="$disk" of="$case/$image.img" bs=512 skip="$offset" count="$length" \
            iflag=fullblock conv=sparse 2>/dev/null
        truncate -s $((length * 512)) "$case/$image.img"
        echo "dd if=pv.img of=$image.img bs=512 skip=$offset count=$length   # on the host" \
            >>"$case/commands.sh"
    done <"$case/dmsetup-table-live.txt"
}

rm -f "$W"/crash-*.img
if [ -n "$after" ]; then file_systems; else docker; fi
