#!/usr/bin/env bash
# What `thinmeta save` and `thinmeta commit` wrote, in /job/load/*.tar, is loaded by the real dockerd.
# The log is kept in fixtures/recovery.

# shellcheck source-path=SCRIPTDIR source=recording.sh
. /job/recording.sh
/lib/systemd/systemd-udevd --daemon
udevadm trigger
udevadm settle
mkdir -p /out/recovery
LOG=/out/recovery/docker-load.log

# Run a command line and keep it in the log, with what it prints and how it ends.
show() { # COMMAND LINE
    local status
    printf '$ %s\n' "$*" >>"$LOG"
    eval "$*" >>"$LOG" 2>&1
    status=$?
    [ $status = 0 ] || echo "(exit $status)" >>"$LOG"
}

dockerd --storage-driver overlay2 --iptables=false --ip-forward=false --ip-masq=false --bridge=none \
    --exec-opt native.cgroupdriver=cgroupfs --data-root /out/.docker >/dev/shm/dockerd.txt 2>&1 &
daemon=$!
for _ in {1..240}; do
    docker version >/dev/null 2>&1 && break
    sleep 0.5
done
say 'dockerd up'
show "docker version --format '{{.Server.Version}}'"
cd /job/load || exit 1
for archive in *.tar; do
    show "docker load -i $archive"
    show "docker images --no-trunc --format '{{.Repository}}:{{.Tag}} {{.ID}}' | sort"
    case $archive in
        commit-odd.tar) show "docker image inspect odd:rescued --format '{{json .Config}}'" ;;
        commit-*.tar)
            image=dead1:${archive#commit-}
            image=${image/dead1.tar/rescued}
            image=${image%.tar}
            show "docker run --rm --network none $image /bin/cat /root/secret.txt /tmp/1.txt"
            show "docker run --rm --network none $image /bin/sha256sum /root/blob.bin"
            show "docker run --rm --network none $image /bin/ls /tmp"
            ;;
        save-demo.tar | save-loop.tar)
            show "docker run --rm --network none demo /bin/ls /tmp"
            ;;
    esac
    # shellcheck disable=SC2046  # one argument for each image
    docker rmi -f $(docker images -aq | sort -u) >/dev/null 2>&1
    say "$archive"
done
kill -TERM $daemon
wait $daemon
rm -rf /out/.docker
