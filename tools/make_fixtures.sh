#!/usr/bin/env bash
# Turn what tools/vm made into cases under fixtures/: pack the metadata images, then
# record what the reference tools print for them.
#
#   tools/make_fixtures.sh [--into DIR] [--reference DIR] IMAGES [CASE...]
#
# IMAGES holds a folder for each case, with meta.img and perhaps meta-*.img, also one
# folder deeper (a second pool). Without CASE all are taken. --into is where the cases
# go (fixtures/), --reference where tools/reference-tools put the tools
# (.reference-tools/). What else a case of fixtures/ needs (data, origin, physical volume, what
# Docker and LVM say: see tests/test_house_rules.py) is copied by hand.
set -euo pipefail

usage() {
    sed -n 's/^# \{0,1\}//; 5p' "$0" >&2
    exit 2
}

here=$(cd "$(dirname "$0")" && pwd)
into=$here/../fixtures
reference=$here/../.reference-tools
while [[ ${1:-} == --* ]]; do
    [ $# -ge 2 ] || usage
    case $1 in
        --into) into=$2 ;;
        --reference) reference=$2 ;;
        *) usage ;;
    esac
    shift 2
done
[ $# -ge 1 ] || usage
images=$1
shift
if [ $# -eq 0 ]; then
    for folder in "$images"/*/; do set -- "$@" "$(basename "$folder")"; done
fi

# What CASE.toml says of where a case comes from: the job that makes such names.
head_of() { # CASE
    local job made with='dmsetup 1.02.185'
    case $1 in
        docker-*) job=docker with='docker.io 20.10.24 and its devicemapper storage driver' ;;
        a*) job=plain ;;
        c*) job=lvm with='lvm2 2.03.16' ;;
        d*) job=large ;;
        power-cut-*) job=power_cut ;;
        podman-*) job=containers with="podman 4.3.1 and containers-storage's devicemapper driver" ;;
        containerd-*) job=containers with='containerd 1.6.20 and its devmapper snapshotter' ;;
        *) echo "make_fixtures: no job in tools/vm makes $1" >&2 && return 1 ;;
    esac
    made="Real kernel: Linux 6.1 (Debian 12) in a virtual machine, $with."
    echo "origin = \"$made Recipe: tools/vm/jobs/$job.sh; what it ran: commands.sh.\""
    # An image layer and the one above it, which differ by a file.
    case $1 in
        docker-files-*) echo 'delta_pairs = [[2, 4]]' ;;
        docker-*) echo 'delta_pairs = [[11, 14]]' ;;
    esac
}

cases=()
for name in "$@"; do
    from=$images/$name
    case=$into/$name
    if [ -n "$(find "$from" -name 'meta*.img' -size +1G)" ]; then
        echo "make_fixtures: $name is left out, its metadata is larger than 1 GiB" >&2
        continue
    fi
    mkdir -p "$case"
    [ -e "$case/CASE.toml" ] || head_of "$name" >"$case/CASE.toml"
    cp "$from/about.txt" "$from/commands.sh" "$case/"
    find "$case" -name 'meta*.bin.xz' -delete
    # truth/devs holds whole thin devices, which may bear any name.
    (cd "$from" && find . -path '*/devs' -prune -o -path '*/truth/ids.txt' -print) |
        while read -r ids; do install -D -m 644 "$from/$ids" "$case/$ids"; done
    (cd "$from" && find . -path '*/devs' -prune -o -name 'meta*.img' -printf '%P\n') |
        while read -r image; do
            mkdir -p "$case/$(dirname "$image")"
            xz -9e -c "$from/$image" >"$case/${image%.img}.bin.xz"
        done
    cases+=("$case")
done
if [ ${#cases[@]} -eq 0 ]; then
    echo "make_fixtures: nothing to take in $images" >&2
    exit 1
fi
exec "$here/record_golden.py" --reference "$reference" "${cases[@]}"
