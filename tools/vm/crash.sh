#!/usr/bin/env bash
# Docker in a machine whose power is cut; metadata and data are then cut out of its disk.
#
#   crash.sh JOB       the folder of a docker job, as all.sh makes it
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
W=${W:-$PWD/vm-work}
OUT=${OUT:-$PWD/vm-out}
job=$1
name=docker-power-cut-direct-lvm-xfs-64k
disk=$W/crash-disk.img out=$W/crash-out.img log=$W/crash.log

rm -f "$out" "$disk"
touch "$job/crash"
truncate -s 3G "$disk"
"$here/03-run.sh" "$job" "$out" "$disk" >"$log" 2>&1 &
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

"$here/04-collect.sh" "$out" "$name"
case=$OUT/$name
cp --sparse=always "$disk" "$case/pv.img"
while read -r volume _ length _ _ offset; do
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
