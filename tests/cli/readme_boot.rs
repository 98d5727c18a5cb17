//! The README's disks of several parts, in a machine that is all emulation (make check-full): a root behind dm-verity, and
//! a base and an upper below an overlay. Its blocks run as they stand there; what the guest saw is printed.

use std::fs;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;

use crate::readme::{World, blocks};
use crate::support::{Filter, debian, e2fsck_clean, needs, repository, scratch, shell, test_cache, tool};

/// The image's program: it tells what the machine gives it to see.
const SHOW: &str = r#"sed 's/^/guest: mounts /' /proc/mounts
echo "guest: $(cat /witness 2>&1)"
for name in /etc/debian_version /etc/issue/file /data/one /etc/passwd /new/opaque/file /kept; do
    if test -e $name; then echo "guest: has $name"; else echo "guest: has no $name"; fi
done
echo "guest: links $(stat -c %h /data/one)"
if (echo kept >/kept && rm /etc/passwd && echo more >>/etc/hosts-too && mv /srv /served) 2>/dev/null; then
    sync; echo "guest: wrote $(cat /kept)"
else
    echo 'guest: may not write'
fi
echo 'guest: done'"#;

/// Stands in the image and nowhere else.
const WITNESS: &[u8] = b"this is what the image holds, and no other byte";

/// The README's world with a Debian image that runs [`SHOW`], and what its initramfs is made of.
fn world() -> World {
    needs(&["cpio", "depmod", "dmsetup", "modprobe", "qemu-system-x86_64", "timeout", "umoci"]);
    let kernel = test_cache().join("boot");
    tool(repository().join("tests/boot/kernel").to_str().unwrap(), [&kernel]);
    let directory = scratch();
    let layout = directory.path().join("debian-image");
    shell("cp -a \"$0\" \"$1\"").arg(debian().layout).arg(&layout).run().succeeds();
    let mut umoci = Filter::tool("umoci").args(["config", "--image"]).arg(format!("{}:latest", layout.display()));
    umoci = umoci.args(["--config.env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]);
    for word in ["/bin/sh", "-c", SHOW] {
        umoci = umoci.args(["--config.entrypoint", word]);
    }
    umoci.run().succeeds();
    let world = World::with(&layout, directory);
    symlink(kernel.join("vmlinuz"), world.path("work/vmlinuz")).unwrap();
    symlink(kernel.join("busybox"), world.path("bin/busybox")).unwrap();
    // The kernel's modules are not this machine's.
    let script =
        r#"printf '#!/bin/sh\nexec %s --dirname %s "$@"\n' "$(command -v modprobe)" "$0" >"$1" && chmod 755 "$1""#;
    shell(script).arg(&kernel).arg(world.path("bin/modprobe")).run().succeeds();
    let version = fs::read_to_string(kernel.join("version")).unwrap();
    let prepare = |block: &str| {
        let ran = world.shell(&format!("set -e\nexport KERNEL={}\n{block}", version.trim_end()));
        ran.run().succeeds().quiet();
    };
    prepare(&block("> overlay/sbin/my-init"));
    fs::write(world.path("work/overlay/witness"), [WITNESS, &[b'.'; 5000]].concat()).unwrap();
    prepare(&block("mkdir -p initrd/bin "));
    world
}

/// The README's block with this in it.
fn block(part: &str) -> String {
    blocks("sh").into_iter().find(|block| block.contains(part)).expect("a block of the README")
}

/// Runs a block that ends with a machine; returns what was said on its console. A guest that hangs is given up after
/// some minutes; it takes some seconds.
fn boot(world: &World, block: &str) -> String {
    let block = block.replace("qemu-system-x86_64 ", "timeout 300 qemu-system-x86_64 ");
    let ran = world.shell(&format!("set -e\n{block}")).run().succeeds();
    let console = String::from_utf8_lossy(&ran.stdout).replace('\r', "");
    println!("{console}");
    assert!(console.contains("guest: done"), "{}", ran.report());
    console
}

#[track_caller]
fn says(console: &str, what: &str) {
    assert!(console.contains(what), "the guest does not say {what:?}\n{console}");
}

fn digest(file: &Path) -> String {
    tool("sha256sum", [file]).text().split(' ').next().unwrap_or_default().to_owned()
}

#[test]
#[ignore = "check-full: boots a virtual machine without KVM"]
fn a_guest_reads_its_root_through_verity() {
    let world = world();
    world.shell(&format!("set -e\n{}", block("--verity --json"))).run().succeeds();
    let image = world.path("work/verity.ext4");
    let (qemu, whole) = (block("cp verity.table initrd/"), digest(&image));

    let console = boot(&world, &qemu);
    says(&console, "guest: mounts /dev/dm-0 / ext4 ro");
    says(&console, &format!("guest: {}", String::from_utf8_lossy(WITNESS)));
    says(&console, "guest: may not write");
    assert_eq!(digest(&image), whole, "the drive is as it was");

    // One bit of the file, on the host.
    let bytes = fs::read(&image).unwrap();
    let at = bytes.windows(WITNESS.len()).position(|part| part == WITNESS).expect("the file");
    let file = fs::File::options().write(true).open(&image).unwrap();
    file.write_all_at(&[bytes[at + 8] ^ 1], u64::try_from(at + 8).unwrap()).unwrap();
    drop(file);
    let console = boot(&world, &qemu);
    says(&console, "guest: cat: /witness: Input/output error");
    says(&console, "guest: has /data/one");
}

#[test]
#[ignore = "check-full: boots a virtual machine without KVM"]
fn an_overlay_of_base_and_upper_is_the_root_of_a_guest() {
    let world = world();
    world.shell(&format!("set -e\n{}", block("oci-flatten --to 0 nginx.layers"))).run().succeeds();
    let [base, upper, writes] = ["base", "nginx", "writes"].map(|name| world.path(&format!("work/{name}.ext4")));
    [&base, &upper, &writes].into_iter().for_each(e2fsck_clean);
    let before = [&base, &upper].map(|disk| digest(disk));
    let qemu = block("> overlay.initramfs");
    let shown = |console: &str, kept: &str| {
        says(console, "guest: mounts overlay / overlay rw");
        says(console, &format!("guest: {}", String::from_utf8_lossy(WITNESS)));
        says(console, "guest: has no /etc/debian_version\n");
        says(console, "guest: has /etc/issue/file\nguest: has /data/one\n");
        says(console, kept);
        says(console, "guest: links 4\n");
    };

    let first = "guest: has /etc/passwd\nguest: has /new/opaque/file\nguest: has no /kept\n";
    let console = boot(&world, &qemu);
    shown(&console, first);
    says(&console, "guest: wrote kept\n");
    // The third drive has what the guest wrote; the next one finds it there.
    let console = boot(&world, &qemu);
    shown(&console, "guest: has no /etc/passwd\nguest: has /new/opaque/file\nguest: has /kept\n");
    // Without it memory takes the writes, and nothing of before is there.
    let drive = " -drive file=writes.ext4,format=raw,if=virtio";
    assert_eq!(qemu.matches(drive.trim_start()).count(), 1, "{qemu}");
    let console = boot(&world, &qemu.replace(drive.trim_start(), ""));
    shown(&console, first);
    says(&console, "guest: wrote kept\n");

    assert_eq!([&base, &upper].map(|disk| digest(disk)), before, "the shared drives are as they were");
    // The machine ended with its drive mounted: the journal has what was not yet in its place.
    let replayed = Filter::tool("e2fsck").arg("-p").arg(&writes).run();
    assert!(matches!(replayed.status.code(), Some(0 | 1)), "{}", replayed.report());
    e2fsck_clean(&writes);
}
