#!/usr/bin/env bash
# Copy the cases of a finished machine's output disk to $OUT, sparse, and hash the thin
# devices that were read through the kernel.
#
#   04-collect.sh OUT-IMAGE [CASE...]
set -uo pipefail

W=${W:-$PWD/vm-work}
OUT=${OUT:-$PWD/vm-out}
image=$1
shift

mounted=$(mktemp -d "$W/mnt.XXXX")
mount -o loop,ro "$image" "$mounted" || exit 1
if [ $# -eq 0 ]; then
    for folder in "$mounted"/*/; do set -- "$@" "$(basename "$folder")"; done
fi
for name in "$@"; do
    [ "$name" = lost+found ] && continue
    from=$mounted/$name
    rm -rf "${OUT:?}/$name"
    mkdir -p "$OUT/$name"
    if [ -e "$from/.nodata" ]; then
        (cd "$from" && tar --exclude=./data.img -S -cf - .) | tar -C "$OUT/$name" -xf -
    else
        cp -a --sparse=always "$from/." "$OUT/$name/"
    fi
    find "$OUT/$name" -type d -path '*/truth*/devs' | while read -r devices; do
        find "$devices" -name '*.img' -printf '%f %s\n' | sort -n | while read -r file size; do
            sha256=$(sha256sum <"$devices/$file" | cut -d' ' -f1)
            echo "$sha256 ${file%.img} $size"
        done >"$(dirname "$devices")/thin-devices.sha256"
    done
    echo "$name $(du -sm "$OUT/$name" | cut -f1)M"
done

# The external origin of c02 is a plain LV: cut it out of the PV image.
striped=$OUT/c02-lvm-thin-striped-two-pvs
if [ -e "$striped/pv-vdd.img" ] && [ ! -e "$striped/origin.img" ]; then
    read -r _ _ length _ _ offset < <(grep 'plain-real:' "$striped/dmsetup-table-live.txt")
    dd if="$striped/pv-vdd.img" of="$striped/origin.img" bs=512 skip="$offset" \
        count="$length" conv=sparse 2>/dev/null
    truncate -s $((length * 512)) "$striped/origin.img"
    echo 1 >"$striped/origin-for.txt"
fi
umount "$mounted"
rmdir "$mounted"
