#!/usr/bin/env bash
# Podman and containerd of Debian 12 on device-mapper thin pools (its own releases after 12 have no
# such driver): /dev/vdd and /dev/vde. All they run is tiny.c.

# shellcheck source-path=SCRIPTDIR source=recording.sh
. /job/recording.sh
/lib/systemd/systemd-udevd --daemon
udevadm trigger
udevadm settle

SIZE=$((64 << 20)) # of every volume

new_case() { # NAME ABOUT
    S=/out/$1
    mkdir -p "$S"
    : >"$S/commands.sh"
    say "== $1"
    echo "$2" >"$S/about.txt"
}

# A base with one program, and two build contexts: three files, one by one; and what changes them.
make_contexts() {
    local n
    mkdir -p /tmp/base/{etc,root,tmp,proc,sys,dev} /tmp/demo /tmp/demo2
    cp /job/tiny /tmp/base/tiny
    echo 'root:x:0:0:root:/root:/tiny' >/tmp/base/etc/passwd
    echo 'root:x:0:' >/tmp/base/etc/group
    tar -C /tmp/base --sort=name --numeric-owner --mtime='2020-01-01 00:00:00Z' -cf /tmp/base.tar .
    for n in 1 2 3; do echo $n$n$n >/tmp/demo/$n; done
    printf 'FROM localhost/base\n' >/tmp/demo/Dockerfile
    for n in 1 2 3; do echo "COPY $n /tmp/$n.txt"; done >>/tmp/demo/Dockerfile
    printf 'FROM localhost/demo\nCOPY big /srv/big.bin\nCOPY 1 /tmp/1.txt\n' >/tmp/demo2/Dockerfile
    head -c 1500000 /dev/zero | tr '\0' b >/tmp/demo2/big
    echo changed >/tmp/demo2/1
}

# Read each thin device through the kernel, and list its files.
truth() { # POOL < "ID SIZE [NAME]" A LINE
    local id size name
    mkdir -p "$S/truth/devs" /mnt
    while read -r id size name; do
        dmsetup create -r gt --table "0 $((size / 512)) thin $1 $id" || continue
        dd if=/dev/mapper/gt of="$S/truth/devs/$id.img" bs=1M iflag=direct conv=sparse 2>/dev/null
        dmsetup remove gt
        if mount -o loop,ro,noload "$S/truth/devs/$id.img" /mnt; then
            list_files /mnt "$S/truth/$id"
            umount /mnt
        else
            say "no mount $id"
        fi
        echo "$id $size${name:+ $name}" >>"$S/truth/ids.txt"
    done
    say 'truth done'
}

podman_case() {
    local pool=/dev/mapper/storage-thinpool root=/var/lib/containers/storage file tool
    new_case podman-direct-lvm-ext4-512k "real Podman 4.3.1, containers-storage's devicemapper driver\
 on the LVM thin pool that it makes (storage/thinpool, 512k), ext4: import base, build demo (3 COPY), build demo2\
 (2 COPY), containers dead1 (exited), gone (removed), runner (was running), created1"
    tool="podman --storage-driver devicemapper --storage-opt dm.directlvm_device=/dev/vdd"
    tool+=" --storage-opt dm.fs=ext4 --storage-opt dm.mountopt=nodev --storage-opt dm.basesize=64M --cgroup-manager cgroupfs"
    tool+=" --events-backend file --runtime runc"
    echo "alias podman='$tool'" >>"$S/commands.sh"
    podman() { command $tool "$@"; }
    run "podman info"
    run "podman import /tmp/base.tar localhost/base:latest"
    run "podman build --network host --isolation chroot -t localhost/demo /tmp/demo"
    run "podman build --network host --isolation chroot -t localhost/demo2 /tmp/demo2"
    say built
    run "podman run --name dead1 --hostname dead1 --network none localhost/demo /tiny" \
        "put /root/secret.txt rescued fill /root/blob.bin 700 rm /tmp/3.txt put /tmp/1.txt 111-edited"
    run "podman run --name gone --rm --network none localhost/demo /tiny fill /root/gone.bin 500"
    run "podman run -d --name runner --network none --label app=web localhost/demo2 /tiny" \
        "put /root/state.txt running sleep 1000"
    run "podman create --name created1 --network none localhost/base /tiny put /root/never 1"
    sleep 2
    say containers
    podman ps -a --no-trunc >"$S/podman-ps.txt"
    podman images -a --no-trunc --digests >"$S/podman-images.txt"
    podman inspect dead1 runner created1 >"$S/podman-inspect-containers.json"
    for file in dead1 runner; do podman diff $file | sort >"$S/podman-diff-$file.txt"; done
    for file in base demo demo2; do
        podman image inspect localhost/$file >"$S/podman-inspect-$file.json"
    done
    podman export dead1 >"$S/podman-export-dead1.tar"
    podman save --format docker-archive localhost/demo localhost/demo2 >"$S/podman-save.tar" 2>>"$S/log.txt"
    podman save -m --format docker-archive localhost/demo localhost/demo2 >"$S/podman-save-m.tar"
    cp "$S/podman-save-m.tar" /out/.images.tar
    dmsetup table >"$S/dmsetup-table-live.txt"
    dmsetup status >"$S/dmsetup-status-live.txt"
    say 'asked all'
    run "podman kill runner"
    sleep 1
    for file in $(dmsetup ls | awk '/^container-/{print $1}'); do
        umount "/dev/mapper/$file" 2>/dev/null
        run dmsetup remove "$file"
    done
    mkdir -p "$S/storage"
    cp -a $root/devicemapper-* "$S/storage/"
    mkdir -p "$S/storage/devicemapper"
    cp -a $root/devicemapper/metadata "$S/storage/devicemapper/"
    find $root -maxdepth 4 | sort >"$S/storage-root-tree.txt"
    run "vgcfgbackup -f $S/vgcfgbackup.txt storage"
    run lvchange -an storage/thinpool
    run lvchange -y -ay storage/thinpool_tmeta
    run lvchange -y -ay storage/thinpool_tdata
    run "dd if=${pool}_tmeta of=$S/meta.img bs=1M conv=sparse"
    run "dd if=${pool}_tdata of=$S/data.img bs=1M iflag=direct conv=sparse"
    run lvchange -an storage/thinpool_tmeta
    run lvchange -an storage/thinpool_tdata
    run lvchange -ay storage/thinpool
    for file in "$S"/storage/devicemapper/metadata/*; do
        case ${file##*/} in deviceset-metadata | transaction-metadata) continue ;; esac
        echo "$(jq -r .device_id "$file") $(jq -r .size "$file") ${file##*/}"
    done | sort -n | truth $pool
    run vgchange -an storage
}

containerd_case() {
    local pool=containerd-pool root=/var/lib/containerd daemon space
    new_case containerd-devmapper-ext4-64k "real containerd 1.6.20, its devmapper snapshotter on a\
 thin pool (64k) of dmsetup, ext4: images demo and demo2 in the namespaces default and k8s.io (labels\
 of Kubernetes), containers dead1 (exited), gone (removed), runner (was running), pod-container"
    truncate -s 4M /out/.containerd-meta
    run "blkdiscard -f /dev/vde"
    meta=$(losetup -f --show /out/.containerd-meta)
    run "dmsetup create $pool --table '0 $(blockdev --getsz /dev/vde) thin-pool $meta /dev/vde 128 32768 1 skip_block_zeroing'"
    mkdir -p /etc/containerd
    cat >/etc/containerd/config.toml <<C
version = 2
root = "$root"
state = "/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[plugins."io.containerd.snapshotter.v1.devmapper"]
  pool_name = "$pool"
  base_image_size = "64MB"
  fs_type = "ext4"
C
    cp /etc/containerd/config.toml "$S/config.toml"
    containerd >"$S/containerd.log" 2>&1 &
    daemon=$!
    for _ in {1..60}; do ctr version >/dev/null 2>&1 && break; sleep 0.5; done
    run "ctr version"
    run "ctr plugins ls | grep -i -e devmapper -e overlayfs"
    for space in default k8s.io; do
        run "ctr -n $space images import --snapshotter devmapper /out/.images.tar"
    done
    say imported
    run "ctr run --snapshotter devmapper localhost/demo:latest dead1 /tiny" \
        "put /root/secret.txt rescued fill /root/blob.bin 700 rm /tmp/3.txt put /tmp/1.txt 111-edited"
    run "ctr run --rm --snapshotter devmapper localhost/demo:latest gone /tiny fill /root/gone.bin 500"
    run "ctr run -d --snapshotter devmapper --label app=web localhost/demo2:latest runner /tiny" \
        "put /root/state.txt running sleep 1000"
    run "ctr -n k8s.io run --snapshotter devmapper --label io.kubernetes.pod.name=web-0" \
        "--label io.kubernetes.pod.namespace=shop --label io.kubernetes.container.name=app" \
        "localhost/demo:latest 4e1f7c2a9b0d4e1f7c2a9b0d4e1f7c2a9b0d4e1f7c2a9b0d4e1f7c2a9b0d4e1f" \
        "/tiny put /root/pod.txt pod"
    say containers
    for space in default k8s.io; do
        ctr -n $space images ls >"$S/ctr-$space-images.txt"
        ctr -n $space containers ls >"$S/ctr-$space-containers.txt"
        ctr -n $space snapshots --snapshotter devmapper ls >"$S/ctr-$space-snapshots.txt"
        ctr -n $space snapshots --snapshotter devmapper tree >"$S/ctr-$space-tree.txt"
    done
    ctr containers info dead1 >"$S/ctr-info-dead1.json"
    dmsetup table >"$S/dmsetup-table-live.txt"
    dmsetup status >"$S/dmsetup-status-live.txt"
    run "ctr task kill -s SIGKILL runner"
    sleep 1
    kill -TERM $daemon
    wait $daemon
    sync
    find $root -maxdepth 3 | sort >"$S/containerd-root-tree.txt"
    local folder
    for folder in io.containerd.metadata.v1.bolt io.containerd.snapshotter.v1.devmapper; do
        mkdir -p "$S/containerd/$folder"
        cp $root/$folder/*.db "$S/containerd/$folder/"
    done
    for _ in 1 2 3; do
        for folder in $(dmsetup ls | awk "/^$pool-snap/{print \$1}"); do
            umount "/dev/mapper/$folder" 2>/dev/null
            run dmsetup remove "$folder"
        done
    done
    run "dmsetup remove $pool"
    cp --sparse=always /out/.containerd-meta "$S/meta.img"
    run "dd if=/dev/vde of=$S/data.img bs=1M iflag=direct conv=sparse"
    run "dmsetup create $pool --table '0 $(blockdev --getsz /dev/vde) thin-pool $meta /dev/vde 128 0 1 skip_block_zeroing'"
    thin_ls --no-headers -o DEV "$S/meta.img" | while read -r id; do
        echo "$id $SIZE"
    done | truth /dev/mapper/$pool
    dmsetup remove $pool
    losetup -D
    rm -f /out/.containerd-meta /out/.images.tar
}

make_contexts
podman_case
containerd_case
say 'all done'
