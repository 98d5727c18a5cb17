//! The direction of knowledge between the modules of `lib/`, as `lib/lib.rs` draws it.

mod circles;
mod source;

use std::collections::{BTreeMap, BTreeSet};

use source::{Source, files, paths, sources};

use crate::support::repository;

/// Which modules each module may name. What is not here is forbidden: tree and ext4 know neither each other nor
/// tar, only the registry module speaks HTTP, and nothing looks upwards.
const ALLOWED: &[(&str, &[&str])] = &[
    ("sys", &[]),
    ("meta", &[]),
    ("relay", &["sys"]),
    ("codec", &["relay"]),
    ("image", &[]),
    ("tar", &["meta", "relay"]),
    ("tree", &["meta"]),
    ("ext4", &["meta", "relay", "sys"]),
    ("registry", &["image", "relay", "sys"]),
    ("store", &["image", "relay", "sys"]),
    ("source", &["codec", "image", "meta", "registry", "relay", "store", "sys", "tar"]),
    ("flatten", &["codec", "image", "meta", "relay", "sys", "tar", "tree"]),
    ("pack", &["codec", "ext4", "meta", "relay", "sys", "tar", "tree"]),
    ("verity", &["sys"]),
    ("cli", &["ext4", "flatten", "image", "meta", "pack", "registry", "source", "store", "sys", "verity"]),
];

/// Crates that one module alone may use, so that a change of mind stays in one place.
const OWNED: &[(&str, &str)] =
    &[("reqwest", "registry"), ("rustls", "registry"), ("clap", "cli"), ("arcbox_ext4", "ext4")];

#[test]
fn modules_know_only_what_stands_below_them() {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let mut violations = Vec::new();
    for Source { path, module, code } in sources() {
        let module = &module[0];
        let Some(below) = allowed.get(module.as_str()) else {
            violations.push(format!(
                "lib/{module}: a new module; give it its place in this test and in the stack of lib/lib.rs"
            ));
            continue;
        };
        for named in modules_named(&code) {
            if named != *module && allowed.contains_key(named.as_str()) && !below.contains(&named.as_str()) {
                violations.push(format!("{path}: {module} must not know {named}"));
            }
        }
        for (name, owner) in OWNED {
            if module != *owner && code.contains(&format!("{name}::")) {
                violations.push(format!("{path}: only {owner} uses {name}"));
            }
        }
    }
    violations.sort_unstable();
    violations.dedup();
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

/// What only some systems have: it stands in lib/sys, with a portable way beside it (S8).
const SYSTEM: &[&str] = &[
    "target_os",
    "os::linux",
    "os::macos",
    "sendfile",
    "pipe::splice",
    "copy_file_range",
    "fallocate",
    "setpipe_size",
    "TMPFILE",
    "SeekFrom::Data",
    "SeekFrom::Hole",
    "getrandom",
    "openat2",
    "inotify",
    "renameat_with",
    "memfd_create",
];

#[test]
fn what_only_some_systems_have_stands_in_one_room() {
    let mut violations = Vec::new();
    for Source { path, code, .. } in sources().into_iter().filter(|source| source.module[0] != "sys") {
        let words = SYSTEM.iter().filter(|word| code.contains(**word));
        violations.extend(words.map(|word| format!("{path}: {word} belongs into lib/sys")));
    }
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn the_library_neither_prints_nor_exits() {
    for Source { path, code, .. } in sources() {
        for word in ["println!", "eprintln!", "print!(", "process::exit", "dbg!"] {
            assert!(!code.contains(word), "{path}: {word} belongs into bins/");
        }
    }
}

#[test]
fn source_files_are_short() {
    for Source { path, code, .. } in sources() {
        let lines = code.lines().count();
        assert!(lines <= 500, "{path} has {lines} lines: split it by concept");
    }
}

#[test]
fn unit_tests_need_no_tool() {
    for (path, text) in files() {
        // What runs there is the credential helper of the user's.
        let runs = text.contains("Command::new(") && path != "lib/registry/credential_helper.rs";
        assert!(!runs, "{path} runs a program: tests that need tools stand under tests/");
    }
}

/// Files that comments send a reader to are there.
#[test]
fn files_that_comments_name_are_there() {
    let (mut missing, mut found) = (Vec::new(), 0);
    for (path, text) in files() {
        let comments = text.lines().filter_map(|line| line.trim_start().strip_prefix("//"));
        let words =
            comments.flat_map(|comment| comment.split(|c: char| !(c.is_ascii_alphanumeric() || "_-/.".contains(c))));
        for word in words.map(|word| word.trim_end_matches('.')) {
            if ["lib/", "bins/", "tests/"].iter().any(|top| word.starts_with(top)) {
                found += 1;
                if !repository().join(word).exists() {
                    missing.push(format!("{path}: {word}"));
                }
            }
        }
    }
    assert!(missing.is_empty() && found >= 20, "{found} named, not there:\n{}", missing.join("\n"));
}

/// The `x` of every `crate::x`, also inside `crate::{x::.., y}`.
fn modules_named(code: &str) -> BTreeSet<String> {
    let paths = paths(code).into_iter().filter(|path| path[0] == "crate");
    paths.filter_map(|path| path.get(1).cloned()).collect()
}
