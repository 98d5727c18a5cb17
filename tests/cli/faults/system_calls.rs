//! Every system call that a filter makes on files fails once, and once is the last before a SIGKILL (S2, S9).
//!
//! strace(1) counts the calls of a run without a fault and then injects one fault a run, so that no moment between two
//! calls is left to chance.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::Counts;
use super::scene::names;
use crate::support::{Compression, Filter, Layout, Ran, e2fsck_clean, scratch, shell};

/// The calls by which what is written could come to harm.
const CALLS: &str = "openat,read,write,pwrite64,pread64,lseek,ftruncate,fallocate,statx,newfstatat,fchmod,fsync,fdatasync,\
                     linkat,link,unlink,unlinkat,rename,flock,readlink";

/// Those of them that change something: before and after the others a kill is the same.
const CHANGES: &[&str] =
    &["openat", "write", "pwrite64", "ftruncate", "fallocate", "fchmod", "fsync", "linkat", "link", "rename"];

const OLD: &[u8] = b"what was here before";

/// A filter whose output is one file, alone in its directory.
struct Target {
    filter: &'static str,
    args: Vec<String>,
    /// What the log names when the filter has begun.
    begins_with: &'static str,
    file: PathBuf,
    was_there: bool,
}

impl Target {
    /// A run under strace with more of its flags.
    fn run(&self, flags: &[&str]) -> Ran {
        let _ = fs::remove_file(&self.file);
        if self.was_there {
            fs::write(&self.file, OLD).unwrap();
        }
        let strace = Filter::tool("strace").env("SOURCE_DATE_EPOCH", "1700000000").args(["-f", "-qq"]).args(flags);
        strace.arg(self.filter).args(&self.args).run()
    }

    fn now(&self) -> Option<Vec<u8>> {
        fs::read(&self.file).ok()
    }

    fn is_old(&self) -> bool {
        self.now().as_deref() == self.was_there.then_some(OLD)
    }

    fn beside(&self) -> Vec<String> {
        let mut names = names(self.file.parent().unwrap());
        names.retain(|name| self.file.file_name().unwrap() != name.as_str());
        names
    }

    /// Each call of a run, with its number among those of its name, and what a whole run leaves.
    fn calls(&self, log: &Path) -> (Vec<(String, u32)>, Vec<u8>) {
        self.run(&["-o", log.to_str().unwrap(), "-e", &format!("trace={CALLS}")]).succeeds();
        let (mut seen, mut calls, mut begun) = (BTreeMap::new(), Vec::new(), false);
        for line in fs::read_to_string(log).unwrap().lines() {
            let Some((name, _)) = line.split_once('(') else { continue };
            let Some((_, name)) = name.trim_end().rsplit_once(' ') else { continue };
            if name.contains("resumed") || line.contains("resumed>") {
                continue;
            }
            let number: &mut u32 = seen.entry(name.to_owned()).or_default();
            *number += 1;
            begun = begun || line.contains(self.begins_with);
            if begun {
                calls.push((name.to_owned(), *number));
            }
        }
        assert!(calls.len() > 10, "{calls:?}");
        (calls, self.now().unwrap())
    }

    /// Injects a fault into every call.
    fn survives_everything(&self, log: &Path) {
        let (calls, whole) = self.calls(log);
        let mut counts = Counts::default();
        for (name, number) in &calls {
            let inject = |fault| format!("inject={name}:{fault}:when={number}");
            let ran = self.run(&["-o", "/dev/null", "-e", &format!("trace={name}"), "-e", &inject("error=EIO")]);
            let place = format!("call {number} of {name} fails\n{}", ran.report());
            match ran.status.code() {
                // What the filter can do without.
                Some(0) => assert!(self.now().as_ref() == Some(&whole), "status 0 and not whole: {place}"),
                Some(1) => {
                    assert!(self.is_old(), "status 1, but replaced: {place}");
                    counts.add(name);
                }
                _ => panic!("neither done nor failed: {place}"),
            }
            let left = self.beside();
            if name.starts_with("unlink") && left.len() == 1 {
                // It is told, and the next run does it.
                ran.says("cannot be removed");
                self.run(&["-o", "/dev/null", "-e", "trace=none"]).succeeds();
            }
            assert!(self.beside().is_empty(), "beside the target {left:?}: {place}");

            if !CHANGES.contains(&&**name) {
                continue;
            }
            let ran = self.run(&["-o", "/dev/null", "-e", &format!("trace={name}"), "-e", &inject("signal=KILL")]);
            let place = format!("killed at call {number} of {name}\n{}", ran.report());
            let done = self.now().as_ref() == Some(&whole);
            assert!(done || self.is_old(), "half done: {place}");
            // What may be left the next run removes, because whose it was is dead.
            Filter::new(self.filter).env("SOURCE_DATE_EPOCH", "1700000000").args(&self.args).run().succeeds();
            assert!(self.now().as_ref() == Some(&whole) && self.beside().is_empty(), "{:?}: {place}", self.beside());
        }
        println!("{}: {} calls, {counts}", self.filter, calls.len());
    }
}

#[test]
fn no_failing_call_and_no_kill_spoils_an_image() {
    let scratch = scratch();
    let at = |name: &str| scratch.path().join(name);
    fs::create_dir(at("out")).unwrap();
    fs::write(at("hello"), "hello\n").unwrap();
    shell("tar -C \"$0\" -cf \"$0/input.tar\" hello").arg(scratch.path()).run().succeeds();
    let file = at("out/image");
    let input = at("input.tar");
    let words = ["--json", "--fsync", "-s", "1M", "-o", file.to_str().unwrap(), input.to_str().unwrap()];
    for was_there in [true, false] {
        let target = Target {
            filter: env!("CARGO_BIN_EXE_tar2ext4"),
            args: words.map(str::to_owned).into(),
            begins_with: "input.tar",
            file: file.clone(),
            was_there,
        };
        target.survives_everything(&at("log"));
        e2fsck_clean(&file);
    }
}

#[test]
fn no_failing_call_and_no_kill_spoils_a_config() {
    let scratch = scratch();
    let at = |name: &str| scratch.path().join(name);
    fs::create_dir(at("out")).unwrap();
    let layout = Layout::new(at("layout")).layer(&[0; 1024], Compression::Gzip).finish();
    let (file, image) = (at("out/config.json"), format!("oci:{}", layout.display()));
    let words = ["--config", file.to_str().unwrap(), &image];
    let target = Target {
        filter: env!("CARGO_BIN_EXE_oci-fetch"),
        args: words.map(str::to_owned).into(),
        begins_with: "index.json",
        file,
        was_there: true,
    };
    target.survives_everything(&at("log"));
}
