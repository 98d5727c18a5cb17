//! The filters for ARM, as `make dist` makes them, run by qemu-user: they write the bytes that those for x86-64 write (S6,
//! S8).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::support::registry::DockerRegistry;
use crate::support::{Filter, dist, e2fsck_clean, needs, repository, sample, scratch, shell, skopeo_push, test_cache};
use crate::{flatten_random, tar2ext4_dialects, tar2ext4_random};

const EPOCH: (&str, &str) = ("SOURCE_DATE_EPOCH", "1700000000");

/// A directory of programs that run the filters for ARM, and of a `uname` that says so.
fn arm() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        needs(&["qemu-aarch64"]);
        assert_eq!(std::env::consts::ARCH, "x86_64", "this compares ARM with x86-64: run it there");
        let directory = test_cache().with_file_name("test-arm");
        let unpacked = dist().unpacked("aarch64", &directory);
        let program = |name: &str, command: &str| {
            let path = directory.join(name);
            fs::write(&path, format!("#!/bin/sh\n{command}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        for name in ["oci-fetch", "oci-flatten", "tar2ext4"] {
            let path = unpacked.join("bin").join(name);
            program(name, &format!("exec qemu-aarch64 '{}' \"$@\"", path.display()));
            let file = Filter::tool("file").arg("-b").arg(&path).run().succeeds();
            assert!(file.text().contains("ARM aarch64") && file.text().contains("static"), "{}", file.text());
        }
        program("uname", "echo aarch64");
        directory
    })
}

fn arm_tar2ext4() -> Filter {
    Filter::new(arm().join("tar2ext4"))
}

#[test]
#[ignore = "check-full: builds the filters for two architectures"]
fn the_demo_is_one_image() {
    let scratch = scratch();
    let demo = |filters: &Path, name: &str| {
        let out = scratch.path().join(name);
        let run = Filter::new(repository().join("tests/demo/run")).arg(filters).arg(&out).env(EPOCH.0, EPOCH.1);
        let ran = run.env("XDG_CACHE_HOME", scratch.path().join("cache")).current_dir(repository()).run().succeeds();
        let config = shell("cat \"$0\"/image/blobs/sha256/* | grep -a -o '\"architecture\":\"[a-z0-9]*\"' | sort -u");
        let platform = config.arg(&out).run().succeeds().text().to_owned();
        let image = out.join("rootfs.ext4");
        e2fsck_clean(&image);
        (ran.text().replace(name, "OUT"), platform, fs::read(image).unwrap())
    };
    let native = demo(Path::new(env!("CARGO_BIN_EXE_tar2ext4")).parent().unwrap(), "native");
    let arm = demo(arm(), "arm");
    assert_eq!(native.1, "\"architecture\":\"amd64\"\n");
    assert_eq!(arm.1, "\"architecture\":\"arm64\"\n", "each took the image of its own platform");
    assert_eq!(native.0, arm.0);
    assert!(native.2 == arm.2, "the images differ");
}

#[test]
#[ignore = "check-full: builds the filters for two architectures"]
fn an_image_from_a_registry_is_one_image() {
    let scratch = scratch();
    let registry = DockerRegistry::start();
    let name = registry.name("sample:latest");
    skopeo_push(&sample(scratch.path()), &name);
    let build = |filters: Option<&Path>, out: &str| {
        let script = "PATH=\"${FILTERS:+$FILTERS:}$PATH\"; export PATH
            oci-fetch -q --platform linux/amd64 -d \"$1\" \"$0\" >\"$2.layers\" && \
            oci-flatten -q \"$2.layers\" >\"$2.tar\" && tar2ext4 -q --verity=\"$2.tree\" -o \"$2.ext4\" \"$2.tar\"";
        let out = scratch.path().join(out);
        let run = shell(script).arg(&name).arg(scratch.path().join("store")).arg(&out).env(EPOCH.0, EPOCH.1);
        let ran = run.env("FILTERS", filters.unwrap_or(Path::new(""))).run().succeeds();
        e2fsck_clean(out.with_extension("ext4"));
        let read = |suffix: &str| fs::read(out.with_extension(suffix)).unwrap();
        // What is said is the hash tree's root and salt.
        [read("layers"), read("tar"), read("ext4"), read("tree"), ran.stderr.into_bytes()]
    };
    // The second begins with an empty store again.
    let native = build(None, "native");
    fs::remove_dir_all(scratch.path().join("store")).unwrap();
    let arm = build(Some(arm()), "arm");
    for (what, (native, arm)) in
        ["manifest", "tar", "image", "hash tree", "message"].iter().zip(native.iter().zip(&arm))
    {
        assert!(native == arm, "the {what} differs");
    }
}

#[test]
#[ignore = "check-full: builds the filters for two architectures"]
fn every_dialect_is_one_image() {
    use tar2ext4_dialects::{all_gnu, one_image, pax, times, ustar, v7};
    for kind in [v7(), ustar(), all_gnu(), times(), pax()] {
        one_image(&kind, &[Filter::tar2ext4, arm_tar2ext4]);
    }
}

#[test]
#[ignore = "check-full: builds the filters for two architectures"]
fn a_hundred_random_trees_are_one_image_each() {
    arm();
    tar2ext4_random::check_all(5000..5100, |seed| {
        let scratch = scratch();
        let input = tar2ext4_random::RandomInput::make(seed, scratch.path());
        let image = |filter: Filter, name: &str| {
            let image = scratch.path().join(name);
            let filter = filter.arg("-o").arg(&image).args(&input.flags).env(EPOCH.0, EPOCH.1);
            filter.stdin_file(&input.tar).run().succeeds().quiet();
            image
        };
        let native = image(Filter::tar2ext4(), "native.ext4");
        let arm = image(arm_tar2ext4(), "arm.ext4");
        e2fsck_clean(&arm);
        Filter::tool("cmp").args([native, arm]).run().succeeds();
    });
}

#[test]
#[ignore = "check-full: builds the filters for two architectures"]
fn a_hundred_random_stacks_are_one_tar_each() {
    arm();
    tar2ext4_random::check_all(5000..5100, |seed| {
        let scratch = scratch();
        let manifest = flatten_random::random_stack(seed, scratch.path()).text();
        let tar =
            |filter: Filter| filter.env(EPOCH.0, EPOCH.1).stdin(manifest.as_str()).run().succeeds().quiet().stdout;
        let native = tar(Filter::oci_flatten());
        assert!(native == tar(Filter::new(arm().join("oci-flatten"))), "seed {seed}");
    });
}
