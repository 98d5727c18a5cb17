//! A user who pulls: a home, a store, credentials; and what must hold after every pull.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::ops::Deref;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use oci2ext4::image::{Algorithm, Hasher};
use serde_json::Value;

use super::image::{Artifact, Image};
use super::text::secret_marks;
use crate::support::{Filter, Ran, Running, scratch};

/// A user with an empty home and an empty blob store, whom nothing of the machine's configuration reaches.
pub struct Puller {
    scratch: tempfile::TempDir,
}

impl Puller {
    pub fn new() -> Self {
        let scratch = scratch();
        for name in ["home", "run", "bin"] {
            fs::create_dir(scratch.path().join(name)).unwrap();
        }
        fs::write(scratch.path().join("registries.conf"), "").unwrap();
        Self { scratch }
    }

    pub fn home(&self) -> PathBuf {
        self.scratch.path().join("home")
    }

    pub fn store(&self) -> PathBuf {
        self.scratch.path().join("store")
    }

    /// A path for a file of the test.
    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Writes a file of the test.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Docker's `~/.docker/config.json`.
    pub fn docker_config(&self, config: &Value) {
        self.file("home/.docker/config.json", config.to_string());
    }

    /// Podman's `$XDG_RUNTIME_DIR/containers/auth.json`.
    pub fn podman_auth(&self, config: &Value) {
        self.file("run/containers/auth.json", config.to_string());
    }

    /// registries.conf(5), version 2.
    pub fn registries_conf(&self, toml: &str) {
        self.file("registries.conf", toml);
    }

    /// A credential helper `docker-credential-NAME`, first on the path, that notes what it was asked in
    /// `helper.log` and then runs this shell script with the server's name in `$server`.
    pub fn helper(&self, name: &str, script: &str) {
        let log = self.path("helper.log");
        let text = format!("#!/bin/sh\nread -r server\necho \"$1 $server\" >>'{}'\n{script}\n", log.display());
        let path = self.file(&format!("bin/docker-credential-{name}"), text);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What the helpers were asked, a line each.
    pub fn helper_log(&self) -> String {
        fs::read_to_string(self.path("helper.log")).unwrap_or_default()
    }

    /// `oci-fetch` of this image into the store, soon impatient.
    pub fn pull(&self, reference: impl AsRef<std::ffi::OsStr>) -> Pull<'_> {
        Pull::new(self, Some(self.store())).arg(reference)
    }

    /// `oci-fetch` without `--dir`.
    pub fn pull_bare(&self, reference: impl AsRef<std::ffi::OsStr>) -> Pull<'_> {
        Pull::new(self, None).arg(reference)
    }

    /// The files of this user, and what tells whether one was written since.
    fn files(&self) -> Files {
        files_below(self.scratch.path()).into_iter().filter_map(|file| Some((file.clone(), stamp(&file)?))).collect()
    }

    /// What holds of every pull, however it ends and whatever the test says of it afterwards: status 0, 1 or 2, an `end`
    /// record exactly when that is 0, no panic; nothing wrong under a blob's name; no secret in any output, in any file
    /// that was not there `before`, or in such a file's name.
    #[track_caller]
    fn judge(&self, ran: &Ran, before: &Files) {
        assert!(!tells(&ran.stdout) && !tells(ran.stderr.as_bytes()), "a secret is out\n{}", ran.report());
        assert!(!ran.stderr.contains("panicked at"), "panicked\n{}", ran.report());
        // None is a signal of the test's own, which may come at any moment.
        if let Some(code) = ran.status.code() {
            assert!(code <= 2, "an unknown status\n{}", ran.report());
            let end = ran.stdout.split(|byte| *byte == b'\n').any(is_end);
            assert!(!end || code == 0, "it failed and said `end`\n{}", ran.report());
            assert!(end || code != 0 || ran.stdout.is_empty(), "it succeeded without `end`\n{}", ran.report());
        }
        let mut new = self.files();
        new.retain(|file, stamp| before.get(file) != Some(stamp));
        // Blobs are what the registry sent, and are searched too; but not gigabytes of them.
        for file in new.iter().filter(|(_, stamp)| stamp.1 <= 64 << 20).map(|(file, _)| file) {
            // Another pull may be at work here.
            let Ok(bytes) = fs::read(file) else { continue };
            assert!(!tells(&bytes), "{} holds a secret", file.display());
            assert!(!tells(file.as_os_str().as_encoded_bytes()), "{} is a secret", file.display());
        }
        for store in [self.store(), self.home().join(".cache/oci-fetch")] {
            assert_blobs(&store, new.keys());
        }
    }
}

/// Files with their inode, length and time.
type Files = BTreeMap<PathBuf, Stamp>;
type Stamp = (u64, u64, i64, i64);

fn stamp(file: &Path) -> Option<Stamp> {
    let meta = fs::symlink_metadata(file).ok()?;
    Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
}

fn is_end(line: &[u8]) -> bool {
    serde_json::from_slice::<Value>(line).is_ok_and(|record| record["type"] == "end")
}

/// `oci-fetch` about to be run.
pub struct Pull<'a> {
    puller: &'a Puller,
    filter: Filter,
    retries: usize,
    timeout: u64,
}

impl<'a> Pull<'a> {
    fn new(puller: &'a Puller, store: Option<PathBuf>) -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let bin = puller.path("bin");
        let path = std::env::join_paths([bin].into_iter().chain(std::env::split_paths(&path))).unwrap();
        let mut filter = Filter::oci_fetch()
            .env("PATH", path)
            .env("HOME", puller.home())
            .env("XDG_RUNTIME_DIR", puller.path("run"))
            .env("CONTAINERS_REGISTRIES_CONF", puller.path("registries.conf"));
        for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
            filter = filter.env_remove(name).env_remove(name.to_uppercase());
        }
        for name in [
            "DOCKER_CONFIG",
            "REGISTRY_AUTH_FILE",
            "XDG_CONFIG_HOME",
            "XDG_CACHE_HOME",
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
        ] {
            filter = filter.env_remove(name);
        }
        if let Some(store) = store {
            filter = filter.arg("--dir").arg(store);
        }
        Self { puller, filter, retries: 1, timeout: 20 }
    }

    pub fn arg(mut self, arg: impl AsRef<std::ffi::OsStr>) -> Self {
        self.filter = self.filter.arg(arg);
        self
    }

    pub fn args<A: AsRef<std::ffi::OsStr>>(self, args: impl IntoIterator<Item = A>) -> Self {
        args.into_iter().fold(self, Self::arg)
    }

    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.filter = self.filter.env(name, value);
        self
    }

    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.filter = self.filter.stdin(bytes);
        self
    }

    pub fn stdout_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.filter = self.filter.stdout_file(path);
        self
    }

    /// Further attempts; without this call one.
    pub fn retries(mut self, count: usize) -> Self {
        self.retries = count;
        self
    }

    /// Seconds without a byte; without this call twenty, which no loaded machine should need.
    pub fn timeout(mut self, seconds: u64) -> Self {
        self.timeout = seconds;
        self
    }

    fn ready(self) -> Filter {
        let (retries, timeout) = (self.retries.to_string(), self.timeout.to_string());
        self.filter.args(["--retries", &retries, "--timeout", &timeout])
    }

    pub fn spawn(self) -> Pulling<'a> {
        let (puller, before) = (self.puller, self.puller.files());
        Pulling { puller, before, running: self.ready().spawn() }
    }

    /// Runs it with no more options than were given, without any judgement.
    pub fn run_bare(self) -> Ran {
        self.filter.run()
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(self) -> Pulled<'a> {
        let puller = self.puller;
        Pulled { puller, ran: self.spawn().wait() }
    }
}

/// A pull that runs. Dropping it kills it.
pub struct Pulling<'a> {
    puller: &'a Puller,
    before: Files,
    running: Running,
}

impl Deref for Pulling<'_> {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.running
    }
}

impl Pulling<'_> {
    #[must_use]
    #[track_caller]
    pub fn wait(self) -> Ran {
        let ran = self.running.wait();
        self.puller.judge(&ran, &self.before);
        ran
    }

    /// As [`Self::wait`], with the most memory that it had, in KiB.
    #[must_use]
    #[track_caller]
    pub fn wait_measured(self) -> (Ran, u64) {
        let mut peak = 0;
        while let Some(now) = self.peak() {
            peak = now;
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert!(peak > 0, "nothing was measured");
        (self.wait(), peak)
    }

    /// The most memory that it had so far, in KiB; `None` once it has ended.
    pub fn peak(&self) -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid().as_raw_nonzero())).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    }
}

/// A pull that has ended.
pub struct Pulled<'a> {
    puller: &'a Puller,
    pub ran: Ran,
}

impl Pulled<'_> {
    /// The records on standard output but for those of layers on their way, which depend on what the store had (M4).
    #[track_caller]
    pub fn records(&self) -> Vec<Value> {
        let mut records = self.all_records();
        records.retain(|record| record["type"] != "fetching" && record["type"] != "arriving");
        records
    }

    /// All records on standard output.
    #[track_caller]
    pub fn all_records(&self) -> Vec<Value> {
        let lines = self.ran.text().lines();
        lines.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
    }

    /// The lines of [`Self::records`], as they stand.
    #[track_caller]
    pub fn manifest(&self) -> String {
        let lines = self.ran.text().split_inclusive('\n');
        let transfers = ["{\"type\":\"fetching\"", "{\"type\":\"arriving\""];
        lines.filter(|line| !transfers.iter().any(|start| line.starts_with(start))).collect()
    }

    /// It succeeded without a word, and its manifest describes exactly this image, whose blobs are on disk.
    #[track_caller]
    pub fn gets(self, image: &Image) -> Self {
        assert!(self.ran.status.success(), "should have succeeded\n{}", self.ran.report());
        let records = self.records();
        assert_eq!(records.len(), image.layers.len() + 2, "records\n{}", self.ran.report());
        let first = &records[0];
        assert_eq!(first["type"], "image");
        assert_eq!(first["version"], 1);
        assert_eq!(first["layers"], image.layers.len());
        assert_eq!(first["config"], serde_json::from_slice::<Value>(&image.config()).unwrap());
        for (i, (record, layer)) in records[1..].iter().zip(&image.layers).enumerate() {
            assert_eq!(record["type"], "layer");
            assert_eq!(record["index"], i);
            assert_eq!(record["diffId"], layer.diff_id, "layer {i}");
            let path = Path::new(record["path"].as_str().expect("a path"));
            assert!(path.is_absolute(), "{}", path.display());
            let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(record["size"], bytes.len(), "layer {i}");
            assert_eq!(super::digest(&bytes), super::digest(&layer.bytes), "bytes of layer {i}");
        }
        assert_eq!(records.last().unwrap(), &serde_json::json!({ "type": "end" }));
        assert_whole(&self.puller.store());
        self
    }

    /// As [`Self::gets`], with the registry's own digests and media types in the records.
    #[track_caller]
    pub fn gets_exactly(self, image: &Image) -> Self {
        let pulled = self.gets(image);
        let records = pulled.records();
        assert_eq!(records[0]["manifest"], image.root().digest);
        for (record, layer) in records[1..].iter().zip(&image.layers) {
            assert_eq!(record["digest"], layer.digest);
            assert_eq!(record["mediaType"], layer.media_type);
        }
        pulled
    }

    /// It succeeded without a word on stderr.
    #[track_caller]
    pub fn quietly(self) -> Self {
        assert!(self.ran.stderr.is_empty(), "should have been quiet\n{}", self.ran.report());
        self
    }

    /// It failed with status 1; the last line names every one of `causes` (or one of `a|b`, in any case of letters). What
    /// holds of every pull, [`Puller::judge`] has seen to.
    #[track_caller]
    pub fn fails(self, causes: &[&str]) -> Self {
        let pulled = self.fails_wordily(causes);
        let mut lines = pulled.ran.stderr.lines().rev().skip(1);
        let others = lines.find(|line| !line.starts_with("oci-fetch: warning: "));
        assert!(others.is_none(), "more than one line of error\n{}", pulled.ran.report());
        assert!(pulled.ran.stderr.len() < 8 << 10, "a long story\n{}", pulled.ran.report());
        pulled
    }

    /// As [`Self::fails`], after whatever `-v` had to say.
    #[track_caller]
    pub fn fails_wordily(self, causes: &[&str]) -> Self {
        assert!(self.ran.status.code() == Some(1), "should have failed with status 1\n{}", self.ran.report());
        let message = self.ran.stderr.lines().next_back().unwrap_or_default();
        assert!(message.starts_with("oci-fetch: "), "no message\n{}", self.ran.report());
        let odd = self.ran.stderr.chars().find(|c| c.is_control() && *c != '\n');
        assert!(odd.is_none(), "{odd:?} on the terminal\n{}", self.ran.report());
        for cause in causes {
            let named = cause.split('|').any(|word| message.to_lowercase().contains(&word.to_lowercase()));
            assert!(named, "no {cause:?} in the message\n{}", self.ran.report());
        }
        self
    }

    /// A warning names this.
    #[track_caller]
    pub fn warns(self, text: &str) -> Self {
        let mut lines = self.ran.stderr.lines().filter(|line| line.starts_with("oci-fetch: warning: "));
        assert!(lines.any(|line| line.contains(text)), "no warning says {text:?}\n{}", self.ran.report());
        self
    }

    /// Nothing but what was on its way went to standard output.
    #[track_caller]
    pub fn says_nothing(self) -> Self {
        assert!(self.manifest().is_empty(), "should have written nothing\n{}", self.ran.report());
        self
    }
}

fn tells(bytes: &[u8]) -> bool {
    secret_marks().iter().any(|mark| memchr_find(bytes, mark))
}

fn memchr_find(bytes: &[u8], mark: &[u8]) -> bool {
    let Some((first, rest)) = mark.split_first() else { return true };
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| byte == first) {
        from += at + 1;
        if bytes[from..].starts_with(rest) {
            return true;
        }
    }
    false
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            files.extend(files_below(&entry.path()));
        } else if kind.is_file() || kind.is_symlink() {
            files.push(entry.path());
        }
    }
    files
}

/// The digest that a file's place in a store claims: `blobs/ALGORITHM/HEX`.
fn claimed(store: &Path, file: &Path) -> Option<String> {
    let name = file.strip_prefix(store).ok()?.to_str()?.strip_prefix("blobs/")?;
    let (algorithm, hex) = name.split_once('/')?;
    let is_final = matches!((algorithm, hex.len()), ("sha256", 64) | ("sha512", 128));
    (is_final && hex.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| format!("{algorithm}:{hex}"))
}

/// Fails when one of these files stands under a blob's name in `store` and is not that blob.
#[track_caller]
fn assert_blobs<'a>(store: &Path, files: impl IntoIterator<Item = &'a PathBuf>) {
    for file in files {
        let Some(claimed) = claimed(store, file) else { continue };
        let algorithm = if claimed.starts_with("sha512") { Algorithm::Sha512 } else { Algorithm::Sha256 };
        let (mut hasher, mut buffer) = (Hasher::new(algorithm), vec![0; 1 << 20]);
        let mut input = fs::File::open(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        while let Some(length) = Some(input.read(&mut buffer).unwrap()).filter(|length| *length > 0) {
            hasher.update(&buffer[..length]);
        }
        assert_eq!(hasher.finish().to_string(), claimed, "a wrong blob stands under a final name");
    }
}

/// Files of the store that are neither blobs nor the layout's own: transfers that stopped.
pub fn parts_in_flight(store: &Path) -> Vec<PathBuf> {
    let mut files = files_below(store);
    files.retain(|file| {
        let own = ["index.json", "oci-layout"].iter().any(|name| file.ends_with(name));
        !own && claimed(store, file).is_none() && fs::metadata(file).is_ok_and(|meta| meta.len() > 0)
    });
    files
}

/// Fails unless the store is a whole OCI image layout: every blob right, every image that it names complete.
#[track_caller]
pub fn assert_whole(store: &Path) {
    if !store.exists() {
        return; // The source was used in place.
    }
    assert_blobs(store, &files_below(store));
    let layout = fs::read(store.join("oci-layout")).expect("oci-layout");
    let layout: Value = serde_json::from_slice(&layout).unwrap();
    assert_eq!(layout["imageLayoutVersion"], "1.0.0");
    let index: Value = serde_json::from_slice(&fs::read(store.join("index.json")).expect("index.json")).unwrap();
    assert_eq!(index["schemaVersion"], 2);
    for entry in index["manifests"].as_array().expect("manifests") {
        assert!(complete(store, entry, true), "the store names {entry} and does not have all of it");
    }
}

/// Whether everything below a descriptor is there. Of an index, the images for other platforms may be missing.
fn complete(store: &Path, descriptor: &Value, root: bool) -> bool {
    let digest = descriptor["digest"].as_str().expect("a digest");
    let Ok(bytes) = fs::read(store.join("blobs").join(digest.replace(':', "/"))) else { return !root };
    assert_eq!(descriptor["size"], bytes.len(), "size of {digest}");
    let document: Value = serde_json::from_slice(&bytes).expect("a document");
    if let Some(children) = document["manifests"].as_array() {
        return children.iter().all(|child| complete(store, child, false));
    }
    if !root {
        return true; // Read, perhaps, to learn its platform.
    }
    let layers = document["layers"].as_array().into_iter().flatten();
    layers.chain([&document["config"]]).all(|blob| {
        let digest = blob["digest"].as_str().expect("a digest");
        store.join("blobs").join(digest.replace(':', "/")).exists()
    })
}
