//! Rule F17: the kernel's overlay of the two parts of a stack equals the whole stack flattened, wherever it is cut.
//!
//! The stacks are those of T4. Each part becomes an image, the images are mounted, and an overlay of the upper above the
//! base must show what the image of the whole shows: names, types, modes, owners, times, attributes, content, devices
//! and link groups.

use std::path::Path;

use fastrand::Rng;
use oci2ext4::flatten::{Options, flatten};

use super::random_layers;
use crate::support::script::Item;
use crate::support::stack::{self, Manifest};
use crate::support::{Filter, LoopMount, assert_text, e2fsck_clean, listing, needs, needs_root, scratch};

#[test]
fn an_overlay_of_the_parts_is_the_whole() {
    overlays(0..40);
}

#[test]
#[ignore = "takes a quarter of an hour"]
fn an_overlay_of_the_parts_is_the_whole_for_a_thousand_stacks() {
    overlays(0..1000);
}

fn overlays(seeds: std::ops::Range<u64>) {
    needs_root("mount images and overlays");
    needs(&["mount", "umount"]);
    let scratch = scratch();
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get) as u64;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let dir = scratch.path().join(thread.to_string());
            std::fs::create_dir(&dir).expect("directory");
            let seeds = seeds.clone().skip(thread as usize).step_by(threads as usize);
            scope.spawn(move || seeds.for_each(|seed| check(seed, &dir)));
        }
    });
}

fn check(seed: u64, dir: &Path) {
    let (_, layers) = random_layers(&mut Rng::with_seed(seed));
    let whole = Image::of(&layers, 0, None, dir, "whole");
    let expected = shown(whole.mount.path());
    for cut in 1..layers.len() as u32 {
        let base = Image::of(&layers, 0, Some(cut - 1), dir, "base");
        let upper = Image::of(&layers, cut, None, dir, "upper");
        let point = dir.join("overlay");
        std::fs::create_dir_all(&point).expect("mount point");
        let parts = format!("xino=on,lowerdir={}:{}", upper.mount.path().display(), base.mount.path().display());
        let mount = Filter::tool("mount").args(["-t", "overlay", "overlay", "-o", &parts]).arg(&point).run();
        let got = mount.status.success().then(|| shown(&point));
        mount.succeeds();
        unmount(&point);
        let got = got.expect("it was mounted");
        if got != expected {
            for (number, layer) in layers.iter().enumerate() {
                eprintln!("== layer {number}");
                layer.iter().for_each(|item| eprintln!("{}", item.line()));
            }
            eprintln!("== upper\n{}", upper.members);
        }
        assert_text(&format!("seed {seed}, cut at layer {cut}"), &expected, &got);
    }
}

fn unmount(point: &Path) {
    let umount = || Filter::tool("umount").arg(point).run();
    // A process that another test is just starting has our open files too, until it executes its program.
    for _ in 0..100 {
        if umount().status.success() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    umount().succeeds();
}

/// What stands there, but for what e2fsck wants in every image.
fn shown(root: &Path) -> String {
    listing(root).lines().filter(|line| !line.starts_with("dir lost+found/")).map(|line| format!("{line}\n")).collect()
}

/// A part of a stack, mounted.
struct Image {
    mount: LoopMount,
    members: String,
}

impl Image {
    fn of(layers: &[Vec<Item>], from: u32, to: Option<u32>, dir: &Path, name: &str) -> Self {
        let mut manifest = Manifest::default();
        for (number, layer) in layers.iter().enumerate() {
            let tar = stack::tar(layer);
            manifest.blob(dir.join(number.to_string()), &tar, &tar, serde_json::json!({}));
        }
        let options = Options { from, to, jobs: 1, tmpdir: Some(dir.into()), ..Options::default() };
        let mut tar = Vec::new();
        let manifest = std::io::Cursor::new(manifest.text());
        flatten(Some(manifest), &options)
            .and_then(|part| part.write_to(&mut tar))
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        let members = crate::support::members(&tar);
        let image = dir.join(name);
        // A moment that no clock that is set back makes the future, of which e2fsck would complain.
        let pack = Filter::tar2ext4().arg("-q").arg("-o").arg(&image).env("SOURCE_DATE_EPOCH", "1700000000");
        pack.stdin(tar).run().succeeds();
        e2fsck_clean(&image);
        Self { mount: LoopMount::read_only(&image), members }
    }
}
