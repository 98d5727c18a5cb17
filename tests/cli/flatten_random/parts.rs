//! Rule F17: the kernel's overlay of the two parts of a stack equals the whole stack flattened, wherever it is cut.
//!
//! The stacks are those of T4. Each part becomes an image, the images are mounted, and an overlay of the upper above the
//! base must show what the image of the whole shows: names, types, modes, owners, times, attributes, content, devices
//! and link groups.

use std::path::Path;

use fastrand::Rng;
use oci2ext4::flatten::{Options, flatten};

use super::{random_layers, show};
use crate::support::script::Item;
use crate::support::stack::{self, Manifest};
use crate::support::{
    Filter, LoopMount, Overlay, assert_text, e2fsck_clean, in_parallel, listing, needs, needs_root, scratch,
};

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
    in_parallel(seeds, |seed| check(seed, scratch().path()));
}

fn check(seed: u64, dir: &Path) {
    let (_, layers) = random_layers(&mut Rng::with_seed(seed));
    let whole = Image::of(&layers, 0, None, dir, "whole");
    let expected = shown(whole.mount.path());
    for cut in 1..layers.len() as u32 {
        let base = Image::of(&layers, 0, Some(cut - 1), dir, "base");
        let upper = Image::of(&layers, cut, None, dir, "upper");
        let overlay = Overlay::mount(dir, &[base.mount.path(), upper.mount.path()], None, "xino=on");
        let got = shown(overlay.path());
        overlay.unmount();
        if got != expected {
            show(&layers);
            eprintln!("== upper\n{}", upper.members);
        }
        assert_text(&format!("seed {seed}, cut at layer {cut}"), &expected, &got);
    }
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
