//! The image boots: Debian's kernel, in a machine that is all emulation, takes it as its root (make check-full).

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::{Guest, debian, debugfs, e2fsck_clean, scratch, shell};

/// What the guest runs as its first process. What it says begins with `guest:`.
const INIT: &str = "#!/bin/sh
mount -t proc proc /proc
sed 's/^/guest: mounts /' /proc/mounts
echo \"guest: $(. /etc/os-release && echo $ID) $(getcap /bin/ping)\"
echo written by the guest >/written && sync
mount -o remount,ro / && echo 'guest: done'
echo o >/proc/sysrq-trigger
while :; do :; done # the disk is gone before the machine is
";

#[test]
#[ignore = "check-full: boots a virtual machine without KVM"]
fn debian_boots_from_the_image_and_leaves_it_clean() {
    let image = debian();
    let scratch = scratch();
    let (top, rootfs) = (scratch.path().join("top"), scratch.path().join("rootfs.ext4"));
    fs::create_dir_all(top.join("sbin")).unwrap();
    fs::write(top.join("sbin/guest-init"), INIT).unwrap();
    fs::set_permissions(top.join("sbin/guest-init"), fs::Permissions::from_mode(0o755)).unwrap();

    shell("oci-fetch -q \"oci:$0:latest\" | oci-flatten -q -l \"$1\" | tar2ext4 -q -o \"$2\" -J")
        .arg(&image.layout)
        .arg(&top)
        .arg(&rootfs)
        .run()
        .succeeds();
    e2fsck_clean(&rootfs);

    let guest = Guest::start(scratch.path(), &[&rootfs], "/sbin/guest-init");
    let console = guest.finish();
    println!("{console}");
    let says = |what: &str| assert!(console.contains(what), "the guest does not say {what:?}\n{console}");
    says("guest: mounts /dev/vda / ext4 rw");
    says("guest: mounts proc /proc proc rw");
    says("guest: debian /bin/ping cap_net_raw");
    e2fsck_clean(&rootfs);
    let written = debugfs(&rootfs, "cat /written");
    assert_eq!(written, "written by the guest\n");
}
