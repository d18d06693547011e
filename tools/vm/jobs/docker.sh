#!/usr/bin/env bash
# The real devicemapper storage driver of Docker 20.10, on raw disks (direct-lvm:
# /dev/vdd, /dev/vde) and on its own sparse files (loop-lvm). All it runs is busybox.

# The classic builder makes a device for each step, which is what we are after.
export DOCKER_BUILDKIT=0
unset DM_DISABLE_UDEV
# shellcheck source-path=SCRIPTDIR source=recording.sh
. /job/recording.sh
/lib/systemd/systemd-udevd --daemon
udevadm trigger
udevadm settle
mkdir -p /etc/lvm
sed -i 's/^\s*use_devicesfile.*//' /etc/lvm/lvm.conf

STATE=/var/lib/docker

# ---- what goes into the images

APPLETS='sh ls cat echo sleep dd mkdir rm mv ln chmod find sha256sum sync touch true mount
date head tail od setfattr'

# A root file system with busybox alone, and two build contexts.
make_base() {
    local applet
    mkdir -p /tmp/base/{bin,etc,root,tmp,proc,sys,dev,var,usr}
    chmod 1777 /tmp/base/tmp
    cp /bin/busybox /tmp/base/bin/busybox
    for applet in $APPLETS; do ln -sf busybox "/tmp/base/bin/$applet"; done
    echo 'root:x:0:0:root:/root:/bin/sh' >/tmp/base/etc/passwd
    echo 'root:x:0:' >/tmp/base/etc/group
    tar -C /tmp/base --sort=name --numeric-owner --mtime='2020-01-01 00:00:00Z' \
        -cf /tmp/base.tar .

    mkdir -p /tmp/ctx /tmp/ctx2
    echo 111 >/tmp/ctx/1
    echo 222 >/tmp/ctx/2
    echo 333 >/tmp/ctx/3
    cat >/tmp/ctx/Dockerfile <<'E'
FROM base
COPY 1 /tmp/1.txt
COPY 2 /tmp/2.txt
COPY 3 /tmp/3.txt
E
    cat >/tmp/ctx2/Dockerfile <<'E'
FROM demo
RUN rm /tmp/2.txt
RUN echo changed > /tmp/1.txt; mkdir -p /srv/app; dd if=/dev/urandom of=/srv/app/big.bin bs=64k count=24; ln -s /tmp/3.txt /srv/app/link
RUN mv /srv/app/big.bin /srv/app/moved.bin
ENV A=b
CMD ["/bin/sh","-c","sleep 1000"]
E
}

# ---- the daemon

DAEMON="--iptables=false --ip-forward=false --ip-masq=false --bridge=none \
--exec-opt native.cgroupdriver=cgroupfs --data-root $STATE"

start_docker() {
    local command="dockerd --storage-driver devicemapper $OPTIONS $DAEMON"
    printf '%s &\n' "$command" >>"$S/commands.sh"
    $command >>"$S/dockerd.log" 2>&1 &
    DAEMON_ID=$!
    for _ in {1..240}; do
        docker version >"$S/docker-version.txt" 2>&1 && break
        kill -0 $DAEMON_ID 2>/dev/null || break
        sleep 0.5
    done
    if ! docker version >/dev/null 2>&1; then
        say "dockerd failed"
        tail -15 "$S/dockerd.log"
        return 1
    fi
    say "dockerd up"
}

stop_docker() {
    echo "kill -TERM <dockerd>; wait" >>"$S/commands.sh"
    kill -TERM $DAEMON_ID
    wait $DAEMON_ID
    say "dockerd stopped rc=$?"
}

make_thin_pool() { # DISK ZERO CHUNK
    run pvcreate -y "$1"
    run vgcreate dockervg "$1"
    run lvcreate -y --type thin-pool --zero "$2" -c "$3" --poolmetadatasize 16M -L 2G \
        -n docker-pool dockervg
    OPTIONS+=" --storage-opt dm.thinpooldev=/dev/mapper/dockervg-docker--pool"
    OPTIONS+=" --storage-opt dm.use_deferred_removal=true"
    OPTIONS+=" --storage-opt dm.use_deferred_deletion=true"
}

# ---- what is done with it

build_and_run() {
    run "docker import /tmp/base.tar base:latest"
    run "docker build --no-cache -t demo /tmp/ctx"
    say built demo
    run "docker build --no-cache --network none -t demo2 /tmp/ctx2"
    say built demo2
    # One that exited after it wrote about 5 MB, and is kept.
    run "docker run --name dead1 --hostname dead1 --network none demo /bin/sh -c" \
        "'echo rescued > /root/secret.txt; dd if=/dev/urandom of=/root/blob.bin bs=64k count=80;" \
        "sha256sum /root/blob.bin /root/secret.txt; rm /tmp/3.txt;" \
        "echo 111-edited > /tmp/1.txt; sync'"
    # One that was removed after it wrote: its device is deleted.
    run "docker run --name gone --rm --network none demo /bin/sh -c" \
        "'dd if=/dev/zero of=/root/gone.bin bs=64k count=32; sync'"
    # One that is running, and one that never ran.
    run "docker run -d --name runner --hostname runner --network none demo2 /bin/sh -c" \
        "'echo running > /root/state.txt; dd if=/dev/urandom of=/var/log.bin bs=64k count=16;" \
        "sync; while true; do date >> /root/ticks.txt; sleep 1; done'"
    run "docker create --name created1 --network none base /bin/true"
    sleep 4
    sync
    say 'containers done'
}

describe() {
    local image container
    run "docker ps -a --no-trunc"
    docker ps -a --no-trunc >"$S/docker-ps.txt"
    docker images -a --no-trunc --digests >"$S/docker-images.txt"
    docker info >"$S/docker-info.txt" 2>&1
    for image in base demo demo2; do
        docker history --no-trunc $image >"$S/docker-history-$image.txt"
    done
    # shellcheck disable=SC2046  # one argument for each image
    docker image inspect $(docker images -aq --no-trunc | sort -u) \
        >"$S/docker-inspect-images.json"
    docker inspect dead1 runner created1 >"$S/docker-inspect-containers.json"
    dmsetup ls >"$S/dmsetup-ls-live.txt"
    dmsetup table >"$S/dmsetup-table-live.txt"
    dmsetup status >"$S/dmsetup-status-live.txt"
    dmsetup info -c >"$S/dmsetup-info-live.txt"
    for container in dead1 runner; do
        docker diff $container | sort >"$S/docker-diff-$container.txt"
        docker logs $container >"$S/docker-logs-$container.txt" 2>&1
    done
    docker export dead1 | sha256sum >"$S/docker-export-dead1.sha256"
}

# The metadata of the live pool, as it is and with a metadata snapshot reserved.
copy_live_metadata() { # METADATA-DEVICE POOL
    run "dd if=$1 of=$S/meta-live-raw.img bs=1M iflag=direct conv=sparse"
    run "dmsetup message $2 0 reserve_metadata_snap"
    run "dmsetup status $2"
    run "dd if=$1 of=$S/meta-live-msnap.img bs=1M iflag=direct conv=sparse"
    keep live-thin_dump-m.xml thin_dump -m "$1"
    keep live-thin_dump.xml thin_dump "$1"
    keep live-thin_dump11-m.xml /job/pdata_tools thin_dump -m "$1"
    keep live-thin_dump11.xml /job/pdata_tools thin_dump "$1"
    keep live-raw-copy.xml thin_dump "$S/meta-live-raw.img"
    run "dmsetup message $2 0 release_metadata_snap"
    say 'live copies done'
}

# What Docker itself keeps about devices and images.
keep_docker_state() { # OUT
    mkdir -p "$1/docker-state/devicemapper" "$1/docker-state/image"
    cp -a $STATE/devicemapper/metadata "$1/docker-state/devicemapper/"
    cp -a $STATE/image/devicemapper "$1/docker-state/image/"
}

keep_container_state() {
    local container to
    for container in "$STATE"/containers/*; do
        to=$S/docker-state/containers/$(basename "$container")
        mkdir -p "$to"
        cp -a "$container"/*.json "$container"/*.log "$to/" 2>/dev/null
    done
    (cd $STATE && find . -maxdepth 4 -not -path './containerd/*' | sort) \
        >"$S/docker-root-tree.txt"
}

# Read every device Docker knows of through the kernel, and list its files.
truth() { # POOL-DEVICE FILE-SYSTEM
    local file name id size options=ro,noload
    # Neither file system replays its journal: the image stays as it was left.
    [ "$2" = xfs ] && options=ro,norecovery,nouuid
    mkdir -p "$S/truth/devs"
    for file in "$S"/docker-state/devicemapper/metadata/*; do
        name=$(basename "$file")
        case $name in deviceset-metadata | transaction-metadata) continue ;; esac
        id=$(jq -r .device_id "$file")
        size=$(jq -r .size "$file")
        if ! dmsetup create -r "gt$id" --table "0 $((size / 512)) thin $1 $id"; then
            say "cannot activate $id"
            continue
        fi
        dd if="/dev/mapper/gt$id" of="$S/truth/devs/$id.img" bs=1M iflag=direct conv=sparse \
            2>/dev/null
        dmsetup remove "gt$id"
        mkdir -p /mnt
        if mount -o "loop,$options" "$S/truth/devs/$id.img" /mnt; then
            list_files /mnt "$S/truth/$id"
            umount /mnt
        else
            say "no mount $id"
        fi
        echo "$id $size $name" >>"$S/truth/ids.txt"
    done
    say 'truth done'
}

new_case() { # NAME FILE-SYSTEM ABOUT
    S=/out/$1
    mkdir -p "$S"
    : >"$S/commands.sh"
    say "== $1"
    echo "$3" >"$S/about.txt"
    OPTIONS="--storage-opt dm.fs=$2 --storage-opt dm.basesize=512M"
}

forget_docker() {
    rm -rf $STATE /run/docker* /var/run/docker*
    mkdir -p $STATE
}

# ---- the cases

direct_lvm() { # NAME FILE-SYSTEM CHUNK ZERO DISK
    local device pool=/dev/mapper/dockervg-docker--pool
    new_case "$1" "$2" "real Docker 20.10.24, devicemapper, direct-lvm\
 (dockervg/docker-pool, lvcreate --zero $4 -c $3), dm.fs=$2 dm.basesize=512M: import base,\
 build demo (3 COPY), build demo2 (RUN rm/modify/move), containers dead1 (exited), gone\
 (removed), runner (running), created1"
    forget_docker
    make_thin_pool "$5" "$4" "$3"
    start_docker || return 1
    docker info >"$S/docker-info-start.txt" 2>&1
    echo dockervg-docker--pool >"$S/pool-name.txt"
    build_and_run
    describe
    copy_live_metadata ${pool}_tmeta "$(dmsetup ls --target thin-pool | awk 'NR==1{print $1}')"
    stop_docker
    keep_docker_state "$S"
    keep_container_state
    dmsetup table >"$S/dmsetup-table-stopped.txt"
    dmsetup status >"$S/dmsetup-status-stopped.txt"

    for device in $(dmsetup ls | awk '/^docker-/{print $1}'); do run dmsetup remove "$device"; done
    run "vgcfgbackup -f $S/vgcfgbackup-dockervg.txt dockervg"
    lvs -a -o +seg_monitor,chunksize,zero,discards,transaction_id,thin_id >"$S/lvs.txt" 2>&1
    run lvchange -an dockervg/docker-pool
    run lvchange -y -ay dockervg/docker-pool_tmeta
    run lvchange -y -ay dockervg/docker-pool_tdata
    run "dd if=${pool}_tmeta of=$S/meta.img bs=1M conv=sparse"
    run "dd if=${pool}_tdata of=$S/data.img bs=1M iflag=direct conv=sparse"
    run lvchange -an dockervg/docker-pool_tmeta
    run lvchange -an dockervg/docker-pool_tdata
    cp --sparse=always /etc/lvm/backup/dockervg "$S/lvm-backup-dockervg.txt"
    run lvchange -ay dockervg/docker-pool
    [ -e $pool ] || dmsetup ls
    say 'copies done'
    truth $pool "$2"
    run vgchange -an dockervg
    sync
}

loop_lvm() { # NAME FILE-SYSTEM
    local metadata data device metadata_device pool
    new_case "$1" "$2" "Docker's loop-lvm mode (sparse data/metadata files, 64k blocks, low\
 water mark 32768, skip_block_zeroing), dm.fs=$2; same images and containers"
    forget_docker
    # On the output disk Docker's sparse files stay sparse.
    mkdir -p "$S/docker-root"
    mount --bind "$S/docker-root" $STATE
    OPTIONS+=" --storage-opt dm.loopdatasize=2G --storage-opt dm.loopmetadatasize=16M"
    start_docker || return 1
    docker info >"$S/docker-info-start.txt" 2>&1
    pool=$(dmsetup ls | awk '/-pool/{print $1}')
    echo "$pool" >"$S/pool-name.txt"
    build_and_run
    describe
    metadata_device=$(losetup -n -O NAME,BACK-FILE | awk '/devicemapper\/metadata/{print $1}')
    copy_live_metadata "$metadata_device" "$pool"
    stop_docker
    keep_docker_state "$S"
    keep_container_state
    dmsetup table >"$S/dmsetup-table-stopped.txt"
    dmsetup status >"$S/dmsetup-status-stopped.txt"

    for device in $(dmsetup ls | awk '/^docker-.*-[0-9a-f-]*$/{print $1}' | grep -v -- '-pool$'); do
        run dmsetup remove "$device"
    done
    run dmsetup remove "$pool"
    losetup -D
    run "cp --sparse=always $STATE/devicemapper/devicemapper/metadata $S/meta.img"
    run "cp --sparse=always $STATE/devicemapper/devicemapper/data $S/data.img"
    # Activating a pool writes to it, so the truth comes from one over copies.
    cp --sparse=always "$S/meta.img" /out/.gt-meta
    cp --sparse=always "$S/data.img" /out/.gt-data
    metadata=$(losetup -f --show /out/.gt-meta)
    data=$(losetup -f --show /out/.gt-data)
    local table="thin-pool $metadata $data 128 0 1 skip_block_zeroing"
    dmsetup create gtpool --table "0 $(blockdev --getsz "$data") $table"
    say 'copies done'
    truth /dev/mapper/gtpool "$2"
    dmsetup remove gtpool
    losetup -D
    rm -f /out/.gt-*
    umount $STATE
    rm -rf "$S/docker-root"
    sync
}

# The host cuts the power, when crash.sh reads CRASHNOW, while a container writes.
power_cut() { # NAME FILE-SYSTEM CHUNK DISK
    local container late on_disk
    new_case "$1" "$2" "direct-lvm pool ($3 blocks, dm.fs=$2) of a machine whose power was cut\
 while a container was writing and others were starting"
    make_thin_pool "$4" y "$3"
    # All that is kept goes to the output disk in one sweep, before the disk is frozen.
    on_disk=$S
    S=/run/s
    mkdir -p $S
    cp "$on_disk/commands.sh" $S/
    start_docker || return 1
    run "docker import /tmp/base.tar base:latest"
    run "docker build --no-cache -t demo /tmp/ctx"
    run "docker run --name dead1 --network none demo /bin/sh -c" \
        "'echo rescued > /root/secret.txt; dd if=/dev/urandom of=/root/blob.bin bs=64k count=80;" \
        "sha256sum /root/blob.bin /root/secret.txt; sync'"
    run "docker run -d --name victim --network none demo /bin/sh -c" \
        "'echo victim > /root/state.txt; dd if=/dev/urandom of=/root/synced.bin bs=64k count=40;" \
        "sha256sum /root/synced.bin; sync; i=0; while true; do i=\$((i+1));" \
        "dd if=/dev/urandom of=/root/f\$i bs=64k count=4;" \
        "[ \$((i%4)) = 0 ] && rm /root/f\$((i-2)); done'"
    sleep 6
    for container in dead1 victim; do
        docker logs $container >$S/docker-logs-$container.txt 2>&1
    done
    docker ps -a --no-trunc >$S/docker-ps.txt
    docker inspect dead1 victim >$S/docker-inspect-containers.json
    dmsetup table >$S/dmsetup-table-live.txt
    dmsetup status >$S/dmsetup-status-live.txt
    vgcfgbackup -f $S/vgcfgbackup-dockervg.txt dockervg >/dev/null 2>&1
    keep_docker_state $S
    echo "power cut (host kills the VM) while 'victim' writes and 'docker run' starts" \
        "another container" >>$S/commands.sh
    cp -a $S/. "$on_disk/"
    sync
    mount -o remount,ro /out
    say CRASHNOW
    for late in {1..6}; do
        docker run --name "late$late" --network none demo /bin/sh -c \
            'dd if=/dev/urandom of=/root/late bs=64k count=32' >/dev/null 2>&1
    done
    sleep 600
}

# ---- files of every kind

# Everything that a tar may get wrong. The tools are the machine's: busybox has none of them.
odd_files() { # FOLDER
    local long
    long=$(printf 'n%.0s' {1..120})
    mkdir -p "$1"
    cd "$1" || return
    echo one >hard-1
    ln hard-1 hard-2
    ln hard-1 "$long-hard-3"
    echo able >able
    chmod 755 able
    setcap cap_net_raw,cap_net_admin+ep able
    echo acl >acl
    setfacl -m u:1000:rw,g:33:r acl
    mkdir acl-folder
    setfacl -d -m u:1000:rwx acl-folder
    echo attributes >attributes
    setfattr -n user.short -v short attributes
    setfattr -n user.long -v "$(printf 'v%.0s' {1..900})" attributes
    setfattr -n trusted.of -v root attributes
    echo long >"$long-name"
    mkdir -p "$(printf 'd%.0s' {1..90})/$(printf 'e%.0s' {1..90})"
    echo deep >"$(printf 'd%.0s' {1..90})/$(printf 'e%.0s' {1..90})/$(printf 'f%.0s' {1..90})"
    echo longest >"$(printf 'x%.0s' {1..255})"
    ln -s "$(printf 't%.0s' {1..150})" long-link
    ln -s "$(printf 'u%.0s' {1..900})" longest-link
    echo latin >"$(printf 'caf\351')"
    echo utf8 >"$(printf 'caf\303\251')"
    ln -s "$(printf 'caf\303\251')" to-utf8
    echo lines >"$(printf 'two\nlines')"
    echo space >' space '
    : >empty
    truncate -s 3000000 sparse
    printf middle | dd of=sparse bs=1 seek=1500000 conv=notrunc 2>/dev/null
    mknod null c 1 3
    mknod large-numbers b 259 70000
    mkfifo fifo
    python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket")'
    for id in 0 33 34 1000 2000 65534; do
        echo "$id" >"owner-$id"
        chown "$id:$id" "owner-$id"
    done
    echo 2097152 >owner-large
    chown 2097152:4000000000 owner-large
    echo bits >bits
    chmod 6755 bits
    mkdir sticky
    chmod 1777 sticky
    echo 1969 >before-1970
    touch -d '1969-12-31 23:59:58.25Z' before-1970
    echo 2040 >after-2038
    touch -d '2040-01-01 00:00:00.5Z' after-2038
    echo 2446 >far
    touch -d '2446-01-01 00:00:00Z' far
    cd / || return
}

# An image with one of each, and with what is changed and removed later. Of the users that
# own files some are in its /etc/passwd, some in the machine's, some in both.
odd_base() {
    local root=/tmp/odd name
    rm -rf $root
    cp -a /tmp/base $root
    cat >$root/etc/passwd <<'E'
root:x:0:0:root:/root:/bin/sh
ann:x:1000:1000::/home/ann:/bin/sh
inside:x:34:34::/:/bin/sh
E
    printf 'root:x:0:\nann:x:1000:\nweb-inside:x:33:\n' >$root/etc/group
    odd_files $root/odd
    rm $root/odd/socket
    mkdir -p $root/change/{folder,emptied,to-file,to-link,renamed,touched}
    for name in folder/a folder/b emptied/a emptied/b to-file/a to-link/a renamed/a \
        touched/a content mode owner time same attribute removed to-folder; do
        echo "$name" >"$root/change/$name"
    done
    ln $root/change/same $root/change/same-2
    tar -C $root --sort=name --numeric-owner --xattrs --xattrs-include='*' --acls \
        --format=posix --pax-option=delete=atime,delete=ctime -cf /tmp/odd.tar .
    tar -C $root/odd --numeric-owner -cf /tmp/ctx3/odd.tar .
}

change_things() { # FOLDER
    cd "$1" || return
    rm -r folder removed emptied/* to-file to-link to-folder
    echo now >to-file
    ln -s same to-link
    mkdir to-folder
    echo inside >to-folder/inside
    mv renamed renamed-now
    echo more >>content
    chmod 700 mode
    chown 1000 owner
    touch -d '2021-02-03 04:05:06.789Z' time
    setfattr -n user.new -v new attribute
    touch touched
    ln same same-3
    cd / || return
}

describe_odd() {
    local tag
    docker ps -a --no-trunc >"$S/docker-ps.txt"
    docker images -a --no-trunc --digests >"$S/docker-images.txt"
    docker diff odd >"$S/docker-diff-odd.txt"
    run "docker export odd -o $S/docker-export-odd.tar"
    run "docker export never -o $S/docker-export-never.tar"
    run "docker save odd:built odd:base -o $S/docker-save.tar"
    run "docker commit -m message -a author odd odd:committed"
    run "docker save odd:committed -o $S/docker-save-committed.tar"
    # shellcheck disable=SC2046  # one argument for each image
    docker image inspect $(docker images -aq --no-trunc | sort -u) \
        >"$S/docker-inspect-images.json"
    docker inspect odd never >"$S/docker-inspect-containers.json"
    for tag in base built committed; do
        docker history --no-trunc odd:$tag >"$S/docker-history-$tag.txt"
    done
    dmsetup table >"$S/dmsetup-table-live.txt"
    dmsetup status >"$S/dmsetup-status-live.txt"
}

# An image and a container with such files; what export, save, commit and diff make of them.
odd_things() { # NAME FILE-SYSTEM CHUNK DISK
    local mounted device pool=/dev/mapper/dockervg-docker--pool
    new_case "$1" "$2" "real Docker 20.10.24, devicemapper, direct-lvm ($3 blocks), dm.fs=$2: an\
 image and a container with files of every kind, and what export, save, commit and diff gave"
    forget_docker
    mkdir -p /tmp/ctx3
    odd_base
    make_thin_pool "$4" y "$3"
    start_docker || return 1
    echo dockervg-docker--pool >"$S/pool-name.txt"
    run "docker import -c 'ENV FROM=base' -c 'CMD [\"/bin/sh\"]' /tmp/odd.tar odd:base"
    cat >/tmp/ctx3/Dockerfile <<'E'
FROM odd:base
ADD odd.tar /added
RUN rm -r /added/acl-folder /change/emptied/a; echo by-run > /added/by-run; ln /added/able /added/able-2
LABEL of=odd
ENV A="b c"
WORKDIR /change
E
    run "docker build --no-cache --network none -t odd:built /tmp/ctx3"
    run "docker run -d --name odd --hostname odd --network none -v /data -v /tmp/ctx:/bound" \
        "-e E=f --label l=m odd:built /bin/sleep 1000"
    sleep 2
    mounted=$(findmnt -rno TARGET | grep "^$STATE/devicemapper/mnt/" | head -1)/rootfs
    say "mounted on $mounted"
    odd_files "$mounted/odd-now"
    change_things "$mounted/change"
    echo in-the-volume >"$(docker inspect -f '{{range .Mounts}}{{if eq .Destination "/data"}}{{.Source}}{{end}}{{end}}' odd)/file"
    echo "odd_files ROOTFS/odd-now; change_things ROOTFS/change" >>"$S/commands.sh"
    run "docker stop -t 0 odd"
    run "docker create --name never odd:built /bin/true"
    describe_odd
    copy_live_metadata ${pool}_tmeta "$(dmsetup ls --target thin-pool | awk 'NR==1{print $1}')"
    stop_docker
    keep_docker_state "$S"
    keep_container_state
    dmsetup table >"$S/dmsetup-table-stopped.txt"
    for device in $(dmsetup ls | awk '/^docker-/{print $1}'); do run dmsetup remove "$device"; done
    run "vgcfgbackup -f $S/vgcfgbackup-dockervg.txt dockervg"
    run lvchange -an dockervg/docker-pool
    run lvchange -y -ay dockervg/docker-pool_tmeta
    run lvchange -y -ay dockervg/docker-pool_tdata
    run "dd if=${pool}_tmeta of=$S/meta.img bs=1M conv=sparse"
    run "dd if=${pool}_tdata of=$S/data.img bs=1M iflag=direct conv=sparse"
    run lvchange -an dockervg/docker-pool_tmeta
    run lvchange -an dockervg/docker-pool_tdata
    run lvchange -ay dockervg/docker-pool
    truth $pool "$2"
    run vgchange -an dockervg
    sync
}

make_base
if [ -e /job/crash ]; then
    power_cut docker-power-cut-direct-lvm-xfs-64k xfs 64k /dev/vdd
    exit
fi
for wanted in $(cat /job/only 2>/dev/null || echo ext4 xfs loop files); do
    case $wanted in
        ext4)
            direct_lvm docker-direct-lvm-ext4-512k ext4 512k n /dev/vdd
            # The next case's volume group has the same name.
            vgchange -an dockervg >/dev/null 2>&1
            vgexport dockervg >/dev/null 2>&1
            wipefs -aq /dev/vdd >/dev/null 2>&1
            ;;
        xfs) direct_lvm docker-direct-lvm-xfs-64k xfs 64k y /dev/vde ;;
        loop) loop_lvm docker-loop-lvm-xfs-64k xfs ;;
        files) odd_things docker-files-direct-lvm-ext4-64k ext4 64k /dev/vdf ;;
    esac
done
