//! What the system refuses `oci-flatten`: threads, open files, an input that waits.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::support::script::{Item, What};
use crate::support::stack::{self, Manifest};
use crate::support::{Compression, needs, needs_root, scratch, shell};

#[test]
fn no_thread_is_an_error_and_few_threads_are_enough() {
    needs(&["setpriv", "prlimit"]);
    needs_root("another user is one without threads");
    let scratch = scratch();
    let tar = scratch.path().join("layer.tar");
    fs::write(&tar, stack::tar(&[Item::new("a", What::File(b"x".to_vec()))])).unwrap();
    let script = "chmod 755 \"$1\" && exec setpriv --reuid 64001 --regid 64001 --clear-groups \\
        prlimit --nproc=$2 oci-flatten -j \"$3\" -n -l /dev/stdin < \"$0\"";
    let run = |processes: &str, jobs: &str| shell(script).arg(&tar).arg(scratch.path()).args([processes, jobs]).run();
    run("1", "1").fails_with(1, "starting a thread").one_line();
    run("20", "200").succeeds();
    let flatten = "oci-flatten -n -l /dev/stdin";
    for (filter, most) in [(flatten, 12), ("tar2ext4 -o \"$1/image\"", 6)] {
        let script = format!(
            "chmod 777 \"$1\" && exec setpriv --reuid 64001 --regid 64001 --clear-groups \
             prlimit --nproc=$2 {filter} < \"$0\""
        );
        for processes in 1..=most {
            let ran = shell(&script).arg(&tar).arg(scratch.path()).arg(processes.to_string()).run();
            if !ran.status.success() {
                drop(ran.fails_with(1, "thread").one_line());
            }
        }
    }
}

#[test]
fn more_layers_than_open_files() {
    needs(&["prlimit"]);
    let scratch = scratch();
    let mut manifest = Manifest::default();
    for number in 0..400 {
        let tar = stack::tar(&[Item::new(format!("file-{number}"), What::File(b"x".repeat(number)))]);
        let how = if number % 2 == 0 { Compression::Gzip } else { Compression::Plain };
        manifest.blob(scratch.path().join(number.to_string()), &stack::compress(&tar, how), &tar, json!({}));
    }
    let script = "exec prlimit --nofile=128 oci-flatten | tar -t | wc -l";
    shell(script).stdin(manifest.text()).run().succeeds().stdout_is("401\n");
}

#[test]
fn an_input_that_somebody_made_non_blocking_is_waited_for() {
    let scratch = scratch();
    let mut manifest = Manifest::default();
    let tar = stack::tar(&[Item::new("a", What::File(b"x".to_vec()))]);
    manifest.blob(scratch.path().join("layer"), &stack::compress(&tar, Compression::Gzip), &tar, json!({}));
    let image = scratch.path().join("image");
    for (program, args, text) in [
        (env!("CARGO_BIN_EXE_oci-flatten"), vec![], manifest.text().into_bytes()),
        (env!("CARGO_BIN_EXE_tar2ext4"), vec!["-o".into(), image.into_os_string()], tar),
    ] {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let mut writer = fs::File::from(writer);
        rustix::io::ioctl_fionbio(&reader, true).unwrap();
        let child = Command::new(program).args(args).stdin(reader).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let child = child.unwrap();
        for part in text.chunks(text.len().div_ceil(3)) {
            std::thread::sleep(Duration::from_millis(30));
            writer.write_all(part).unwrap();
        }
        drop(writer);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
