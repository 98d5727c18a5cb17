//! Places that cannot be written: read-only mounts, and files that even root may not change.

use std::fs;
use std::path::{Path, PathBuf};

use super::scene::{Directory, OLD};
use super::{Counts, Scene, Source};
use crate::support::{Tmpfs, needs, tool};

#[test]
fn read_only_places_are_errors_and_stay_as_they_are() {
    let scene = Scene::new();
    let mut counts = Counts::default();
    let places: [(&str, Source, Directory); 5] = [
        ("read-only store, registry", Source::Registry, |place| &place.store),
        ("read-only store, OCI archive", Source::OciArchive, |place| &place.store),
        ("read-only store, docker archive", Source::DockerArchive, |place| &place.store),
        ("read-only spool", Source::Layout, |place| &place.spool),
        ("read-only target directory", Source::Layout, |place| &place.targets),
    ];
    for (what, source, place_of) in places {
        let place = scene.place();
        let disk = Tmpfs::at(place_of(&place), "size=64m");
        fs::write(place.target(), OLD).unwrap();
        disk.remount("ro");
        let outcome = scene.spawn(source, &place).wait();
        assert!(scene.survives(&outcome, &place, None), "{what}\n{}", outcome.report());
        assert!(outcome.said.iter().any(|said| said.contains("Read-only file system")), "{}", outcome.report());
        disk.remount("rw");
        scene.second_run_succeeds(source, &place);
        drop(disk);
        scene.clear(&place);
        counts.add(what);
    }
    for what in ["target", "directory"] {
        let place = scene.place();
        let path = if what == "target" { place.target() } else { place.targets.clone() };
        let immutable = Immutable::new(&path);
        let outcome = scene.spawn(Source::Layout, &place).wait();
        assert!(scene.survives(&outcome, &place, None), "immutable {what}\n{}", outcome.report());
        assert!(outcome.said[2].contains("Operation not permitted"), "{}", outcome.report());
        drop(immutable);
        scene.second_run_succeeds(Source::Layout, &place);
        scene.clear(&place);
        counts.add(format!("immutable {what}"));
    }
    println!("read-only: {counts}");
}

/// A file or directory with the immutable flag, until it is dropped.
struct Immutable(PathBuf);

impl Immutable {
    fn new(path: &Path) -> Self {
        needs(&["chattr"]);
        tool("chattr", ["+i".as_ref(), path.as_os_str()]);
        Self(path.to_owned())
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        tool("chattr", ["-i".as_ref(), self.0.as_os_str()]);
    }
}
