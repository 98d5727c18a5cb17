//! `tar2ext4`: what a kernel in a virtual machine does to an image: grows it while mounted (E5), is stopped in the
//! middle of writing to it. Growing a mounted file system takes a privilege that a root in a container often lacks.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{
    Filter, Guest, LoopMount, Snapshot, dumpe2fs, e2fsck_clean, guest_root, needs_root, scratch, shell, tool,
};

/// Files of all sizes, an indexed directory, links and attributes. Returns the tar.
fn tree(directory: &Path) -> PathBuf {
    needs_root("set trusted attributes");
    let (tree, tar) = (directory.join("tree"), directory.join("tree.tar"));
    fs::create_dir(&tree).unwrap();
    let script = r#"
        set -e; cd "$0"; mkdir -p many deep/er; seq 400000 > deep/seq; ln deep/seq deep/er/link; ln -s seq deep/soft
        for n in $(seq 1500); do echo $n > many/file-$n; done; head -c 9000000 /dev/zero | tr '\0' x > deep/er/large
        setfattr -n user.long -v "$(head -c 500 /dev/zero | tr '\0' v)" deep/seq; setfattr -n trusted.t -v t many
        chown 7:8 deep/er; chmod 2750 deep
    "#;
    shell(script).arg(&tree).run().succeeds();
    let pack = "tar -C \"$0\" --format=posix --xattrs --xattrs-include='*' --numeric-owner -cf \"$1\" .";
    shell(pack).args([&tree, &tar]).run().succeeds();
    tar
}

/// What is in an image; what a guest puts into its root is taken out again, but the time tells.
fn snapshot(image: &Path) -> Snapshot {
    let mount = LoopMount::read_only(image);
    let snapshot = Snapshot::of(mount.path()).mask_field(".", "mtime", "the guest had files of its own there");
    mount.unmount();
    snapshot
}

const GROW: &str = r#"#!/bin/sh
mount -t proc proc /proc
mount -t devtmpfs dev /dev
mount -t sysfs sys /sys
for disk in /dev/vd[b-z]; do
    mount -t ext4 $disk /mnt || exit
    (while [ ! -e /stop ]; do echo busy >/mnt/busy; mv /mnt/busy /mnt/too; done; rm -f /mnt/too) &
    resize2fs $disk && echo "guest: grown $disk"
    : >/stop; wait; rm /stop
    # As much as the whole image was before.
    size=$(($(cat /sys/class/block/${disk##*/}/size) / 4 * 512))
    fallocate -l $size /mnt/filler && rm /mnt/filler && echo "guest: filled $disk"
    umount /mnt && echo "guest: clean $disk"
done
echo 'guest: done'
mount -o remount,ro /
echo o >/proc/sysrq-trigger
sleep 60
"#;

#[test]
#[ignore = "check-full: resizes in a virtual machine without KVM"]
fn resize2fs_grows_by_four_while_mounted() {
    let scratch = scratch();
    let tar = tree(scratch.path());
    let tools = ["cat", "fallocate", "mount", "mv", "resize2fs", "rm", "sleep", "umount"];
    let root = guest_root(scratch.path(), GROW, &tools);
    let variants: [&[&str]; 9] = [
        &[],
        &["--size", "22M"],
        &["--size", "100M", "-J"],
        &["--size", "209727545", "--compat"],
        &["--free", "300M", "-J", "--compat"],
        &["--size", "128M", "-N", "30000"],
        &["--size", "134225920", "--reserved", "20"], // a group and two blocks: no room for a reserve
        &["--size", "300M", "-i", "2048", "-J=8M"],
        &["--size", "1G"],
    ];
    let images: Vec<PathBuf> = (0..variants.len()).map(|n| scratch.path().join(format!("image-{n}"))).collect();
    let mut before = Vec::new();
    for (image, flags) in images.iter().zip(variants) {
        Filter::tar2ext4().arg("-o").arg(image).args(flags).stdin_file(&tar).run().succeeds().quiet();
        e2fsck_clean(image);
        before.push(snapshot(image));
        let file = fs::File::options().write(true).open(image).unwrap();
        file.set_len(file.metadata().unwrap().len() / 4096 * 4096 * 4).unwrap();
    }
    let disks: Vec<&Path> = [&root].into_iter().chain(&images).map(PathBuf::as_path).collect();
    let console = Guest::start(scratch.path(), &disks, "/guest-init").finish();
    for (at, image) in images.iter().enumerate() {
        println!("{:?}", variants[at]);
        let disk = format!("/dev/vd{}", char::from(b'b' + u8::try_from(at).unwrap()));
        for step in ["grown", "filled", "clean"] {
            assert!(console.contains(&format!("guest: {step} {disk}")), "{disk} was not {step}\n{console}");
        }
        e2fsck_clean(image);
        let blocks = fs::metadata(image).unwrap().len() / 4096;
        let shown = dumpe2fs(image);
        let count = shown.lines().find_map(|line| line.strip_prefix("Block count:")).unwrap().trim();
        // resize2fs leaves a last group out that is too small.
        assert!(blocks - count.parse::<u64>().unwrap() < 100, "{count} of {blocks} blocks");
        before[at].assert_same(&snapshot(image));
    }
}

const BUSY: &str = r#"#!/bin/sh
mount -t proc proc /proc
mount -t devtmpfs dev /dev
mount -t ext4 /dev/vdb /mnt || exit
mkdir /mnt/busy
work() {
    n=0
    while :; do
        n=$(((n + 1) % 300))
        echo "$1 $n" >/mnt/busy/$1-$n
        case $n in *0) mkdir /mnt/busy/d-$1-$n; mv /mnt/busy/$1-$n /mnt/busy/d-$1-$n ;; *5) rm /mnt/busy/$1-$n ;; esac
        case $n in 299) rm -r /mnt/busy/d-$1-* ;; esac
    done
}
work a & work b &
echo 'guest: busy'
while :; do sync; sleep 0.1; done
"#;

#[test]
#[ignore = "check-full: writes in a virtual machine without KVM"]
fn a_device_copied_while_mounted_and_busy_replays_cleanly() {
    let scratch = scratch();
    let tar = tree(scratch.path());
    let tools = ["mkdir", "mount", "mv", "rm", "sleep", "sync"];
    let root = guest_root(scratch.path(), BUSY, &tools);
    for (round, flags) in
        [&["--size", "64M", "-J"][..], &["--free", "200M", "-J=8M", "--compat"]].into_iter().enumerate()
    {
        let image = scratch.path().join(format!("image-{round}"));
        Filter::tar2ext4().arg("-o").arg(&image).args(flags).stdin_file(&tar).run().succeeds().quiet();
        let before = snapshot(&image).mask_path("busy", "what the guest writes");
        let guest = Guest::start(scratch.path(), &[&root, &image], "/guest-init");
        guest.wait_for("guest: busy");
        let mut copies = Vec::new();
        for number in 0..6 {
            std::thread::sleep(Duration::from_millis(700 + 170 * number));
            let copy = scratch.path().join(format!("copy-{number}"));
            guest.frozen(|| tool("cp", [Path::new("--sparse=always"), &image, &copy]));
            copies.push(copy);
        }
        guest.kill();
        copies.push(image);
        for copy in copies {
            assert!(dumpe2fs(&copy).contains("needs_recovery"), "{} has nothing to replay", copy.display());
            let second = copy.with_extension("second");
            fs::copy(&copy, &second).unwrap();
            // By e2fsck: 1 means that something was done, and there was something to do.
            let repair = Filter::tool("e2fsck").arg("-fy").arg(&copy).run();
            assert!(matches!(repair.status.code(), Some(0 | 1)), "{}", repair.report());
            assert!(repair.text().contains("recovering journal"), "{}", repair.report());
            e2fsck_clean(&copy);
            before.assert_same(&snapshot(&copy));
            // By the kernel.
            LoopMount::read_write(&second).unmount();
            e2fsck_clean(&second);
            before.assert_same(&snapshot(&second));
            fs::remove_file(second).unwrap();
            fs::remove_file(copy).unwrap();
        }
    }
}

#[test]
fn a_file_system_that_stops_while_busy_replays_cleanly() {
    let scratch = scratch();
    let tar = tree(scratch.path());
    // EXT4_IOC_SHUTDOWN without writing the log out: as if the machine had stopped here.
    let stop = r#"
import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack("I", 2))
"#;
    for round in 0..4 {
        let image = scratch.path().join("image");
        let flags = if round % 2 == 0 { &["--size", "64M", "-J"][..] } else { &["-J=5M", "--compat"] };
        Filter::tar2ext4().arg("-o").arg(&image).args(flags).stdin_file(&tar).run().succeeds().quiet();
        let before = snapshot(&image).mask_path("busy", "what is written meanwhile");
        let mount = LoopMount::read_write(&image);
        let busy = mount.path().join("busy");
        fs::create_dir(&busy).unwrap();
        let done = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            // Ends when nothing can be written any more.
            let writer = scope.spawn(|| {
                for n in 0.. {
                    let path = busy.join(format!("{}", n % 500));
                    let written = fs::write(&path, vec![7; n % 9000]);
                    let synced =
                        if n % 64 == 0 { fs::File::open(&path).and_then(|file| file.sync_all()) } else { Ok(()) };
                    let gone = if n % 3 == 0 { fs::remove_file(&path) } else { Ok(()) };
                    if written.and(synced).and(gone).is_err() {
                        return;
                    }
                    done.store(n, Ordering::Relaxed);
                }
            });
            while done.load(Ordering::Relaxed) < 300 + 177 * round {
                assert!(!writer.is_finished(), "the writer cannot write");
                std::thread::sleep(Duration::from_millis(1));
            }
            tool("python3", ["-c", stop, mount.path().to_str().unwrap()]);
        });
        mount.unmount();
        let copy = scratch.path().join("copy");
        fs::copy(&image, &copy).unwrap();
        let repair = Filter::tool("e2fsck").arg("-fy").arg(&copy).run();
        assert!(matches!(repair.status.code(), Some(0 | 1)), "{}", repair.report());
        assert!(repair.text().contains("recovering journal"), "{}", repair.report());
        e2fsck_clean(&copy);
        before.assert_same(&snapshot(&copy));
        LoopMount::read_write(&image).unmount();
        e2fsck_clean(&image);
        before.assert_same(&snapshot(&image));
    }
}
