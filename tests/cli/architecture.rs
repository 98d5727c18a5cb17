//! The direction of knowledge between the modules of `lib/`, as `lib/lib.rs` draws it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::support::repository;

/// Which modules each module may name. What is not here is forbidden: tree and ext4 know neither each other nor
/// tar, only the registry module speaks HTTP, and nothing looks upwards.
const ALLOWED: &[(&str, &[&str])] = &[
    ("sys", &[]),
    ("meta", &[]),
    ("relay", &[]),
    ("codec", &["relay"]),
    ("image", &[]),
    ("tar", &["meta"]),
    ("tree", &["meta"]),
    ("ext4", &["meta", "relay", "sys"]),
    ("registry", &["image", "relay", "sys"]),
    ("store", &["image", "relay", "sys"]),
    ("source", &["codec", "image", "meta", "registry", "relay", "store", "sys", "tar"]),
    ("flatten", &["codec", "image", "meta", "relay", "sys", "tar", "tree"]),
    ("pack", &["codec", "ext4", "meta", "relay", "sys", "tar", "tree"]),
    ("cli", &["ext4", "flatten", "image", "meta", "pack", "registry", "source", "store", "sys"]),
];

/// Crates that one module alone may use, so that a change of mind stays in one place.
const OWNED: &[(&str, &str)] =
    &[("reqwest", "registry"), ("rustls", "registry"), ("clap", "cli"), ("indicatif", "cli"), ("arcbox_ext4", "ext4")];

#[test]
fn modules_know_only_what_stands_below_them() {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let mut violations = Vec::new();
    for (module, path, text) in sources() {
        let Some(below) = allowed.get(module.as_str()) else {
            violations.push(format!(
                "lib/{module}: a new module; give it its place in this test and in the stack of lib/lib.rs"
            ));
            continue;
        };
        for named in modules_named(&text) {
            if named != module && allowed.contains_key(named.as_str()) && !below.contains(&named.as_str()) {
                violations.push(format!("{path}: {module} must not know {named}"));
            }
        }
        for (name, owner) in OWNED {
            if module != *owner && text.contains(&format!("{name}::")) {
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
    for (_, path, text) in sources().into_iter().filter(|(module, ..)| module != "sys") {
        let words = SYSTEM.iter().filter(|word| text.contains(**word));
        violations.extend(words.map(|word| format!("{path}: {word} belongs into lib/sys")));
    }
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn the_library_neither_prints_nor_exits() {
    for (_, path, text) in sources() {
        for word in ["println!", "eprintln!", "print!(", "process::exit", "dbg!"] {
            assert!(!text.contains(word), "{path}: {word} belongs into bins/");
        }
    }
}

#[test]
fn source_files_are_short() {
    for (_, path, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= 500, "{path} has {lines} lines: split it by concept");
    }
}

/// Every source file of the library outside its tests: top module, path, text without comments.
fn sources() -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let mut directories = vec![repository().join("lib")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("lib") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let relative = path.strip_prefix(repository()).expect("below");
            if path.extension().is_some_and(|e| e == "rs") && !is_test(relative) {
                let relative = relative.display().to_string();
                let module = relative.split('/').nth(1).expect("a module").to_owned();
                if module != "lib.rs" {
                    found.push((module, relative, code(&fs::read_to_string(&path).expect("source"))));
                }
            }
        }
    }
    assert!(found.len() >= 10, "lib/ was not found");
    found
}

/// `tests.rs`, `*_tests.rs` and what is under a `tests/` folder.
fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests")
        || path.file_stem().is_some_and(|stem| stem == "tests" || stem.to_string_lossy().ends_with("_tests"))
}

/// The text up to its unit tests, comments removed.
fn code(text: &str) -> String {
    let head = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = head.lines().map(|line| line.split_once("//").map_or(line, |(before, _)| before));
    lines.collect::<Vec<_>>().join("\n")
}

/// The `x` of every `crate::x`, also inside `crate::{x::.., y}`.
fn modules_named(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for rest in text.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            None => names.extend(first_word(rest)),
            Some(group) => {
                let mut depth = 0usize;
                let mut start = true;
                for (at, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        c if start && !c.is_whitespace() => {
                            names.extend(group.get(at..).and_then(first_word));
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    names
}

fn first_word(text: &str) -> Option<String> {
    let word: String = text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    (!word.is_empty()).then_some(word)
}

#[test]
fn grouped_imports_are_seen() {
    let names = modules_named("use crate::{meta::{A, B}, tree, tar::Reader};\nlet x = crate::ext4::Y;");
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["ext4", "meta", "tar", "tree"]);
}
