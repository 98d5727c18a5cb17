//! The image boots: Debian's kernel, in a machine that is all emulation, takes it as its root (make check-full).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::support::{debian, e2fsck_clean, needs, repository, scratch, shell, test_cache, tool};

/// What the guest runs as its first process. What it says begins with `guest:`.
const INIT: &str = "#!/bin/sh
mount -t proc proc /proc
echo \"guest: root $(grep ' / ' /proc/mounts)\"
echo \"guest: $(. /etc/os-release && echo $ID) $(getcap /bin/ping)\"
echo written by the guest >/written && sync
mount -o remount,ro / && echo 'guest: done'
echo o >/proc/sysrq-trigger
sleep 60
";

#[test]
#[ignore = "boots a virtual machine without KVM: make check-full"]
fn debian_boots_from_the_image_and_leaves_it_clean() {
    needs(&["cpio", "depmod", "modprobe", "qemu-system-x86_64", "timeout"]);
    let kernel = test_cache().join("boot");
    tool(repository().join("tests/boot/kernel").to_str().unwrap(), [&kernel]);
    let image = debian();
    let scratch = scratch();
    let (top, rootfs) = (scratch.path().join("top"), scratch.path().join("rootfs.ext4"));
    fs::create_dir_all(top.join("sbin")).unwrap();
    fs::write(top.join("sbin/guest-init"), INIT).unwrap();
    fs::set_permissions(top.join("sbin/guest-init"), fs::Permissions::from_mode(0o755)).unwrap();

    shell("oci-fetch -q \"oci:$0\" | oci-flatten -q -l \"$1\" | tar2ext4 -q -o \"$2\" -J")
        .arg(&image.layout)
        .arg(&top)
        .arg(&rootfs)
        .run()
        .succeeds();
    e2fsck_clean(&rootfs);

    let limit = Duration::from_secs(300).as_secs().to_string(); // of a guest that hangs; it takes some seconds
    let guest = shell(
        "timeout \"$0\" qemu-system-x86_64 -machine q35,accel=tcg -cpu max -m 512 -nodefaults -no-reboot -display none \
         -serial stdio -drive \"file=$1,format=raw,if=virtio\" -kernel \"$2/vmlinuz\" -initrd \"$2/initramfs\" \
         -append 'console=ttyS0 quiet panic=-1 init=/sbin/guest-init' </dev/null",
    )
    .arg(limit)
    .arg(&rootfs)
    .arg(&kernel)
    .run()
    .succeeds();
    let console = String::from_utf8_lossy(&guest.stdout).into_owned();
    println!("{console}");
    let says = |what: &str| assert!(console.contains(what), "the guest does not say {what:?}\n{}", guest.report());
    says("guest: root /dev/vda / ext4 rw");
    says("guest: debian /bin/ping cap_net_raw");
    says("guest: done");
    assert!(!console.contains("EXT4-fs error") && !console.contains("EXT4-fs warning"), "{console}");
    e2fsck_clean(&rootfs);
    let written = crate::support::debugfs(&rootfs, "cat /written");
    assert_eq!(written, "written by the guest\n");
}
