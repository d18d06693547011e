#!/usr/bin/env bash
# Make the virtual machine's root tree with debootstrap: Debian 12, its cloud kernel,
# docker.io, podman, lvm2, the thin tools and Python. Done once; remove $W/root to make it anew.
set -euo pipefail

W=${W:-$PWD/vm-work}
root=$W/root
# The machine's own Debian archive.
# shellcheck disable=SC2016  # apt expands it
MIRROR=${MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' |
    grep -m1 '/debian/\?$')}
KERNEL=${KERNEL:-linux-image-cloud-amd64}

mkdir -p "$W"
if [ -e "$root/.done" ]; then exit 0; fi
rm -rf "$root"
debootstrap --variant=minbase --include=ca-certificates,kmod,busybox-static,udev \
    bookworm "$root" "$MIRROR"

# No package may start a service in the tree.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
cat >"$root/etc/apt/sources.list" <<E
deb $MIRROR bookworm main
deb $MIRROR bookworm-updates main
deb ${MIRROR%/}-security bookworm-security main
E
printf 'Acquire::Languages "none";\nAPT::Install-Recommends "false";\n' \
    >"$root/etc/apt/apt.conf.d/99vm"
cp /etc/resolv.conf "$root/etc/resolv.conf" || true

export DEBIAN_FRONTEND=noninteractive
chroot "$root" apt-get -q update
chroot "$root" apt-get -q -y install docker.io podman lvm2 dmsetup thin-provisioning-tools \
    xfsprogs e2fsprogs attr acl libcap2-bin fdisk jq fio util-linux mount procps iproute2 psmisc python3

# The kernel is unpacked and not installed, which would ask for initramfs tools; and not
# with `dpkg-deb -x`, which would replace the link /lib by a folder.
image=$(chroot "$root" apt-cache depends --important "$KERNEL" |
    awk '/Depends: linux-image-6/{print $2; exit}')
chroot "$root" sh -c "cd /tmp && apt-get -q download $image"
dpkg-deb --fsys-tarfile "$root/tmp/${image}"_*.deb |
    tar --keep-directory-symlink -C "$root" -xf -
rm -f "$root"/tmp/*.deb
chroot "$root" depmod "${image#linux-image-}"

chroot "$root" apt-get clean
rm -rf "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}/*
touch "$root/.done"
