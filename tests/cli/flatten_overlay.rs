//! Rule F15 against the kernel: what oci-flatten makes of overlay2 directories is what an overlay mount of them shows.
//!
//! The layers are not made up: each is the upper directory of an overlay mount in which files were changed at random,
//! so whiteouts, opaque directories and overlay's own attributes are the kernel's. What only the kernel could follow, or
//! what this process cannot see, is refused.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use fastrand::Rng;
use rustix::fs::{CWD, FileType, Mode, XattrFlags};

use crate::flatten_cases::extract;
use crate::support::stack::Manifest;
use crate::support::{Filter, Overlay, Ran, assert_text, listing, needs, needs_root, scratch};

#[test]
fn overlay2_directories_are_what_the_kernel_shows() {
    needs_root("mount overlays");
    needs(&["mount", "umount", "tar"]);
    for seed in 0..12 {
        let scratch = scratch();
        let layers = layers(&mut Rng::with_seed(seed), scratch.path());
        let flattened = Filter::oci_flatten().stdin(manifest(&layers)).run().succeeds();
        let result = scratch.path().join("result.tar");
        fs::write(&result, &flattened.stdout).expect("result");
        let got = extract("tar", &result, scratch.path());
        let mount = Overlay::mount(scratch.path(), &layers, None, PLAIN);
        let expected = listing(mount.path());
        assert_text(&format!("seed {seed}"), &expected, &got);
        // Names that would be whiteouts elsewhere are the only thing to speak of.
        let lookalikes = expected.lines().any(|line| line.split(' ').nth(1).is_some_and(is_lookalike));
        let warned = flattened.stderr.contains("whoever reads this tar as a layer");
        assert_eq!(
            (flattened.stderr.lines().count(), warned),
            (lookalikes.into(), lookalikes),
            "{}",
            flattened.report()
        );
    }
}

fn is_lookalike(name: &str) -> bool {
    name.rsplit('/').find(|part| !part.is_empty()).is_some_and(|last| last.starts_with(".wh."))
}

/// How overlays are mounted by the tools that make such layers.
pub const PLAIN: &str = "redirect_dir=off,index=off,metacopy=off";

fn manifest(layers: &[PathBuf]) -> String {
    let mut manifest = Manifest::default();
    layers.iter().for_each(|layer| manifest.directory(layer.clone()));
    manifest.text()
}

/// Two layers: what `below` makes, and what `change` makes of it on an overlay mounted with these options.
fn two_layers(dir: &Path, options: &str, below: impl Fn(&Path), change: impl Fn(&Path)) -> Vec<PathBuf> {
    needs_root("mount overlays");
    needs(&["mount", "umount"]);
    let layers = ["below", "above"].map(|name| dir.join(name));
    layers.iter().for_each(|layer| fs::create_dir(layer).expect("layer"));
    below(&layers[0]);
    let mount = Overlay::mount(dir, &layers[..1], Some(&layers[1]), options);
    change(mount.path());
    drop(mount);
    layers.into()
}

#[test]
fn what_only_the_kernel_can_follow_is_refused() {
    let below = |root: &Path| {
        fs::create_dir(root.join("old")).unwrap();
        fs::write(root.join("old/file"), "content".repeat(1000)).unwrap();
    };
    let refused = |layers: &[PathBuf], says: &str| {
        let ran = Filter::oci_flatten().stdin(manifest(layers)).run().fails_with(1, says).one_line();
        assert!(ran.stderr.contains("layer 1") && ran.stdout.is_empty(), "{}", ran.report());
    };
    let scratch = scratch();
    let dir = |name: &str| {
        let dir = scratch.path().join(name);
        fs::create_dir(&dir).unwrap();
        dir
    };
    let layers = two_layers(&dir("redirect"), "redirect_dir=on,index=off,metacopy=off", below, |root| {
        fs::rename(root.join("old"), root.join("new")).unwrap();
    });
    refused(&layers, "new: was renamed from old (overlay redirect)");
    let layers = two_layers(&dir("metacopy"), "redirect_dir=on,index=off,metacopy=on", below, |root| {
        fs::set_permissions(root.join("old/file"), fs::Permissions::from_mode(0o600)).unwrap();
    });
    refused(&layers, "old/file: has its content in a lower layer (overlay metacopy)");
}

#[test]
fn a_socket_hides_what_is_below_it() {
    let below = |root: &Path| ["a", "b"].iter().for_each(|name| fs::write(root.join(name), "file").unwrap());
    let scratch = scratch();
    let layers = two_layers(scratch.path(), PLAIN, below, |root| {
        fs::remove_file(root.join("a")).unwrap();
        rustix::fs::mknodat(CWD, root.join("a"), FileType::Socket, Mode::RUSR, 0).unwrap();
    });
    let ran = Filter::oci_flatten().stdin(manifest(&layers)).run().succeeds().says("a: socket skipped");
    let names: Vec<String> = tar::Archive::new(&ran.stdout[..])
        .entries()
        .unwrap()
        .map(|member| member.unwrap().path().unwrap().display().to_string())
        .collect();
    assert_eq!(names, ["./", "b"]);
}

/// A directory made anew over an old one: the kernel says only in `trusted.overlay.opaque` that it is another.
fn opaque_layers(dir: &Path) -> Vec<PathBuf> {
    let below = |root: &Path| {
        fs::create_dir(root.join("d")).unwrap();
        fs::write(root.join("d/old"), "old").unwrap();
    };
    two_layers(dir, PLAIN, below, |root| {
        fs::remove_dir_all(root.join("d")).unwrap();
        fs::create_dir(root.join("d")).unwrap();
        fs::write(root.join("d/new"), "new").unwrap();
    })
}

/// `oci-flatten` over these layers behind the words of another program.
fn flatten_by(layers: &[PathBuf], words: &[&str]) -> Ran {
    let filter = Filter::tool(words[0]).args(&words[1..]).arg(env!("CARGO_BIN_EXE_oci-flatten"));
    filter.stdin(manifest(layers)).run()
}

#[test]
fn layers_whose_opaque_marks_cannot_be_seen_are_refused() {
    needs(&["setpriv"]);
    let scratch = scratch();
    let layers = opaque_layers(scratch.path());
    let seen = Filter::oci_flatten().stdin(manifest(&layers)).run().succeeds().quiet();
    assert_eq!(tar::Archive::new(&seen.stdout[..]).entries().unwrap().count(), 3, "./ d/ d/new");

    // Root, as in a container that was started without privileges.
    let weak = ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"];
    let ran = flatten_by(&layers, &weak).fails_with(1, "CAP_SYS_ADMIN").one_line();
    assert!(ran.stderr.contains("layer 1") && ran.stderr.contains(": d: "), "{}", ran.report());
    assert!(ran.stdout.is_empty());
    // A stack of one has nothing to hide.
    flatten_by(&layers[..1], &weak).succeeds().quiet();
}

#[test]
fn in_a_user_namespace_marks_are_those_that_its_overlays_have() {
    needs(&["unshare"]);
    let scratch = scratch();
    let layers = opaque_layers(scratch.path());
    let inside = ["unshare", "--user", "--map-root-user"];
    flatten_by(&layers, &inside).succeeds().one_line().says("warning: trusted.overlay attributes cannot be read");
    // Marks as rootless tools have them are read, and so there is nothing to warn of.
    let mark = |name: &str| {
        rustix::fs::lsetxattr(layers[1].join("d"), name, b"y", XattrFlags::empty()).unwrap();
    };
    mark("user.overlay.opaque");
    let ran = flatten_by(&layers, &inside).succeeds().quiet();
    assert_eq!(tar::Archive::new(&ran.stdout[..]).entries().unwrap().count(), 3, "./ d/ d/new");
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
            let mount = Overlay::mount(dir, &layers, Some(&upper), PLAIN);
            (0..30).for_each(|_| change(rng, mount.path()));
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
