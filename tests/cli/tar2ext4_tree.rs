//! `tar2ext4`: the kernel shows what GNU tar packed (E2, E6, E8, E11).

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};

use crate::support::{
    Filter, LoopMount, Snapshot, debugfs, e2fsck_clean, needs_root, python_tar, scratch, shell, tool,
};

const LOST: &str = "tar2ext4 makes it";

/// Packs `tree` with GNU tar, everything it knows to keep, and makes an image of it.
fn image_of(tree: &Path, directory: &Path, flags: &[&str]) -> PathBuf {
    let tar = directory.join("tree.tar");
    let image = directory.join("image.ext4");
    shell("tar --format=posix --sparse --acls --xattrs --xattrs-include='*' --numeric-owner -C \"$0\" -cf \"$1\" .")
        .args([tree, &tar])
        .run()
        .succeeds();
    Filter::tar2ext4().arg("-o").arg(&image).args(flags).stdin_file(&tar).run().succeeds().quiet();
    e2fsck_clean(&image);
    image
}

/// Asserts that the mounted image shows `tree`, which has no lost+found of its own.
fn assert_shows(image: &Path, tree: &Path) {
    let mount = LoopMount::read_only(image);
    Snapshot::of(tree).mask_path("lost+found", LOST).assert_same(&Snapshot::of(mount.path()));
    mount.unmount();
}

/// Something of every kind, with attributes that other tools lose.
fn odd_tree(tree: &Path) {
    needs_root("make devices and trusted attributes");
    fs::create_dir_all(tree.join("deep/er/still")).unwrap();
    fs::create_dir(tree.join("empty")).unwrap();
    fs::write(tree.join("empty file"), "").unwrap();
    fs::write(tree.join("one"), "x").unwrap();
    fs::write(tree.join("deep/4096"), [7; 4096]).unwrap();
    fs::write(tree.join("deep/er/4097"), [8; 4097]).unwrap();
    fs::hard_link(tree.join("one"), tree.join("deep/one too")).unwrap();
    fs::hard_link(tree.join("one"), tree.join("deep/er/one three")).unwrap();
    fs::write(tree.join(".wh.not-a-whiteout"), "I5").unwrap();
    fs::write(tree.join(OsStr::from_bytes(b"latin \xe4\xff")), "bytes").unwrap();
    fs::write(tree.join("n".repeat(255)), "long name").unwrap();
    fs::create_dir(tree.join("d".repeat(255))).unwrap();
    symlink("one", tree.join("short")).unwrap();
    symlink("s".repeat(59), tree.join("fast")).unwrap();
    symlink("s".repeat(60), tree.join("slow")).unwrap();
    symlink("t".repeat(4095), tree.join("longest")).unwrap();
    fs::hard_link(tree.join("short"), tree.join("short too")).unwrap();
    let script = r#"
        cd "$0"
        mknod -m 600 char c 4 300; mknod -m 660 block b 259 70000; mknod last c 4095 1048575; mkfifo -m 644 fifo
        truncate -s 10M hole; printf x | dd of=hole bs=1 seek=5000000 conv=notrunc status=none
        chown 70000:4294967294 one; chown -h 1:2 short; chmod 7751 deep; chmod 6755 deep/4096; chmod 0 empty
        setfattr -n user.empty one; setfattr -n user.a -v b one; setfattr -n trusted.t -v 1 one
        setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 deep/4096
        setfattr -n user.big -v "$(head -c 3900 /dev/zero | tr '\0' v)" deep/er/4097
        setfattr -n user.zoo -v 1 deep; setfattr -n user.zo -v 2 deep; setfattr -n user.zap -v 3 deep
        setfattr -n trusted.z -v 4 deep; setfattr -n security.z -v 5 deep; setfattr -h -n trusted.link -v 6 slow
        setfattr -n trusted.dev -v 7 char
        setfacl -m u:51000:rw,g:70000:r,m::rx deep/er/still; setfacl -d -m u:50007:rwx,o::- deep/er/still
        setfacl -m u:50008:rwx,m::r empty; setfacl -m u:50009:r fifo
        touch -d '1905-05-05 05:05:05.123456789' one; touch -d '2038-01-19 03:14:08.999999999' deep/4096
        touch -d '2300-01-01 00:00:00.5' deep/er/4097; touch -h -d '1960-02-03 04:05:06.000000001' fast
        touch -d '1999-09-09 09:09:09.9' deep .
    "#;
    shell(script).arg(tree).run().succeeds();
}

#[test]
fn the_kernel_shows_every_kind_and_attribute_that_tar_packed() {
    let scratch = scratch();
    let tree = scratch.path().join("tree");
    odd_tree(&tree);
    let image = image_of(&tree, scratch.path(), &[]);
    assert_shows(&image, &tree);
    // A hole is a hole: 5,000,001 bytes of content and one block for each end.
    assert!(debugfs(&image, "stat /hole").contains("Blockcount: 8"), "{}", debugfs(&image, "stat /hole"));
}

#[test]
fn a_file_of_terabytes_that_is_all_hole_costs_nothing() {
    let scratch = scratch();
    let tree = scratch.path().join("tree");
    fs::create_dir(&tree).unwrap();
    shell("cd \"$0\"; truncate -s 15T hole; printf end >> hole; truncate -s 10T nothing").arg(&tree).run().succeeds();
    let image = image_of(&tree, scratch.path(), &[]);
    let mount = LoopMount::read_only(&image);
    let hole = fs::File::open(mount.path().join("hole")).unwrap();
    let size = (15 << 40) + 3;
    assert_eq!(hole.metadata().unwrap().len(), size);
    let mut end = [0; 4];
    hole.read_exact_at(&mut end, size - 4).unwrap();
    assert_eq!(end, *b"\0end");
    assert_eq!(fs::metadata(mount.path().join("nothing")).unwrap().len(), 10 << 40);
    assert!(fs::metadata(image).unwrap().len() < 20 << 20);
}

#[test]
fn compat_and_journal_show_the_same() {
    let scratch = scratch();
    let tree = scratch.path().join("tree");
    odd_tree(&tree);
    for flags in [&["--compat"][..], &["-J"], &["--size", "64M", "-L", "odd", "-m", "5"]] {
        assert_shows(&image_of(&tree, scratch.path(), flags), &tree);
    }
}

/// Directories around every border: one block, the first index, its second level.
#[test]
fn directories_of_every_size_list_and_find_their_names() {
    let scratch = scratch();
    let tree = scratch.path().join("tree");
    fs::create_dir(&tree).unwrap();
    for (directory, entries, length) in
        [("linear", 15, 247), ("full", 16, 239), ("index", 17, 240), ("many", 3000, 8), ("levels", 9000, 255)]
    {
        fs::create_dir(tree.join(directory)).unwrap();
        for n in 0..entries {
            let name = format!("{n:0length$}");
            fs::write(tree.join(directory).join(name), "").unwrap();
        }
    }
    for flags in [&[][..], &["--compat"]] {
        let image = image_of(&tree, scratch.path(), flags);
        assert_shows(&image, &tree); // looks every name up, by the index
        assert!(debugfs(&image, "htree_dump /levels").contains("Number of entries (count): "));
        let indexed = |directory| debugfs(&image, &format!("stat /{directory}")).contains("Flags: 0x81000");
        assert_eq!(["linear", "full", "index"].map(indexed), [false, false, true]);

        // The kernel adds to it and takes from it.
        let mount = LoopMount::read_write(&image);
        for directory in ["linear", "full", "index", "many", "levels"] {
            let path = mount.path().join(directory);
            for n in 0..200 {
                fs::write(path.join(format!("new {n:0200}")), "").unwrap();
            }
            for entry in fs::read_dir(&path).unwrap().step_by(2) {
                fs::remove_file(entry.unwrap().path()).unwrap();
            }
        }
        mount.unmount();
        e2fsck_clean(&image);
    }
}

#[test]
fn inodes_with_alike_attributes_share_a_block() {
    let scratch = scratch();
    let tree = scratch.path().join("tree");
    fs::create_dir(&tree).unwrap();
    for n in 0..1500 {
        fs::write(tree.join(n.to_string()), "").unwrap();
    }
    let script = r#"cd "$0"; setfattr -n user.long -v "$(head -c 300 /dev/zero | tr '\0' l)" [0-9]*"#;
    shell(script).arg(&tree).run().succeeds();
    let image = image_of(&tree, scratch.path(), &[]);
    assert_shows(&image, &tree);
    let block = |n: u32| {
        let stat = debugfs(&image, &format!("stat /{n}"));
        stat.split("File ACL: ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap().to_owned()
    };
    let mut blocks: Vec<String> = (0..1500).step_by(50).map(block).collect();
    blocks.sort_unstable();
    blocks.dedup();
    assert_eq!(blocks.len(), 2, "1500 inodes need two blocks of at most 1024");

    // The kernel takes one of them out of the sharing.
    let mount = LoopMount::read_write(&image);
    tool("setfattr", ["-n", "user.long", "-v", "short", mount.path().join("7").to_str().unwrap()]);
    mount.unmount();
    e2fsck_clean(&image);
}

#[test]
fn attributes_that_do_not_fit_are_an_error_with_file_and_attribute() {
    let script = r#"
member = tarfile.TarInfo("dir/file")
member.pax_headers = {"SCHILY.xattr.user.big": "x" * 5000, "SCHILY.xattr.user.small": "y"}
tar.addfile(member)
"#;
    let scratch = scratch();
    let image = scratch.path().join("image");
    let ran = Filter::tar2ext4().arg("-o").arg(&image).stdin(python_tar(script)).run().one_line();
    ran.fails_with(1, "dir/file at byte 0: attribute user.big of 5000 bytes does not fit");
    assert!(!image.exists());
}

#[test]
fn attributes_that_linux_refuses_are_left_out_with_a_warning() {
    let script = r#"
member = tarfile.TarInfo("file")
member.pax_headers = {"SCHILY.xattr.com.apple.quarantine": "x", "SCHILY.xattr.user.kept": "y"}
tar.addfile(member)
"#;
    let scratch = scratch();
    let image = scratch.path().join("image");
    let ran = Filter::tar2ext4().arg("-o").arg(&image).stdin(python_tar(script)).run().succeeds();
    ran.stderr_is(
        "tar2ext4: warning: file at byte 0: attribute com.apple.quarantine: ext4 has no such namespace; left out\n",
    );
    e2fsck_clean(&image);
    assert!(debugfs(&image, "ea_list /file").contains("user.kept (1) = \"y\""));
}
