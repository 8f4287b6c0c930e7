#!/usr/bin/env bash
# Makes the guest's kernel, initramfs and root disk in the directory given:
#   image.sh DIRECTORY SUITE
# Packages come from Debian's archive through apt; the host only lends its tools.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$1 suite=$2
tmp=$out/build
mkdir -p "$tmp"
say() { echo "vm-image: $*" >&2; }
list() { grep -v '^#' "$here/$1"; }

say "root: debian $suite with $(list packages | wc -l) packages"
mmdebstrap --quiet --mode=root --variant=minbase --format=directory \
	--aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
	--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
	--dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
	--include="$(list packages | paste -sd,)" \
	--customize-hook='mkdir "$1/kernel"; cd "$1/kernel"; export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
		apt-get download -qq "$(apt-cache depends linux-image-amd64 | sed -n "s/.*Depends: //p")"' \
	"$suite" "$tmp/root" \
	"deb http://deb.debian.org/debian $suite main" \
	"deb http://deb.debian.org/debian-security $suite-security main"

say 'kernel: unpacking'
deb=$(ls "$tmp"/root/kernel/linux-image-*-amd64_*.deb | grep -v '/linux-image-amd64_')
dpkg-deb -x "$deb" "$tmp/kernel"
rm -rf "$tmp/root/kernel"
version=$(ls "$tmp/kernel/lib/modules")
cp "$tmp"/kernel/boot/vmlinuz-* "$out/vmlinuz"
depmod -b "$tmp/kernel" "$version"

# needed MODULE...: files of the modules and all below them, in loading order.
needed() {
	for m in "$@"; do
		modprobe --dirname "$tmp/kernel" --set-version "$version" --show-depends "$m" | sed -n 's/^insmod \([^ ]*\).*/\1/p'
	done | awk '!seen[$0]++'
}

say 'initramfs'
mkdir -p "$tmp/initramfs/bin" "$tmp/initramfs/modules"
cp "$(command -v busybox)" "$tmp/initramfs/bin/busybox"
install -m 0755 "$here/initramfs-init" "$tmp/initramfs/init"
needed $(sed -n '/^# root/q; /^#/d; p' "$here/modules") | while read -r file; do
	cp "$file" "$tmp/initramfs/modules/"
	basename "$file"
done >"$tmp/initramfs/modules/order"
(cd "$tmp/initramfs" && find . | busybox cpio -o -H newc 2>/dev/null) | gzip -1 >"$out/initrd.img"

# Debian 12's own is built without libimobiledevice.
say 'root: UPower of the next Debian release'
upower=$tmp/root/opt/upower
mmdebstrap --quiet --mode=root --variant=extract --format=directory \
	--aptopt='APT::Install-Recommends "false"' --dpkgopt='path-exclude=/usr/share/*' --dpkgopt='path-include=/usr/share/dbus-1/*' \
	--include=upower trixie "$upower" 'deb http://deb.debian.org/debian trixie main'
cp "$upower/usr/share/dbus-1/system.d/org.freedesktop.UPower.conf" "$tmp/root/usr/share/dbus-1/system.d/"
rm -rf "$upower"/usr/{bin,sbin,share} "$upower"/usr/lib/{systemd,udev,apt} "$upower"/var/{lib/apt,lib/dpkg,cache,run}
ln -s ../run "$upower/var/run"
mkdir -p "$upower/var/lib/upower"

say 'root: modules and scripts'
needed $(list modules) | while read -r file; do
	install -D -m 0644 "$file" "$tmp/root/usr/lib/modules/${file#*/lib/modules/}"
done
cp "$tmp/kernel/lib/modules/$version"/modules.{builtin,builtin.modinfo,order} "$tmp/root/usr/lib/modules/$version/"
depmod -b "$tmp/root/usr" "$version" 2>/dev/null || depmod -b "$tmp/root" "$version"
install -m 0755 "$here/guest-init" "$tmp/root/usr/sbin/guest-init"
install -m 0755 "$here/guest-job" "$tmp/root/usr/sbin/guest-job"
install -m 0644 "$here/guest-job.service" "$tmp/root/etc/systemd/system/guest-job.service"
mkdir -p "$tmp/root/job" "$tmp/root/in" "$tmp/root/out"
echo guest >"$tmp/root/etc/hostname"
: >"$tmp/root/etc/machine-id"
ln -sf /dev/null "$tmp/root/etc/systemd/system/systemd-firstboot.service"
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer getty@tty1.service serial-getty@ttyS0.service systemd-timesyncd.service; do
	ln -sf /dev/null "$tmp/root/etc/systemd/system/$unit"
done

say 'root: writing the disk'
rm -rf "$tmp"/root/var/cache/apt/* "$tmp"/root/var/lib/apt/lists/*
mkfs.ext4 -q -F -L root -O ^has_journal -m 0 -d "$tmp/root" "$out/root.img" "$(($(du -sm "$tmp/root" | cut -f1) * 5 / 4 + 64))M"
rm -rf "$tmp"
say "done: $(du -ch "$out"/* | tail -1 | cut -f1)"
