//! Rule F15 against the kernel: what oci-flatten makes of overlay2 directories is what an overlay mount of them shows.
//!
//! The layers are not made up: each is the upper directory of an overlay mount in which files were changed at random,
//! so whiteouts, opaque directories and overlay's own attributes are the kernel's.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use fastrand::Rng;
use rustix::fs::{CWD, FileType, Mode, XattrFlags};

use crate::flatten_cases::extract;
use crate::support::stack::Manifest;
use crate::support::{Filter, assert_text, listing, needs, needs_root, scratch};

#[test]
fn overlay2_directories_are_what_the_kernel_shows() {
    needs_root("mount overlays");
    needs(&["mount", "umount", "tar"]);
    for seed in 0..12 {
        let scratch = scratch();
        let layers = layers(&mut Rng::with_seed(seed), scratch.path());
        let mut manifest = Manifest::default();
        layers.iter().for_each(|layer| manifest.directory(layer.clone()));
        let flattened = Filter::oci_flatten().stdin(manifest.text()).run().succeeds().quiet();
        let result = scratch.path().join("result.tar");
        fs::write(&result, &flattened.stdout).expect("result");
        let got = extract("tar", &result, scratch.path());
        let mount = Overlay::mount(scratch.path(), &layers, None);
        assert_text(&format!("seed {seed}"), &listing(&mount.0), &got);
    }
}

/// Layer directories, bottom first.
fn layers(rng: &mut Rng, dir: &Path) -> Vec<PathBuf> {
    let mut layers = vec![dir.join("layer-0")];
    fs::create_dir(&layers[0]).expect("layer");
    (0..60).for_each(|_| change(rng, &layers[0]));
    for number in 1..4 {
        let upper = dir.join(format!("layer-{number}"));
        fs::create_dir(&upper).expect("layer");
        {
            let mount = Overlay::mount(dir, &layers, Some(&upper));
            (0..30).for_each(|_| change(rng, &mount.0));
        }
        layers.push(upper);
    }
    layers
}

/// Does something to a tree; what cannot be done is not done.
fn change(rng: &mut Rng, root: &Path) {
    let (one, other) = (place(rng, root), place(rng, root));
    let remove = |path: &Path| {
        let is_dir = fs::symlink_metadata(path).is_ok_and(|stat| stat.is_dir());
        let _ = if is_dir { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    };
    match rng.u32(0..16) {
        0..=1 => remove(&one),
        2..=4 => drop(fs::create_dir(&one)),
        5 => {
            // A new directory in an old one's place: opaque.
            remove(&one);
            let _ = fs::create_dir(&one);
        }
        6..=8 => {
            // Not into a FIFO or a device, nor through a symlink.
            if fs::symlink_metadata(&one).map_or(true, |stat| stat.is_file()) {
                let _ = fs::write(&one, rng.u64(..).to_string().repeat(rng.usize(1..2000)));
            }
        }
        9 => drop(fs::hard_link(&one, &other)),
        10 => drop(fs::rename(&one, &other)),
        11 => drop(symlink(rng.choice(["a", "../b", "/c"]).expect("one"), &one)),
        12 => {
            let kind = *rng.choice(&[FileType::Fifo, FileType::CharacterDevice, FileType::BlockDevice]).expect("one");
            let _ = rustix::fs::mknodat(CWD, &one, kind, Mode::RUSR, rustix::fs::makedev(1, rng.u32(1..9)));
        }
        13 => drop(fs::set_permissions(&one, fs::Permissions::from_mode(rng.u32(0..0o10000) | 0o700))),
        14 => drop(std::os::unix::fs::lchown(&one, Some(rng.u32(0..9)), Some(rng.u32(0..9)))),
        _ => {
            let file = fs::symlink_metadata(&one).is_ok_and(|stat| stat.is_file() || stat.is_dir());
            if file {
                let _ =
                    rustix::fs::lsetxattr(&one, "user.x", &rng.u8(..).to_string().into_bytes(), XattrFlags::empty());
            }
        }
    }
}

/// A path at most three deep, that exists or not.
fn place(rng: &mut Rng, root: &Path) -> PathBuf {
    let mut path = root.to_owned();
    for _ in 0..rng.u32(1..=3) {
        path.push(rng.choice(["a", "b", "c", ".wh.a", "e"]).expect("one"));
        if !fs::symlink_metadata(&path).is_ok_and(|stat| stat.is_dir()) {
            break;
        }
    }
    path
}

/// A mounted overlay. Dropping it unmounts it.
struct Overlay(PathBuf);

impl Overlay {
    fn mount(dir: &Path, lower: &[PathBuf], upper: Option<&Path>) -> Self {
        let (point, work) = (dir.join("mount"), dir.join("work"));
        fs::create_dir_all(&point).expect("mount point");
        let _ = fs::remove_dir_all(&work);
        fs::create_dir(&work).expect("work directory");
        let lower: Vec<String> = lower.iter().rev().map(|layer| layer.display().to_string()).collect();
        let mut options = format!("lowerdir={},redirect_dir=off,index=off,metacopy=off", lower.join(":"));
        if let Some(upper) = upper {
            options += &format!(",upperdir={},workdir={}", upper.display(), work.display());
        }
        Filter::tool("mount").args(["-t", "overlay", "overlay", "-o"]).arg(options).arg(&point).run().succeeds();
        Self(point)
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        let umount = Filter::new("umount").arg(&self.0).run();
        if !umount.status.success() {
            let _ = Filter::new("umount").arg("-l").arg(&self.0).run();
        }
    }
}
