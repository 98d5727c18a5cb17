//! System calls that fail while the whole pipeline runs: each class that a filter makes, threads, pipes and the store
//! among them, at random moments, by strace's fault injection. What one filter does with its own files is tried call by
//! call in `system_calls`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

use super::scene::{OLD, Place};
use super::{Counts, Outcome, Pipeline, Scene, Source, random};
use crate::support::needs;

/// A class of system calls: the names that it has on this or that machine, and what becomes of it.
struct Class {
    names: &'static [&'static str],
    /// The run fails, or goes well all the same.
    errors: &'static [&'static str],
    /// The run goes well: it is tried again, or there is another way.
    harmless: &'static [&'static str],
    /// No filter needs to make such a call on every machine.
    rare: bool,
}

const CLASSES: &[Class] = &[
    class(&["write", "writev", "pwrite64", "pwritev2"], &["ENOSPC", "EIO", "EAGAIN"], &["EINTR"]),
    class(&["read", "readv", "pread64"], &["EIO"], &["EINTR"]),
    class(&["openat", "openat2"], &["EMFILE", "EIO", "ENOSPC", "EACCES"], &["EINTR"]),
    class(&["fsync", "fdatasync"], &["EIO", "ENOSPC"], &["EINTR"]),
    class(&["linkat", "link"], &["EIO", "ENOSPC", "EPERM"], &[]),
    class(&["rename", "renameat", "renameat2"], &["EIO", "ENOSPC", "EACCES"], &[]),
    class(&["ftruncate"], &["EIO", "ENOSPC", "EFBIG"], &["EINTR"]),
    class(&["mkdir", "mkdirat"], &["EIO", "ENOSPC"], &[]),
    class(&["flock"], &["EIO", "ENOLCK"], &["EINTR"]),
    class(&["newfstatat", "statx", "fstat"], &["EIO"], &[]),
    class(&["clone3", "clone"], &["EAGAIN", "ENOMEM"], &[]),
    rare(&["sendfile", "sendfile64"], &["EIO"], &["EINTR", "EINVAL", "ENOSYS", "EAGAIN"]),
    rare(&["splice"], &["EIO"], &["EINTR", "EINVAL", "EAGAIN"]),
    rare(&["copy_file_range"], &["EIO"], &["EINTR", "EXDEV", "ENOSYS"]),
    rare(&["fallocate"], &["EIO", "ENOSPC"], &["EOPNOTSUPP", "EINTR"]),
    rare(&["fcntl"], &["EPERM"], &[]),
];

/// Which filter is hit.
#[derive(Debug)]
struct Case {
    filter: usize,
    source: Source,
    cache: Cache,
}

/// What `oci-flatten --cache` has at the beginning.
#[derive(Debug, PartialEq, Eq)]
enum Cache {
    None,
    Empty,
    Full,
}

const CASES: &[Case] = &[
    Case { filter: 0, source: Source::Registry, cache: Cache::None },
    Case { filter: 0, source: Source::OciArchive, cache: Cache::None },
    Case { filter: 1, source: Source::Layout, cache: Cache::None },
    Case { filter: 1, source: Source::Layout, cache: Cache::Empty },
    Case { filter: 1, source: Source::Layout, cache: Cache::Full },
    Case { filter: 2, source: Source::Layout, cache: Cache::None },
];

impl Case {
    /// Where a run of it takes place.
    fn place(&self, scene: &Scene) -> Place {
        let place = scene.place().caching(self.cache != Cache::None);
        if self.cache == Cache::Full {
            let outcome = scene.spawn(self.source, &place).wait();
            assert!(outcome.last().success(), "{}", outcome.report());
            fs::write(place.target(), OLD).unwrap();
        }
        place
    }
}

const fn class(
    names: &'static [&'static str],
    errors: &'static [&'static str],
    harmless: &'static [&'static str],
) -> Class {
    Class { names, errors, harmless, rare: false }
}

const fn rare(
    names: &'static [&'static str],
    errors: &'static [&'static str],
    harmless: &'static [&'static str],
) -> Class {
    Class { names, errors, harmless, rare: true }
}

#[test]
fn failing_calls_lose_nothing() {
    fail_each(None);
}

#[test]
#[ignore = "check-full: minutes"]
fn failing_calls_lose_nothing_at_many_moments() {
    fail_each(Some(5));
}

/// For each filter, class and error `times` runs, each with one call that fails; or one run for each filter and class.
fn fail_each(times: Option<usize>) {
    needs(&["strace"]);
    let mut random = random("calls of pipelines");
    let scene = Scene::new();
    let mut counts = Counts::default();
    let mut hit = BTreeSet::new();
    let mut wrong = Vec::new();
    for case in CASES {
        let seen = calls(&scene, case);
        for (number, class) in CLASSES.iter().enumerate() {
            let made: Vec<(&str, u64)> =
                class.names.iter().filter_map(|name| Some((*name, *seen.get(*name)?))).collect();
            // The HTTP client wakes its threads by writes to an eventfd, which never fail, and panics if they do: what that
            // comes to is tried in `runtime`.
            let wakes = case.source == Source::Registry && class.names.contains(&"write");
            if made.is_empty() || wakes {
                continue;
            }
            hit.insert(number);
            let errors = class.errors.iter().map(|error| (*error, false));
            let errors: Vec<_> = errors.chain(class.harmless.iter().map(|error| (*error, true))).collect();
            let errors = match times {
                Some(times) => errors.repeat(times),
                None => vec![errors[random.usize(..errors.len())]],
            };
            for (error, harmless) in errors {
                let (name, calls) = made[random.usize(..made.len())];
                let fault = format!("{name}:error={error}:when={}", random.u64(1..=calls));
                // What one fault breaks does not hide what the others do.
                let run = AssertUnwindSafe(|| inject(&scene, case, name, &fault, harmless));
                match catch_unwind(run) {
                    Ok(true) => counts.add(format!("{name} {error}")),
                    Ok(false) => {}
                    Err(_) => wrong.push(format!("{case:?}: {fault}")),
                }
            }
        }
    }
    for (number, class) in CLASSES.iter().enumerate() {
        assert!(class.rare || hit.contains(&number), "no filter calls {:?}", class.names);
    }
    println!("calls of pipelines: {counts}");
    assert!(wrong.is_empty(), "these faults did harm, as told above:\n{}", wrong.join("\n"));
}

/// One run with a fault; false when it kept the program from starting, or came after all was done.
fn inject(scene: &Scene, case: &Case, name: &str, fault: &str, harmless: bool) -> bool {
    let place = case.place(scene);
    let inject = [format!("-etrace={name}"), format!("-einject={fault}")];
    let strace = [&["--seccomp-bpf".to_owned(), "-o/dev/null".to_owned()], &inject[..]].concat();
    let outcome = run(scene, case, &strace, &place);
    let what = || format!("{case:?}, {fault}\n{}", outcome.report());
    // The dynamic loader makes system calls too; it ends the program with this status.
    if outcome.statuses[case.filter].code() == Some(127) {
        scene.clear(&place);
        return false;
    }
    assert!(!harmless || outcome.last().success(), "an error that needs no failure\n{}", what());
    println!("{}", what());
    let failed = scene.survives(&outcome, &place, None);
    if failed {
        scene.second_run_succeeds(case.source, &place);
    }
    scene.clear(&place);
    failed || harmless
}

/// How often a filter makes each of the calls, in the thread that makes it most often: strace counts for each.
fn calls(scene: &Scene, case: &Case) -> BTreeMap<String, u64> {
    let (place, log) = (case.place(scene), scene.at("strace"));
    let names: Vec<&str> = CLASSES.iter().flat_map(|class| class.names).copied().collect();
    // A name that this architecture does not have is no error with a question mark.
    let trace = format!("-etrace=?{}", names.join(",?"));
    let outcome = run(scene, case, &[trace, format!("-o{}", log.display())], &place);
    assert!(outcome.last().success(), "under strace, which needs to trace processes\n{}", outcome.report());
    scene.clear(&place);
    let mut threads: BTreeMap<(String, String), u64> = BTreeMap::new();
    for line in fs::read_to_string(log).unwrap().lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let Some((name, _)) = call.trim_start().split_once('(') else { continue };
        if names.contains(&name) {
            *threads.entry((name.to_owned(), thread.to_owned())).or_default() += 1;
        }
    }
    let mut most = BTreeMap::new();
    for ((name, _), count) in threads {
        let calls = most.entry(name).or_default();
        *calls = count.max(*calls);
    }
    most
}

/// The pipeline with one filter under strace.
fn run(scene: &Scene, case: &Case, strace: &[String], place: &Place) -> Outcome {
    let mut pack = scene.pack(place);
    pack.arg("--fsync");
    let filters = [scene.fetch(&scene.name(case.source), place), scene.flatten(place), pack];
    let traced = filters
        .into_iter()
        .enumerate()
        .map(|(number, command)| if number == case.filter { under_strace(&command, strace) } else { command });
    Pipeline::spawn(traced.collect(), None).wait()
}

fn under_strace(filter: &Command, options: &[String]) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq"]).args(options).arg("--").arg(filter.get_program()).args(filter.get_args());
    strace.env_clear();
    strace.envs(filter.get_envs().filter_map(|(name, value)| Some((name, value?))));
    strace
}
