#!/usr/bin/env bash
# Boot the machine, run JOB/run.sh in it, wait until it switches itself off.
#
#   03-run.sh JOB OUT-IMAGE [DISK...]
#
# OUT-IMAGE, made if it is not there, is /out inside; the disks are /dev/vdd and on.
set -euo pipefail

W=${W:-$PWD/vm-work}
job=$1 out=$2
shift 2

if [ ! -e "$out" ]; then
    truncate -s "${OUTSIZE:-60G}" "$out"
    mke2fs -q -t ext4 -m 0 -O ^has_journal -E lazy_itable_init=1 "$out"
fi
tar -C "$job" -cf "$out.job.tar" .
truncate -s %1M "$out.job.tar"

disks=()
for disk in "$@"; do
    options=format=raw,if=virtio,cache=unsafe,discard=unmap,detect-zeroes=unmap
    disks+=(-drive "file=$disk,$options")
done

# Emulation, so that no nested virtualisation is needed; ACCEL=kvm is much faster.
exec timeout "${VMTIME:-1500}" qemu-system-x86_64 \
    -accel "${ACCEL:-tcg,thread=multi,tb-size=1024}" -cpu "${CPU:-max}" \
    -smp "${SMP:-2}" -m "${MEM:-6144}" \
    -nographic -no-reboot -nodefaults -serial mon:stdio -device virtio-rng-pci \
    -kernel "$W/vmlinuz" -initrd "$W/initrd.gz" \
    -append "console=ttyS0 panic=-1 apparmor=0 mitigations=off quiet loglevel=4 random.trust_cpu=on" \
    -drive "file=$W/root.img,format=raw,if=virtio,cache=unsafe,snapshot=on" \
    -drive "file=$out,format=raw,if=virtio,cache=unsafe" \
    -drive "file=$out.job.tar,format=raw,if=virtio,readonly=on" \
    "${disks[@]}" </dev/null
