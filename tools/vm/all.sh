#!/usr/bin/env bash
# Everything from nothing: machine, cases, proof, fixtures. See README.md.
#
#   all.sh [quick|full]
set -uo pipefail

mode=${1:-quick}
case $mode in quick | full) ;; *) sed -n '4s/^# *//p' "$0" >&2 && exit 2 ;; esac

here=$(cd "$(dirname "$0")" && pwd)
tools=$(cd "$here/.." && pwd)
export W=${W:-$PWD/vm-work} OUT=${OUT:-$PWD/vm-out} SMP=${SMP:-1} MEM=${MEM:-3072}
FIXTURES=${FIXTURES:-$PWD/vm-fixtures}
REFERENCE=${REFERENCE:-$(dirname "$tools")/.reference-tools}

say() { echo "[${SECONDS}s] $*"; }

step() { # NAME COMMAND...
    local name=$1
    shift
    if ! "$@" >"$W/$name.log" 2>&1; then
        tail "$W/$name.log" >&2
        exit 1
    fi
    say "$name"
}

# A job's folder is unpacked as /job inside the machine.
assemble() { # FOLDER JOB [WANTED]
    rm -rf "$1"
    mkdir -p "$1"
    cp "$here/jobs/$2.sh" "$1/run.sh"
    case $2 in plain | lvm_commands | undelete) cp -r "$W/python" "$1/" ;; esac
    cp "$here/jobs/recording.sh" "$W/blkw" "$W/tiny" "$1/"
    # The 1.1.0 tools, all in one program; 0.9.0 is a package of the root tree.
    cp "$REFERENCE/apt/trixie/tree/usr/sbin/pdata_tools" "$1/"
    [ -z "${3-}" ] || echo "$3" >"$1/only"
    [ -z "${GIVEN-}" ] || cp -r --sparse=always "$GIVEN" "$1/"
}

job() { # JOB WANTED DISK-SIZE...
    local name=$1 wanted=$2 size disk disks=()
    shift 2
    assemble "$W/job-$name" "$name" "$wanted"
    rm -f "$W/$name-out.img"
    for size in "$@"; do
        disk=$W/$name-disk${#disks[@]}.img
        rm -f "$disk"
        truncate -s "$size" "$disk"
        disks+=("$disk")
    done
    "$here/03-run.sh" "$W/job-$name" "$W/$name-out.img" "${disks[@]}" >"$W/$name.log" 2>&1
    say "machine $name: $(grep -a 'JOB EXIT' "$W/$name.log")"
    "$here/04-collect.sh" "$W/$name-out.img"
    rm -f "$W/$name-out.img"
}

power_cut() {
    assemble "$W/job-crash" docker
    "$here/crash.sh" "$W/job-crash"
}

cut_file_systems() {
    assemble "$W/job-cut" power_cut
    assemble "$W/job-after" power_cut
    touch "$W/job-after/after"
    "$here/crash.sh" "$W/job-cut" "$W/job-after"
}

# What came out of the first machines goes into others: do LVM, dockerd and the kernel take it?
# The logs and disks of `fixtures/recovery` are then below $W/recoveries.
recoveries() {
    local name pool=$OUT/docker-direct-lvm-ext4-512k odd=$OUT/docker-files-direct-lvm-ext4-64k
    local loop=$OUT/docker-loop-lvm-xfs-64k
    OUT=$W/recoveries/lvm_commands job lvm_commands '' 400M
    rm -rf "$W/undelete" "$W/load"
    mkdir -p "$W/undelete" "$W/load"
    for name in meta:tmeta data:tdata; do
        cp --sparse=always "$OUT/a26-deleted-volumes/${name%:*}.img" "$W/undelete/${name#*:}.img"
    done
    cp --sparse=always "$OUT"/c05-lvm-two-disks/pv-vd?.img "$W/undelete/"
    OUT=$W/recoveries/undelete GIVEN=$W/undelete job undelete '' 160M 161M
    for name in $odd:odd $pool:demo $loop:loop; do
        local case=${name%:*} to=$W/load what=${name##*:} images=(base demo demo2) container=dead1
        [ "$what" != odd ] || images=(odd) container=odd
        local words=(-p "$case/meta.img" --data "$case/data.img" --docker-root "$case/docker-state")
        local tag=rescued file=${what/demo/dead1}
        [ "$what" != loop ] || tag=loop
        PYTHONPATH=$W/python python3 -m thinmeta save "${images[@]}" "${words[@]}" -o "$to/save-$what.tar"
        PYTHONPATH=$W/python python3 -m thinmeta commit $container $container:$tag "${words[@]}" \
            -o "$to/commit-$file.tar"
    done
    OUT=$W/recoveries/docker_load GIVEN=$W/load job docker_load '' 64M
}

# The checkout's thinmeta, and what it imports for the Python of Debian 12.
python_packages() {
    local needs
    mapfile -t needs < <(python3 -c 'import sys, tomllib
print(*tomllib.load(sys.stdin.buffer)["project"]["dependencies"], sep="\n")' \
        <"$(dirname "$tools")/pyproject.toml")
    rm -rf "$W/python"
    python3 -m pip install --target "$W/python" --python-version 3.11 --only-binary=:all: \
        "${needs[@]}" && cp -r "$(dirname "$tools")/thinmeta" "$W/python/"
}

mkdir -p "$W" "$OUT"
step reference-tools "$tools/reference-tools" "$REFERENCE"
step python python_packages
step blkw gcc -O2 -static -o "$W/blkw" "$here/blkw.c"
step tiny gcc -Os -static -nostdlib -fno-builtin -fno-stack-protector -fcf-protection=none \
    -s -o "$W/tiny" "$here/tiny.c"
step rootfs "$here/01-rootfs.sh"
step images "$here/02-images.sh"

# Two machines side by side.
if [ "$mode" = quick ]; then
    job plain "a01 a02 a03 a04 a08 a09 a10 a11 a13 a15 a16 a18 a19 a20 a22 a23 a24 a26" &
    first=$!
    job docker ext4 3072M &
    second=$!
else
    (
        job plain ''
        job lvm 'c01 c02 c03 c04' 1024M 1025M
        job lvm 'c05 c06 c07' 160M 161M
        job containers '' 450M 451M
        job large ''
    ) &
    first=$!
    (
        job docker '' 3072M 3073M 3074M
        power_cut
        cut_file_systems
    ) &
    second=$!
fi
wait $first $second
[ "$mode" = quick ] || recoveries
say machines

"$here/05-verify.py" --reference "$REFERENCE" "$OUT" || exit 1
say verified
"$tools/make_fixtures.sh" --into "$FIXTURES" --reference "$REFERENCE" "$OUT"
say "fixtures in $FIXTURES"
