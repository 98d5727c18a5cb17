//! The test support itself, against tools that are known to be right: an oracle that cannot fail proves nothing.

use std::fs;
use std::os::unix::fs::symlink;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::support::registry::DockerRegistry;
use crate::support::{
    Compression, Filter, Layout, LoopMount, Snapshot, Then, Wire, e2fsck_clean, sample, scratch, shell, side_by_side,
    skopeo_push, tool,
};

/// What the assertion inside `check` says when it fails.
fn failure(check: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(check)).expect_err("the check should have failed");
    panic.downcast_ref::<String>().expect("a message").clone()
}

#[test]
fn a_tree_copied_by_mke2fs_compares_equal_and_a_changed_one_does_not() {
    let scratch = scratch();
    let tree = scratch.path().join("tree");
    fs::create_dir_all(tree.join("a/b")).unwrap();
    fs::write(tree.join("a/b/file"), "content").unwrap();
    fs::hard_link(tree.join("a/b/file"), tree.join("a/link")).unwrap();
    symlink("b/file", tree.join("a/symlink")).unwrap();
    tool("mknod", [tree.join("device").to_str().unwrap(), "c", "259", "70000"]);
    tool("mkfifo", [tree.join("fifo")]);
    tool("setfattr", ["-n", "user.note", "-v", "x", tree.join("a/b/file").to_str().unwrap()]);
    tool("touch", ["-d", "2040-01-02 03:04:05", tree.join("a/b/file").to_str().unwrap()]);

    let image = scratch.path().join("image");
    fs::File::create(&image).unwrap().set_len(8 << 20).unwrap();
    tool("mke2fs", ["-q", "-t", "ext4", "-I", "256", image.to_str().unwrap()]);
    let mount = LoopMount::read_write(&image);
    shell("cp -a \"$0\"/. \"$1\"").arg(&tree).arg(mount.path()).run().succeeds();
    mount.unmount();
    e2fsck_clean(&image);

    let expected = Snapshot::of(&tree).mask_path("lost+found", "mke2fs makes it");
    let mount = LoopMount::read_only(&image);
    expected.assert_same(&Snapshot::of(mount.path()));
    assert_eq!(expected.field("a/link", "same-inode-as"), Some("a/b/file"));
    assert_eq!(expected.field("device", "device"), Some("259:70000"));
    assert_eq!(expected.field("a/b/file", "xattr:user.note"), Some("78"));
    assert_eq!(expected.field("a/b/file", "mtime"), Some("2209086245.000000000"));

    fs::write(tree.join("a/b/file"), "changed").unwrap();
    fs::remove_file(tree.join("fifo")).unwrap();
    let message = failure(|| Snapshot::of(mount.path()).assert_same(&Snapshot::of(&tree)));
    assert!(message.contains("fifo: missing"), "{message}");
    assert!(message.contains("- mtime=2209086245.000000000 sha256=ed70"), "{message}");
}

#[test]
fn e2fsck_clean_fails_on_a_damaged_image() {
    let scratch = scratch();
    let image = scratch.path().join("image");
    fs::File::create(&image).unwrap().set_len(8 << 20).unwrap();
    tool("mke2fs", ["-q", "-t", "ext4", image.to_str().unwrap()]);
    e2fsck_clean(&image);
    tool("debugfs", ["-w", "-R", "set_super_value free_blocks_count 7", image.to_str().unwrap()]);
    assert!(failure(|| e2fsck_clean(&image)).contains("e2fsck complains"));
}

#[test]
fn a_run_reports_what_happened() {
    let message = failure(|| drop(shell("echo out; echo err >&2; exit 3").run().succeeds()));
    for part in ["status 3", "--- stdout\nout\n", "--- stderr\nerr\n"] {
        assert!(message.contains(part), "{message}");
    }
    Filter::tool("cat").stdin("text").run().succeeds().quiet().stdout_is("text");
    shell("false | true").run().succeeds();
}

#[test]
fn a_difference_is_shown_side_by_side() {
    let text = side_by_side("one\ntwo\nthree\n", "one\nthree\nfour\n");
    let marks: Vec<char> = text.lines().skip(1).filter_map(|line| line.chars().nth(79)).collect();
    assert_eq!(marks, [' ', '<', ' ', '>'], "{text}");
}

#[test]
fn a_registry_serves_what_was_pushed_and_a_wire_cuts_it() {
    let scratch = scratch();
    let layout = sample(scratch.path());
    let registry = DockerRegistry::start();
    skopeo_push(&layout, &registry.name("sample:one"));
    let inspect = |address: String| {
        let image = format!("docker://{address}/sample:one");
        Filter::tool("skopeo").args(["inspect", "--tls-verify=false", "--raw", &image]).run()
    };
    let whole = Wire::to(&registry.host(), u64::MAX, Then::Cut);
    assert!(inspect(whole.host()).succeeds().text().contains("layers"));
    let cut = Wire::to(&registry.host(), whole.carried() / 2, Then::Cut);
    assert!(!inspect(cut.host()).status.success());
    assert!(cut.wait_exhausted());
}

#[test]
fn a_layout_that_tests_make_is_one_that_umoci_unpacks() {
    let scratch = scratch();
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(2);
    header.set_mode(0o600);
    tar.append_data(&mut header, "file", &b"hi"[..]).unwrap();
    let tar = tar.into_inner().unwrap();
    let layout = Layout::new(scratch.path().join("layout"))
        .layer(&tar, Compression::Plain)
        .layer(&tar, Compression::Gzip)
        .finish();
    let bundle = scratch.path().join("bundle");
    tool("umoci", ["unpack", "--image", &format!("{}:latest", layout.display()), bundle.to_str().unwrap()]);
    assert_eq!(fs::read(bundle.join("rootfs/file")).unwrap(), b"hi");
}
