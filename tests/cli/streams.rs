//! Standard streams that are not what a filter expects: that cannot be written to, or that somebody made non-blocking.

use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::support::registry::{Image, oci_layout};
use crate::support::{Filter, scratch, shell};

/// A layout whose layer manifest is longer than any pipe takes at once.
fn layout(directory: &Path) -> PathBuf {
    let mut image = Image::small("x");
    let mut config: serde_json::Value = serde_json::from_slice(&image.config()).unwrap();
    config["comment"] = json!("x".repeat(1 << 20));
    image = image.config_bytes(config.to_string());
    let layout = directory.join("layout");
    oci_layout(&layout, &[("latest", &image)]);
    layout
}

/// The standard library takes such a stream for a closed one, and what is written to it for written.
#[test]
fn what_cannot_be_written_is_an_error_and_not_lost() {
    let scratch = scratch();
    let at = |command: &str| shell(command).current_dir(scratch.path()).run();
    layout(scratch.path());
    at("oci-fetch oci:layout >manifest && oci-flatten manifest >image.tar").succeeds();
    fs::write(scratch.path().join("old"), "").unwrap();
    for readable in ["/dev/null", "manifest", "."] {
        for command in ["oci-fetch oci:layout", "oci-flatten manifest", "tar2ext4 --completions bash"] {
            at(&format!("{command} 1<{readable}")).fails_with(1, "Bad file descriptor").one_line();
        }
        let report = at(&format!("tar2ext4 --json -o old image.tar 1<{readable}"));
        report.fails_with(1, "standard output: Bad file descriptor").one_line();
    }
    assert_eq!(fs::read(scratch.path().join("old")).unwrap(), b"", "replaced, and the report is lost");
    at("tar2ext4 -o old image.tar 1</dev/null").succeeds();
}

/// The file that gets its name in the end would replace what was written.
#[test]
fn an_output_is_not_standard_output_too() {
    let scratch = scratch();
    let at = |command: &str| shell(command).current_dir(scratch.path()).run();
    layout(scratch.path());
    at("oci-fetch oci:layout >manifest && oci-flatten manifest >image.tar").succeeds();
    at("truncate -s 40M disk && mkdir sub && ln -s sub/../out link").succeeds();
    for command in [
        "oci-fetch --config out oci:layout >out",
        "oci-fetch --config link oci:layout >>out",
        "tar2ext4 --json -o out image.tar >out",
        "tar2ext4 --json -o sub/../out image.tar >out",
        "tar2ext4 --json -o other --verity=out image.tar >out",
        "tar2ext4 --json --offset 0 --size 8M -o disk image.tar 1<>disk",
    ] {
        at(command).fails_with(1, "is standard output too").one_line();
    }
    assert!(fs::read(scratch.path().join("disk")).unwrap().iter().all(|byte| *byte == 0), "the disk was written to");
    assert!(!scratch.path().join("other").exists());
    // Nothing is written there.
    at("tar2ext4 -o out image.tar >out && e2fsck -fn out >&2").succeeds();
}

/// As tar has it.
#[test]
fn an_output_in_the_directory_that_is_read_is_left_out() {
    let scratch = scratch();
    let at = |command: &str| shell(command).current_dir(scratch.path()).run();
    at("mkdir -p root/sub && echo a >root/a && echo b >root/sub/b").succeeds();
    at("oci-flatten -n -l root >out.tar && oci-flatten -n -l root >root/sub/out.tar")
        .succeeds()
        .one_line()
        .stderr_is("oci-flatten: warning: sub/out.tar: is the output itself, left out\n");
    let names = |tar: &str| at(&format!("tar -tf {tar}")).succeeds().text().to_owned();
    assert_eq!(names("root/sub/out.tar"), names("out.tar"));
    // Again, now that it is larger than what it is made from.
    at("oci-flatten -n -l root >>root/sub/out.tar").succeeds().one_line();
}

#[test]
fn a_reader_that_made_its_end_non_blocking_gets_everything() {
    let scratch = scratch();
    let layout = format!("oci:{}", layout(scratch.path()).display());
    let expected = Filter::oci_fetch().arg(&layout).run().succeeds().stdout;
    assert!(expected.len() > 1 << 20);
    let (mut reader, writer) = UnixStream::pair().unwrap();
    writer.set_nonblocking(true).unwrap();
    let writer: OwnedFd = writer.into();
    let mut command = Command::new(env!("CARGO_BIN_EXE_oci-fetch"));
    command.arg(&layout).stdout(writer.try_clone().unwrap());
    let mut child = command.spawn().unwrap();
    drop((command, writer));
    thread::sleep(Duration::from_millis(300));
    let mut found = Vec::new();
    reader.read_to_end(&mut found).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(found == expected, "{} bytes of {}", found.len(), expected.len());
}
