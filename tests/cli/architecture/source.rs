//! The source files of the library: which there are, and which modules their code names.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::support::repository;

/// One file below `lib/`, without its comments and its unit tests.
pub struct Source {
    /// Its path from the top of the repository.
    pub path: String,
    /// The module it is: `["ext4", "limits"]` for `lib/ext4/limits.rs`, `["ext4"]` for `lib/ext4/mod.rs`.
    pub module: Vec<String>,
    pub code: String,
}

/// Every source file of the library but `lib.rs` and what only tests see.
pub fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    for (path, text) in files() {
        let relative = Path::new(&path);
        if is_test(relative) || path == "lib/lib.rs" {
            continue;
        }
        let below = relative.strip_prefix("lib").expect("below lib").with_extension("");
        let mut module: Vec<String> = below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if module.last().is_some_and(|last| last == "mod") {
            module.pop();
        }
        found.push(Source { path, module, code: code(&text) });
    }
    found
}

/// The path and text of every file below `lib/`, tests among them.
pub fn files() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut directories = vec![repository().join("lib")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("lib") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(repository()).expect("below");
                found.push((relative.display().to_string(), fs::read_to_string(&path).expect("source")));
            }
        }
    }
    assert!(found.len() >= 10, "lib/ was not found");
    found.sort_unstable();
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

/// All paths of two words or more that the code has, groups taken apart: `a::{b, c::d}` is `a::b` and `a::c::d`.
pub fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find("::") {
        let (before, behind) = rest.split_at(at);
        let word = before.rfind(|c: char| !is_word(c)).map_or(0, |end| end + 1);
        // Nothing stands before it where a qualified type, `<T>::a`, is continued.
        let is_path = word < at;
        rest = if is_path { tree(&rest[word..], &[], &mut found) } else { behind.trim_start_matches([':', '_']) };
    }
    found
}

/// Reads one tree of a `use`, or a path of an expression; gives what is left of the text behind it.
fn tree<'a>(text: &'a str, prefix: &[String], found: &mut Vec<Vec<String>>) -> &'a str {
    let mut path = prefix.to_vec();
    let mut rest = text.trim_start();
    loop {
        let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        if !word.is_empty() {
            path.push(word.to_owned());
        } else if let Some(mut group) = behind.strip_prefix('{') {
            loop {
                group = tree(group, &path, found).trim_start();
                match group.strip_prefix(',') {
                    Some(more) if !more.trim_start().starts_with('}') => group = more,
                    Some(more) => return more.trim_start().strip_prefix('}').unwrap_or(more),
                    None => return group.strip_prefix('}').unwrap_or(group),
                }
            }
        }
        match behind.strip_prefix("::") {
            Some(next) if !word.is_empty() => rest = next,
            _ => {
                // `as name` renames for the reader only.
                let renamed = behind.trim_start().strip_prefix("as ").map(str::trim_start);
                let behind = renamed.map_or(behind, |name| name.trim_start_matches(is_word));
                found.push(path);
                return behind;
            }
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// For each module, the names that it only hands on, with where it has them from.
pub fn handed_on(sources: &[Source]) -> BTreeMap<&[String], BTreeMap<String, Vec<String>>> {
    let names = |source: &Source| {
        let mut names = BTreeMap::new();
        for (at, _) in source.code.match_indices("use ") {
            let (before, statement) = source.code.split_at(at);
            let line = before.rsplit('\n').next().unwrap_or_default().trim();
            if line.starts_with("pub") {
                let mut found = Vec::new();
                tree(statement.strip_prefix("use ").unwrap_or_default(), &[], &mut found);
                names.extend(found.into_iter().filter_map(|path| Some((path.last()?.clone(), path))));
            }
        }
        names
    };
    sources.iter().map(|source| (source.module.as_slice(), names(source))).collect()
}

#[test]
fn groups_are_taken_apart() {
    let found =
        paths("use crate::{meta::{A, B}, tree, tar::Reader as R,};\nlet x = super::ext4::Y::new(z::w);\n<T>::a;");
    let found: Vec<String> = found.iter().map(|path| path.join("::")).collect();
    let expected =
        ["crate::meta::A", "crate::meta::B", "crate::tree", "crate::tar::Reader", "super::ext4::Y::new", "z::w"];
    assert_eq!(found, expected);
}
