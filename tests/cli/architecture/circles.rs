//! Files that know each other in a circle cannot be read one after the other.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Source, handed_on, paths, sources};

/// The circles that stay, each with its reason. One that is none any more must go from here.
const ARGUED: &[(&[&str], &str)] = &[];

#[test]
fn no_files_know_each_other_in_a_circle() {
    let sources = sources();
    let found = circles(&edges(&sources));
    let argued: BTreeSet<BTreeSet<&str>> = ARGUED.iter().map(|(files, _)| files.iter().copied().collect()).collect();
    assert_eq!(found, argued, "circles of files: those there are, and those argued for");
}

/// Which file names which others. A name that a module only hands on counts for the file that it comes from, and the
/// declaration of a module counts for nothing.
fn edges(sources: &[Source]) -> BTreeMap<&str, BTreeSet<&str>> {
    let modules: BTreeMap<&[String], &str> =
        sources.iter().map(|source| (source.module.as_slice(), source.path.as_str())).collect();
    let handed_on = handed_on(sources);
    let mut edges = BTreeMap::new();
    for source in sources {
        let own = without_handed_on(&source.code);
        let named = paths(&own).into_iter().filter_map(|path| {
            let file = resolve(&source.module, &path, &modules, &handed_on, 0)?;
            (file != source.path).then_some(file)
        });
        edges.insert(source.path.as_str(), named.collect::<BTreeSet<_>>());
    }
    edges
}

/// The code without its `pub use` statements.
fn without_handed_on(code: &str) -> String {
    let mut left = String::new();
    let mut inside = false;
    for line in code.lines() {
        let start = line.trim_start();
        inside |= start.starts_with("pub use ") || (start.starts_with("pub(") && start.contains(") use "));
        if !inside {
            left.push_str(line);
            left.push('\n');
        }
        inside &= !line.contains(';');
    }
    left
}

type Modules<'a> = BTreeMap<&'a [String], &'a str>;
type HandedOn<'a> = BTreeMap<&'a [String], BTreeMap<String, Vec<String>>>;

/// The file that `path`, written in `module`, leads to; none when it leads out of the library.
fn resolve<'a>(
    module: &[String],
    path: &[String],
    modules: &Modules<'a>,
    handed_on: &HandedOn<'_>,
    depth: usize,
) -> Option<&'a str> {
    assert!(depth < 20, "{path:?} is handed on in a circle");
    let mut at = module.to_vec();
    let mut words = path.iter().map(String::as_str).peekable();
    match words.peek()? {
        &"crate" => at.clear(),
        &"super" | &"self" => {}
        // A module below this one, or a crate, or a type.
        word => {
            at.push((*word).to_owned());
            modules.get(at.as_slice())?;
            at.pop();
        }
    }
    for word in words {
        match word {
            "crate" | "self" => {}
            "super" => drop(at.pop()),
            word => {
                at.push(word.to_owned());
                if !modules.contains_key(at.as_slice()) {
                    at.pop();
                    if let Some(from) = handed_on.get(at.as_slice()).and_then(|names| names.get(word)) {
                        return resolve(&at, from, modules, handed_on, depth + 1);
                    }
                    break;
                }
            }
        }
    }
    modules.get(at.as_slice()).copied()
}

/// The sets of files of which each leads to each other.
fn circles<'a>(edges: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<BTreeSet<&'a str>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> = edges.keys().map(|file| (*file, reach(file, edges))).collect();
    let circle = |file: &&'a str| -> BTreeSet<&'a str> {
        edges.keys().copied().filter(|other| reached[file].contains(other) && reached[other].contains(file)).collect()
    };
    edges.keys().map(circle).filter(|circle| circle.len() > 1).collect()
}

fn reach<'a>(file: &str, edges: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut left: Vec<&str> = edges[file].iter().copied().collect();
    while let Some(next) = left.pop() {
        if seen.insert(next) {
            left.extend(edges[next].iter().copied());
        }
    }
    seen
}

#[test]
fn a_circle_is_seen_through_what_a_module_hands_on() {
    let source = |path: &str, module: &[&str], code: &str| Source {
        path: path.to_owned(),
        module: module.iter().map(|&word| word.to_owned()).collect(),
        code: code.to_owned(),
    };
    let sources = [
        source("a/mod.rs", &["a"], "mod b;\nmod c;\npub use b::{\n    B,\n};\npub use c::C;"),
        source("a/b.rs", &["a", "b"], "use super::c::C;"),
        source("a/c.rs", &["a", "c"], "use super::B;"),
        source("d.rs", &["d"], "use crate::a::B;"),
    ];
    let found = circles(&edges(&sources));
    assert_eq!(found, BTreeSet::from([BTreeSet::from(["a/b.rs", "a/c.rs"])]));
}
