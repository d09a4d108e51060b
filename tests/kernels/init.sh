#!/bin/busybox sh
# The first process of the emulated machine: make its root out of the host's, and start `guest.py` there.
# The host's files are read only; what is written goes to a disk that nobody keeps.
set -e
/bin/busybox --install -s /bin
export PATH=/bin
. /variables
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in /lib/*.ko; do insmod "$module"; done

options=trans=virtio,version=9p2000.L,msize=512000
mount -t 9p -o "$options,cache=loose,ro" host /host
while ! [ -b /dev/vda ]; do sleep 0.1; done
mount -t ext4 /dev/vda /disk
mkdir /disk/upper /disk/work /disk/tmp /disk/var-tmp
chmod 1777 /disk/tmp /disk/var-tmp
mount -t overlay -o lowerdir=/host,upperdir=/disk/upper,workdir=/disk/work overlay /new
# An overlay does not bear another one's upper folder: these two are the disk itself.
mount --bind /disk/tmp /new/tmp
mount --bind /disk/var-tmp /new/var/tmp
for folder in $KEPT; do
    mkdir -p "/new$folder"
    mount --bind "/host$folder" "/new$folder"
done

for folder in /dev /sys; do mount --move "$folder" "/new$folder"; done
mkdir -p /new/dev/pts /new/dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /new/dev/pts
mount -t tmpfs -o mode=1777 tmpfs /new/dev/shm
mount -t tmpfs -o mode=755 tmpfs /new/run
mkdir /new/run/answers
mount -t 9p -o "$options" answers /new/run/answers
mount -t securityfs securityfs /new/sys/kernel/security
mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 /new/sys/fs/cgroup
ip link set lo up
hostname debian-kernel
ln -sf /proc/self/fd /new/dev/fd
umount /proc
mount -t proc proc /new/proc
exec switch_root /new "$PYTHON" -I "$GUEST"
