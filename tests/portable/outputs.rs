//! Outputs under temporary names: what is left of them, and what is refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Filter, LoopDevice, e2fsck_clean, scratch, shell};

/// A tar of one file, in a file.
fn tar(directory: &Path) -> PathBuf {
    let file = directory.join("input.tar");
    fs::write(directory.join("hello"), "hello\n").unwrap();
    shell("tar -C \"$0\" -cf \"$0/input.tar\" hello").arg(directory).run().succeeds();
    file
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_signal_leaves_nothing_and_a_kill_nothing_that_stays() {
    let scratch = scratch();
    let (tar, out) = (tar(scratch.path()), scratch.path().join("out"));
    fs::create_dir(&out).unwrap();
    let image = out.join("image");
    fs::write(&image, "old").unwrap();
    let fifo = scratch.path().join("fifo");
    Filter::tool("mkfifo").arg(&fifo).run().succeeds();
    let signals = [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM, Signal::USR1, Signal::USR2, Signal::XCPU];
    for signal in signals.into_iter().chain([Signal::KILL]) {
        let running = Filter::tar2ext4().arg("-o").arg(&image).arg(&fifo).spawn();
        // It waits for a writer here, and has its output once it has one.
        let writer = fs::File::options().write(true).open(&fifo).unwrap();
        while names(&out).len() == 1 {
            std::thread::sleep(Duration::from_millis(5));
        }
        running.signal(signal);
        let ran = running.wait();
        assert!(!ran.status.success(), "{}", ran.report());
        drop(writer);
        assert_eq!(fs::read(&image).unwrap(), b"old");
        let left = names(&out).len() - 1;
        assert_eq!(left, usize::from(signal == Signal::KILL), "after {signal:?}: {:?}", names(&out));
    }
    Filter::tar2ext4().arg("-o").arg(&image).arg(&tar).run().succeeds().quiet();
    assert_eq!(names(&out), ["image"], "what was killed is still there");
    e2fsck_clean(&image);
}

#[test]
fn the_same_bytes_as_the_ways_of_linux_give() {
    let scratch = scratch();
    let tar = tar(scratch.path());
    let image = |name: &str| scratch.path().join(name);
    for (name, flags) in [("image", &["-s", "4M"][..]), ("synced", &["-s", "4M", "--fsync"])] {
        let filter = Filter::tar2ext4().env("SOURCE_DATE_EPOCH", "1700000000").args(flags);
        filter.arg("-o").arg(image(name)).arg(&tar).run().succeeds().quiet();
        e2fsck_clean(image(name));
    }
    assert!(fs::read(image("image")).unwrap() == fs::read(image("synced")).unwrap());
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "Linux: has loop devices")]
fn a_block_device_is_refused_by_name() {
    let scratch = scratch();
    let backing = scratch.path().join("backing");
    fs::File::create(&backing).unwrap().set_len(4 << 20).unwrap();
    let device = LoopDevice::over(&backing);
    let ran = Filter::tar2ext4().args(["-o", device.path()]).arg(tar(scratch.path())).run();
    ran.fails_with(1, "block devices are written on Linux only").says(device.path()).one_line();
}
