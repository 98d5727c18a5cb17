//! The rules of flattening, a case each: `tests/cases/flatten/NAME/`.
//!
//! `caption` says in a line what the case is about. `layers` holds the layers, bottom first, each under a line
//! `== layer`, in the language of `support/script.rs`; words after `layer` say how it comes:
//!
//! ```text
//! gzip zstd xz bzip2 plain      how the tar is compressed (gzip when nothing is said)
//! directory            not a tar, but a directory as overlay2 has it
//! extra                not in the manifest, but given by -l; with `directory`, a directory given by -l
//! stargz               with the annotation of an eStargz layer
//! no-marker            without the end marker        cut=N      without the last N bytes
//! trailing             with bytes after it           wrong-diff-id, no-diff-id, wrong-digest, wrong-size
//! ```
//!
//! A line `== run ARGUMENTS` says how `oci-flatten` is called besides. `expect` is the tree that must come out; or
//! `error` holds what must be said, each line somewhere in the one line on stderr.
//!
//! Every result is extracted by GNU tar and by bsdtar, whose trees must both be what is expected; it must be in
//! canonical order, and flattening it again must give the same bytes (T1, T4). `exempt` says which of these does not
//! hold for a case, and why: a line `bsdtar: REASON` or `again: REASON`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::script::items;
use crate::support::stack::{self, Manifest};
use crate::support::{
    Compression, Filter, Ran, assert_canonical, assert_text, listing, needs, needs_root, repository, scratch,
};

/// The rules and known failures that have cases; a name's first part is one of them.
const SUBJECTS: &[&str] = &[
    "f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9", "f10", "f11", "f12", "f13", "f14", "f15", "t", "known",
    "flag",
];

#[test]
fn every_case_is_as_expected() {
    needs(&["tar", "bsdtar"]);
    needs_root("extract owners and devices");
    let cases = cases();
    assert!(cases.len() >= 60, "only {} cases were found", cases.len());
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let share = cases.len().div_ceil(threads);
    let failed: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = cases.chunks(share).map(|cases| scope.spawn(move || failures(cases))).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("worker")).collect()
    });
    assert!(failed.is_empty(), "{} of {} cases failed: {}", failed.len(), cases.len(), failed.join(" "));
}

#[test]
fn every_rule_has_cases() {
    let names: Vec<String> = cases().iter().map(|case| name(case)).collect();
    for subject in SUBJECTS {
        let found = names.iter().filter(|name| name.split('-').next() == Some(subject)).count();
        assert!(found > 0, "no case for {subject}");
    }
    for name in &names {
        let subject = name.split('-').next().unwrap_or_default();
        assert!(SUBJECTS.contains(&subject), "{name}: not called after a rule");
    }
}

/// What other flatteners get wrong, as the project set out to get it right.
const KNOWN: &[&str] = &[
    "bsdtar-sparse",
    "containerd-whiteout-behind-entry",
    "crane-977",
    "crane-links-above-the-root",
    "crane-top-layer-first",
    "docker-whiteouts-as-links",
    "oci2rootfs-devices",
    "oci2rootfs-names",
    "oci2rootfs-tar-order",
    "undocker-children-of-hidden-directories",
    "undocker-setuid-and-xattrs",
];

#[test]
fn every_known_failure_has_a_case_and_most_cases_are_extracted() {
    let cases = cases();
    for known in KNOWN {
        assert!(cases.iter().any(|case| name(case) == format!("known-{known}")), "no case for {known}");
    }
    let extracted = cases.iter().filter(|case| case.join("expect").exists()).count();
    assert!(extracted >= 60, "only {extracted} cases have a tree that GNU tar and bsdtar extract");
}

fn cases() -> Vec<PathBuf> {
    let root = repository().join("tests/cases/flatten");
    let mut cases: Vec<PathBuf> = fs::read_dir(root).expect("cases").map(|entry| entry.expect("case").path()).collect();
    cases.sort_unstable();
    cases
}

fn name(case: &Path) -> String {
    case.file_name().expect("a name").to_string_lossy().into_owned()
}

/// The names of the cases that fail; each one's panic has said why.
fn failures(cases: &[PathBuf]) -> Vec<String> {
    let failed = |case: &&PathBuf| {
        let result = std::panic::catch_unwind(|| check(case));
        if result.is_err() {
            let caption = fs::read_to_string(case.join("caption")).unwrap_or_default();
            eprintln!("^^^ case {}: {}\n", name(case), caption.trim());
        }
        result.is_err()
    };
    cases.iter().filter(failed).map(|case| name(case)).collect()
}

fn check(case: &Path) {
    let caption = fs::read_to_string(case.join("caption")).expect("caption");
    assert!(caption.lines().count() == 1 && caption.len() <= 120, "the caption is one line");
    let scratch = scratch();
    let ran = run(&fs::read_to_string(case.join("layers")).expect("layers"), scratch.path());
    if let Ok(said) = fs::read_to_string(case.join("error")) {
        let ran = said.lines().fold(ran, |ran, text| ran.fails_with(1, text)).one_line();
        assert!(!ran.stdout.ends_with(&[0; 1024]), "an end marker was written");
        return;
    }
    let ran = ran.succeeds();
    assert_canonical(&ran.stdout);
    let expected = fs::read_to_string(case.join("expect")).expect("expect or error");
    let result = scratch.path().join("result.tar");
    fs::write(&result, &ran.stdout).expect("result");
    assert_text("what GNU tar extracts", &expected, &extract("tar", &result, scratch.path()));
    let exempt = fs::read_to_string(case.join("exempt")).unwrap_or_default();
    let exempt = |from: &str| exempt.lines().any(|line| line.starts_with(from));
    let by_bsdtar = extract("bsdtar", &result, scratch.path());
    if !exempt("bsdtar: ") {
        // bsdtar does not set the time of the directory it extracts into.
        assert_text("what bsdtar extracts", &without_root_time(&expected), &without_root_time(&by_bsdtar));
    }
    if !exempt("again: ") {
        let again = Filter::oci_flatten().arg("-n").arg("-l").arg(&result).run().succeeds();
        assert!(again.stdout == ran.stdout, "flattening the result again gives other bytes");
    }
    assert!(ran.stdout.ends_with(&[0; 1024]), "no end marker");
}

/// Runs `oci-flatten` over the layers of a script.
fn run(script: &str, dir: &Path) -> Ran {
    let mut manifest = Manifest::default();
    let mut flatten = Filter::oci_flatten();
    for (number, section) in script.split("== ").skip(1).enumerate() {
        let (head, body) = section.split_once('\n').unwrap_or((section, ""));
        let words: Vec<&str> = head.split_whitespace().collect();
        match words.split_first() {
            Some((&"run", args)) => flatten = flatten.args(args),
            Some((&"env", vars)) => {
                for (name, value) in vars.iter().filter_map(|var| var.split_once('=')) {
                    flatten = flatten.env(name, value);
                }
            }
            Some((&"layer", how)) => {
                let path = dir.join(format!("layer-{number}"));
                if let Some(path) = layer(body, how, path, &mut manifest) {
                    flatten = flatten.arg("-l").arg(path);
                }
            }
            _ => panic!("what is this section: {head}"),
        }
    }
    flatten.stdin(manifest.text()).run()
}

/// Makes a layer and adds it to the manifest, or returns its path for -l.
fn layer(body: &str, how: &[&str], path: PathBuf, manifest: &mut Manifest) -> Option<PathBuf> {
    let items = items(body);
    let has = |word: &str| how.contains(&word);
    if has("directory") {
        stack::directory(&items, &path);
        if has("extra") {
            return Some(path);
        }
        manifest.directory(path);
        return None;
    }
    let mut tar = if has("no-marker") { stack::tar_without_end(&items) } else { stack::tar(&items) };
    if has("trailing") {
        tar.extend(b"what follows the end marker is no entry".repeat(100));
    }
    let compression = match () {
        () if has("plain") => Compression::Plain,
        () if has("zstd") => Compression::Zstd,
        () if has("xz") => Compression::Xz,
        () if has("bzip2") => Compression::Bzip2,
        () => Compression::Gzip,
    };
    let mut blob = stack::compress(&tar, compression);
    if has("two-members") {
        let (first, second) = tar.split_at(tar.len() / 2);
        blob = [stack::compress(first, compression), stack::compress(second, compression)].concat();
    }
    if let Some(cut) = how.iter().find_map(|word| word.strip_prefix("cut=")) {
        blob.truncate(blob.len() - cut.parse::<usize>().expect("a number"));
    }
    if has("extra") {
        fs::write(&path, blob).expect("layer");
        return Some(path);
    }
    let toc = json!({ "containerd.io/snapshot/stargz/toc.digest": "sha256:0" });
    manifest.blob(path, &blob, &tar, if has("stargz") { toc } else { json!({}) });
    if has("wrong-diff-id") {
        manifest.last()["diffId"] = format!("sha256:{}", "0".repeat(64)).into();
    }
    if has("wrong-digest") {
        manifest.last()["digest"] = format!("sha256:{}", "0".repeat(64)).into();
    }
    if has("wrong-size") {
        manifest.last()["size"] = 1.into();
    }
    if has("no-diff-id") {
        manifest.last()["diffId"] = json!(null);
    }
    None
}

fn without_root_time(listing: &str) -> String {
    let (root, rest) = listing.split_once('\n').unwrap_or((listing, ""));
    let words: Vec<&str> = root.split(' ').filter(|word| !word.starts_with('@')).collect();
    format!("{}\n{rest}", words.join(" "))
}

/// What GNU tar need not say: times in the future, and the one keyword it does not know.
const TAR_IS_SILENT: [&str; 2] = ["--warning=no-timestamp", "--warning=no-unknown-keyword"];

/// The tree that a tar program makes of the result.
pub fn extract(tool: &str, result: &Path, dir: &Path) -> String {
    let root = dir.join(format!("by-{tool}"));
    fs::create_dir(&root).expect("mkdir");
    let filter = Filter::tool(tool).arg("-xpf").arg(result).arg("-C").arg(&root).arg("--numeric-owner");
    let filter = match tool {
        // It knows no hdrcharset, which bsdtar needs (T3), and says so.
        "tar" => filter.args(["--xattrs", "--xattrs-include=*", "--acls"]).args(TAR_IS_SILENT),
        _ => filter,
    };
    filter.run().succeeds().quiet();
    listing(&root)
}
