//! What is packed, where it comes from, and the places that a run writes to.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use super::{Outcome, Pipeline};
use crate::support::registry::{
    Artifact, Image, Layer, Part, Registry, assert_whole, digest, docker_archive, oci_archive, oci_layout,
};
use crate::support::script::{Item, What};
use crate::support::stack::tar;
use crate::support::{e2fsck_clean, scratch};

/// Bytes of every target.
pub const SIZE: u64 = 8 << 20;

/// What stands at the target before a run.
pub const OLD: &[u8] = b"what was here before";

/// Where the image comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Registry,
    Layout,
    OciArchive,
    DockerArchive,
}

impl Source {
    pub const ALL: [Self; 4] = [Self::Registry, Self::Layout, Self::OciArchive, Self::DockerArchive];
}

/// An image in every form, and the ext4 image that it becomes.
pub struct Scene {
    scratch: tempfile::TempDir,
    pub registry: Registry,
    pub image: Image,
    /// Every blob that can come into a store, by its digest.
    blobs: HashMap<String, Arc<[u8]>>,
    /// The result of a run without a fault.
    pub whole: Vec<u8>,
    runs: std::cell::Cell<u64>,
}

/// The directories of one run. Each holds nothing but what the run puts there.
pub struct Place {
    pub store: PathBuf,
    pub spool: PathBuf,
    pub targets: PathBuf,
    /// Where decoded layers are kept (F18), if they are.
    pub cache: PathBuf,
    caches: bool,
}

/// One of a place's directories.
pub type Directory = fn(&Place) -> &PathBuf;

impl Place {
    /// Says whether decoded layers are kept.
    pub fn caching(self, caches: bool) -> Self {
        Self { caches, ..self }
    }

    pub fn target(&self) -> PathBuf {
        self.targets.join("rootfs.ext4")
    }
}

impl Scene {
    pub fn new() -> Self {
        let scratch = scratch();
        let image = Image::of([Layer::gzip(&layer(1)), Layer::zstd(&layer(2)), Layer::plain(&layer(3))]);
        let registry = Registry::start();
        registry.push("demo", "latest", &image);
        let at = |name: &str| scratch.path().join(name);
        oci_layout(&at("layout"), &[("latest", &image)]);
        fs::write(at("oci.tar"), oci_archive(&[("latest", &image)])).unwrap();
        fs::write(at("docker.tar"), docker_archive(&[(&["demo:latest"], &image)])).unwrap();
        fs::create_dir(at("home")).unwrap();
        fs::write(at("registries.conf"), "").unwrap();
        let blobs = image.parts().into_iter().map(|Part { digest, bytes, .. }| (digest, bytes)).collect();
        let mut scene = Self { scratch, registry, image, blobs, whole: Vec::new(), runs: 0.into() };
        for source in Source::ALL {
            let place = scene.place();
            let outcome = scene.spawn(source, &place).wait();
            assert!(outcome.last().success(), "{source:?}\n{}", outcome.report());
            e2fsck_clean(place.target());
            let whole = fs::read(place.target()).unwrap();
            assert_eq!(whole.len() as u64, SIZE);
            assert!(scene.whole.is_empty() || scene.whole == whole, "{source:?} gives another image");
            scene.whole = whole;
            // docker save has the layers uncompressed, and no manifest of its own.
            let blobs = place.store.join("blobs/sha256");
            for hex in names(&blobs) {
                scene.blobs.insert(format!("sha256:{hex}"), fs::read(blobs.join(hex)).unwrap().into());
            }
            scene.clear(&place);
        }
        scene
    }

    /// A path for a file of the test.
    pub fn at(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// New, empty directories; a target is there already.
    pub fn place(&self) -> Place {
        self.runs.set(self.runs.get() + 1);
        let root = self.at(&format!("run-{}", self.runs.get()));
        let place = Place {
            store: root.join("store"),
            spool: root.join("spool"),
            targets: root.join("targets"),
            cache: root.join("cache"),
            caches: false,
        };
        for directory in [&place.spool, &place.targets] {
            fs::create_dir_all(directory).unwrap();
        }
        fs::write(place.target(), OLD).unwrap();
        place
    }

    /// Forgets a run that went well.
    pub fn clear(&self, place: &Place) {
        fs::remove_dir_all(place.targets.parent().unwrap()).unwrap();
    }

    /// The image as one names it to `oci-fetch`.
    pub fn name(&self, source: Source) -> String {
        match source {
            Source::Registry => self.registry.name("demo:latest"),
            Source::Layout => format!("oci:{}", self.at("layout").display()),
            Source::OciArchive => format!("oci-archive:{}", self.at("oci.tar").display()),
            Source::DockerArchive => format!("docker-archive:{}", self.at("docker.tar").display()),
        }
    }

    pub fn fetch(&self, name: &str, place: &Place) -> Command {
        self.fetch_with(name, place, 0, 60)
    }

    /// As [`Self::fetch`], with so many further attempts, each after so many seconds of silence.
    pub fn fetch_with(&self, name: &str, place: &Place, retries: u32, timeout: u32) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_oci-fetch"));
        let (retries, timeout) = (retries.to_string(), timeout.to_string());
        command.arg("--dir").arg(&place.store).args(["--retries", &retries, "--timeout", &timeout, name]);
        command
    }

    pub fn flatten(&self, place: &Place) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_oci-flatten"));
        command.arg("--tmpdir").arg(&place.spool);
        if place.caches {
            command.arg("--cache").arg(&place.cache);
        }
        command
    }

    pub fn pack(&self, place: &Place) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_tar2ext4"));
        command.arg("--output").arg(place.target()).args(["--size", &SIZE.to_string()]);
        command
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("SOURCE_DATE_EPOCH", "1700000000").env("PATH", "/usr/bin:/bin");
        command.env("HOME", self.at("home")).env("XDG_RUNTIME_DIR", self.at("home"));
        command.env("CONTAINERS_REGISTRIES_CONF", self.at("registries.conf"));
        command
    }

    /// The whole pipeline.
    pub fn spawn(&self, source: Source, place: &Place) -> Pipeline {
        let fetch = self.fetch(&self.name(source), place);
        Pipeline::spawn(vec![fetch, self.flatten(place), self.pack(place)], None)
    }

    /// A fault has hit the pipeline: the target is the old one, and nothing is left. False when the fault came too late
    /// and the target is the whole new one. `killed` is the filter that was sent a signal.
    #[track_caller]
    pub fn survives(&self, outcome: &Outcome, place: &Place, killed: Option<usize>) -> bool {
        self.store_is_resumable(&place.store);
        self.target_survives(outcome, place, killed)
    }

    /// As [`Self::survives`]; but what is on its way may be wrong, since the registry lied.
    #[track_caller]
    pub fn target_survives(&self, outcome: &Outcome, place: &Place, killed: Option<usize>) -> bool {
        outcome.is_sane(killed);
        let now = fs::read(place.target()).ok();
        let done = now.as_deref() == Some(&*self.whole);
        let killed_the_last = killed == Some(outcome.statuses.len() - 1);
        match outcome.last().success() {
            true => assert!(done, "the last filter succeeds and the target is not whole\n{}", outcome.report()),
            // It may die after its target stands.
            false if killed_the_last && done => {}
            false => assert!(now.as_deref() == Some(OLD), "the old target was touched\n{}", outcome.report()),
        }
        assert_eq!(names(&place.targets), ["rootfs.ext4"], "beside the target\n{}", outcome.report());
        assert!(names(&place.spool).is_empty(), "in the spool: {:?}", names(&place.spool));
        self.blobs_are_right(&place.store);
        self.cache_is_right(place);
        self.nobody_lives();
        !done
    }

    /// Without the fault it works, and leaves a store without anything half done.
    #[track_caller]
    pub fn second_run_succeeds(&self, source: Source, place: &Place) {
        self.runs_well(source, place, 0);
    }

    /// As [`Self::second_run_succeeds`], with so many further attempts: what a lie left is found when it is whole.
    #[track_caller]
    pub fn runs_well(&self, source: Source, place: &Place, retries: u32) {
        let fetch = self.fetch_with(&self.name(source), place, retries, 60);
        let outcome = Pipeline::spawn(vec![fetch, self.flatten(place), self.pack(place)], None).wait();
        assert!(outcome.last().success(), "the second run fails\n{}", outcome.report());
        assert!(fs::read(place.target()).unwrap() == self.whole, "the second run gives something else");
        assert_eq!(names(&place.targets), ["rootfs.ext4"]);
        self.cache_is_right(place);
        if source != Source::Layout {
            assert_whole(&place.store);
            let partial = names(&place.store.join("partial"));
            assert!(partial.is_empty(), "after the second run: {partial:?}");
        }
    }

    /// Blobs are whole and right.
    #[track_caller]
    fn blobs_are_right(&self, store: &Path) {
        for name in names(store) {
            let known = ["oci-layout", "index.json", ".lock", ".in-use", "blobs", "partial"].contains(&&*name);
            assert!(known, "{name} in the store");
        }
        for algorithm in names(&store.join("blobs")) {
            for hex in names(&store.join("blobs").join(&algorithm)) {
                let bytes = fs::read(store.join("blobs").join(&algorithm).join(&hex)).unwrap();
                assert_eq!(digest(&bytes), format!("{algorithm}:{hex}"), "a blob that is none");
            }
        }
    }

    /// What has a diffId's name in the cache is that layer, decoded (F18).
    #[track_caller]
    fn cache_is_right(&self, place: &Place) {
        let diff_ids: Vec<String> =
            self.image.layers.iter().map(|layer| layer.diff_id.replace("sha256:", "")).collect();
        let entries = place.cache.join("sha256");
        for name in names(&entries) {
            let known = diff_ids.iter().any(|diff_id| diff_id == name.trim_end_matches(".used"));
            assert!(known, "{name} in the cache");
            if !name.ends_with(".used") {
                let bytes = fs::read(entries.join(&name)).unwrap();
                assert_eq!(digest(&bytes), format!("sha256:{name}"), "a layer that is none");
            }
        }
    }

    /// What is on its way is the beginning of a blob.
    #[track_caller]
    fn store_is_resumable(&self, store: &Path) {
        for name in names(&store.join("partial")) {
            // Its place is in the root, or it had no name yet: the next run makes it anew, in its place.
            if ["index.json-", "oci-layout-", "import-"].iter().any(|stem| name.starts_with(stem)) {
                continue;
            }
            let blob = self.blobs.get(&name.replacen('.', ":", 1));
            let bytes = fs::read(store.join("partial").join(&name)).unwrap();
            let resumable = blob.is_some_and(|blob| blob.starts_with(&bytes));
            assert!(resumable, "{name}: {} bytes that no run can resume", bytes.len());
        }
    }

    /// No process of ours outlives its pipeline.
    #[track_caller]
    fn nobody_lives(&self) {
        let mark = self.scratch.path().as_os_str().as_encoded_bytes();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let ours = line.windows(mark.len()).any(|window| window == mark);
            assert!(!ours, "process {:?} lives on: {}", entry.file_name(), line.escape_ascii());
        }
    }
}

/// The names in a directory, sorted; none when it is not there.
pub fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A layer of about 800 KB that hardly compresses, so that every cut and every moment is inside of something.
fn layer(seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let item = |name: String, what| Item {
        name: name.into_bytes(),
        what,
        mode: 0o644,
        owner: (0, 0),
        mtime: (1_600_000_000, 0),
        xattrs: Vec::new(),
    };
    let mut items = vec![item(format!("layer{seed}"), What::Dir)];
    for number in 0..80 {
        let mut content = vec![0; random.usize(..20_000)];
        random.fill(&mut content);
        items.push(item(format!("layer{seed}/file{number}"), What::File(content)));
    }
    // Something of the layer below goes.
    items.push(item(format!("layer{}/.wh.file7", seed - 1), What::File(Vec::new())));
    tar(&items)
}
