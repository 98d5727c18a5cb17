//! Whole images through all three filters, compared with what another extractor left on disk.

use std::fs;
use std::path::Path;

use crate::support::registry::DockerRegistry;
use crate::support::{
    LoopMount, Snapshot, debian, e2fsck_clean, needs, needs_root, sample, scratch, shell, skopeo_push, tool,
};

/// Why `lost+found` is no difference.
const LOST_FOUND: &str = "every ext4 file system has it (E9)";

/// `oci-fetch image | oci-flatten | tar2ext4`, as a user types it.
#[track_caller]
fn build(image: &str, store: &Path, rootfs: &Path) {
    shell("oci-fetch -q -d \"$1\" \"$0\" | oci-flatten -q | tar2ext4 -q -o \"$2\"")
        .arg(image)
        .arg(store)
        .arg(rootfs)
        .run()
        .succeeds()
        .quiet();
    e2fsck_clean(rootfs);
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "Linux: builds a Debian image and mounts what comes out")]
fn a_debian_image_from_a_registry_equals_its_unpacked_tree() {
    let image = debian();
    let scratch = scratch();
    let registry = DockerRegistry::start();
    let name = registry.name("debian:stable");
    skopeo_push(&image.layout, &name);

    let rootfs = scratch.path().join("rootfs.ext4");
    build(&name, &scratch.path().join("store"), &rootfs);

    let expected = Snapshot::of(&image.unpacked).mask_path("lost+found", LOST_FOUND).mask_field(
        "data/replaced",
        "mtime",
        "umoci removes what the whiteout behind it hides, and does not put the directory's own time back",
    );
    assert!(expected.len() > 3000, "that is no Debian: {} names", expected.len());
    let mount = LoopMount::read_write(&rootfs);
    let got = Snapshot::of(mount.path());
    expected.assert_same(&got);
    assert_eq!(got.field("data/replaced", "mtime"), Some("1580608923.987654321"), "the time in its layer");

    // It is a file system to live in, not only to look at.
    shell("echo new >\"$0/etc/new\" && rm -r \"$0/usr/bin\" && mkdir -p \"$0/a/b\" && cp -a \"$0/etc\" \"$0/a/b\"")
        .arg(mount.path())
        .run()
        .succeeds();
    mount.unmount();
    e2fsck_clean(&rootfs);
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "Linux: mounts what comes out")]
fn the_sample_image_equals_what_umoci_unpacks() {
    needs(&["umoci"]);
    let scratch = scratch();
    let layout = sample(scratch.path());
    let bundle = scratch.path().join("bundle");
    tool("umoci", ["unpack", "--image", &format!("{}:latest", layout.display()), bundle.to_str().unwrap()]);

    let rootfs = scratch.path().join("rootfs.ext4");
    build(&format!("oci:{}", layout.display()), &scratch.path().join("store"), &rootfs);
    let mount = LoopMount::read_only(&rootfs);
    Snapshot::of(bundle.join("rootfs")).mask_path("lost+found", LOST_FOUND).assert_same(&Snapshot::of(mount.path()));
}

#[test]
fn the_same_image_gives_the_same_bytes() {
    let scratch = scratch();
    let layout = sample(scratch.path());
    let build = |name: &str| {
        let rootfs = scratch.path().join(name);
        shell("oci-fetch -q \"oci:$0\" | oci-flatten -q | tar2ext4 -q -o \"$1\"")
            .env("SOURCE_DATE_EPOCH", "1700000000")
            .arg(&layout)
            .arg(&rootfs)
            .run()
            .succeeds();
        fs::read(rootfs).unwrap()
    };
    assert!(build("one") == build("two"), "two runs differ (S6)");
}

/// As in a bare chroot or an early initramfs: files without a name cannot get one there.
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "Linux: has namespaces, and /proc to hide")]
fn the_pipeline_works_without_proc() {
    needs_root("hide /proc");
    needs(&["unshare", "mount"]);
    let scratch = scratch();
    sample(scratch.path());
    let script = "mount -t tmpfs none /proc && [ ! -e /proc/self ] || exit 99
        tar -C sample -cf sample.tar .
        for turn in first second; do
            oci-fetch -q -d store oci-archive:sample.tar | oci-flatten -q | tar2ext4 -q -o rootfs.ext4 || exit 1
        done
        ls -A . store store/partial";
    let ran = shell(&format!("exec unshare -m sh -c '{script}'")).current_dir(scratch.path()).run().succeeds();
    ran.stdout_is(
        ".:\nrootfs.ext4\nsample\nsample.tar\nstore\n\n\
         store:\n.in-use\n.lock\nblobs\nindex.json\noci-layout\npartial\n\nstore/partial:\n",
    );
    e2fsck_clean(scratch.path().join("rootfs.ext4"));
}
