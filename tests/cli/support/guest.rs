//! A virtual machine: what takes a kernel of its own, or one that can be stopped in the middle.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::filter::{Filter, Ran, Running, shell};
use super::oracle::tool;
use super::tools::{find, needs, repository, test_cache};

/// Of a guest that hangs. It is all emulation; a boot takes some seconds.
const LIMIT: Duration = Duration::from_secs(600);

/// Tests run at once; one downloads the kernel.
static PREPARING: Mutex<()> = Mutex::new(());

/// A guest that runs: Debian's kernel on emulated hardware, disks behind virtio.
pub struct Guest {
    running: Running,
    console: PathBuf,
    started: Instant,
}

impl Guest {
    /// Starts one: `disks` are `/dev/vda` and so on; the first is the root, mounted read-write, and `init` in it the
    /// first process. What the guest says on its console goes to a file in `directory`.
    pub fn start(directory: &Path, disks: &[&Path], init: &str) -> Self {
        needs(&["cpio", "depmod", "modprobe", "qemu-system-x86_64"]);
        let kernel = test_cache().join("boot");
        let lock = PREPARING.lock().unwrap_or_else(PoisonError::into_inner);
        tool(repository().join("tests/boot/kernel").to_str().expect("a path in UTF-8"), [&kernel]);
        drop(lock);
        let console = directory.join("console");
        let mut qemu = Filter::tool("qemu-system-x86_64")
            .args(
                "-machine q35,accel=tcg -cpu max -m 512 -nodefaults -no-reboot -display none -serial stdio".split(' '),
            )
            .args(["-append", &format!("console=ttyS0 quiet panic=-1 init={init}")])
            .arg("-kernel")
            .arg(kernel.join("vmlinuz"))
            .arg("-initrd")
            .arg(kernel.join("initramfs"));
        for disk in disks {
            qemu = qemu.arg("-drive").arg(format!("file={},format=raw,if=virtio,cache=unsafe", disk.display()));
        }
        Self { running: qemu.stdout_file(&console).spawn(), console, started: Instant::now() }
    }

    /// What the guest has said so far.
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.console).expect("console")).into_owned()
    }

    /// Waits until the guest says `what`.
    #[track_caller]
    pub fn wait_for(&self, what: &str) {
        while !self.console().contains(what) {
            assert!(self.started.elapsed() < LIMIT, "the guest does not say {what:?}\n{}", self.console());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Runs `during` while the machine stands still, between two of its writes or in the middle of one.
    pub fn frozen<T>(&self, during: impl FnOnce() -> T) -> T {
        self.running.signal(Signal::STOP);
        let result = during();
        self.running.signal(Signal::CONT);
        result
    }

    /// Cuts its power.
    pub fn kill(self) {
        self.running.signal(Signal::KILL);
        let _: Ran = self.running.wait();
    }

    /// Waits for `guest: done` and for its end; returns all it said. ext4 may not have warned of anything.
    #[track_caller]
    pub fn finish(self) -> String {
        self.wait_for("guest: done");
        let ran = self.running.wait().succeeds();
        let console = fs::read(&self.console).expect("console");
        let console = String::from_utf8_lossy(&console).into_owned();
        println!("{console}{}", ran.stderr);
        // The last processes may still want to read from a disk that is being switched off.
        let working = console.split("guest: done").next().unwrap_or_default();
        let complaint = working.contains("EXT4-fs error") || working.contains("EXT4-fs warning");
        assert!(!complaint, "{console}");
        console
    }
}

/// An image in `directory` to start a guest from: `init` as `/guest-init`, a shell, and these tools with their libraries.
pub fn guest_root(directory: &Path, init: &str, tools: &[&str]) -> PathBuf {
    needs(tools);
    let (tree, image) = (directory.join("guest-tree"), directory.join("guest.ext4"));
    fs::create_dir(&tree).expect("guest tree");
    let script = r#"
        set -e; cd "$0"; mkdir -p proc dev sys mnt usr/bin usr/sbin usr/lib usr/lib64
        for link in bin sbin lib lib64; do if [ -L /$link ]; then ln -s usr/$link $link; else mkdir $link; fi; done
        for tool; do
            cp -L --parents "$tool" .
            ldd "$tool" | grep -o '/[^ )]*' | xargs -r cp -L --parents -t .
        done
    "#;
    let found = tools.iter().map(|tool| find(tool).expect("needs() found it"));
    shell(script).arg(&tree).arg("/bin/sh").args(found).run().succeeds();
    let file = tree.join("guest-init");
    fs::write(&file, init).expect("guest-init");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("guest-init");
    shell("tar -C \"$0\" -cf - . | tar2ext4 -q -o \"$1\"").args([&tree, &image]).run().succeeds();
    image
}
