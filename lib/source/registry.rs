//! Images from a registry, fetched into the store.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use super::resolve::{Documents, Image, ImageResolver};
use super::{Error, FetchProgress, Options, Outcome, Transfer, TransferMeter, emit, layout};
use crate::image::layer_manifest;
use crate::image::{Descriptor, Digest, MAX_DOCUMENT, Manifest, Reference, media_type};
use crate::registry::{self, BlobSink, Cancel, Repository};
use crate::relay::PageBuffer;
use crate::store::{self, Claim, PartialBlob, Store};
use crate::sys::locked;

pub(super) fn fetch<W: Write>(
    reference: &Reference,
    options: &Options,
    progress: &Arc<dyn FetchProgress>,
    out: &mut layer_manifest::Writer<W>,
) -> Result<Vec<u8>, Error> {
    if options.offline {
        return offline(reference, options, out);
    }
    let store = Store::create(&options.store, options.of_store())?;
    let cancel = Arc::new(Cancel::default());
    let repository = Repository::new(reference, &options.registry, &cancel);
    let repository = repository.map_err(|e| Error::Registry { image: reference.to_string(), source: Box::new(e) })?;
    let remote = Arc::new(Remote {
        shown: reference.to_string(),
        repository,
        store,
        progress: progress.clone(),
        jobs: options.jobs,
        begun: Mutex::default(),
    });
    let top = remote.top(reference)?;
    let fetched = fetch_image(&remote, &top, options, out);
    if fetched.is_err() {
        cancel.cancel();
    }
    let image = fetched?;
    remote.remember(reference, top, &image)?;
    Ok(image.config.bytes)
}

/// Fetches the image that `reference` leads to and writes its records.
fn fetch_image<W: Write>(
    remote: &Arc<Remote>,
    top: &Descriptor,
    options: &Options,
    out: &mut layer_manifest::Writer<W>,
) -> Result<Image, Error> {
    let image = ImageResolver::new(remote, remote.shown.clone(), options.platform.as_ref()).resolve(top)?;
    emit::image(out, &remote.shown, &image)?;
    let begun = locked(&remote.begun).take();
    let events = match begun.filter(|begun| begun.layers == image.manifest.layers) {
        Some(begun) => begun.events,
        None => begin(remote, &image.manifest.layers)?,
    };
    records(remote, &image, &events, out)?;
    Ok(image)
}

fn offline<W: Write>(
    reference: &Reference,
    options: &Options,
    out: &mut layer_manifest::Writer<W>,
) -> Result<Vec<u8>, Error> {
    let shown = reference.to_string();
    let store = match Store::open(&options.store, options.of_store()) {
        // Only a missing store is like an empty one; any other problem is an error.
        Err(store::Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            let what = format!("there is no blob store {}: fetch it once without --offline", options.store.display());
            return Err(Error::NotFound { image: shown, what });
        }
        opened => opened?,
    };
    let top = match &reference.digest {
        Some(digest) => store.blob_size(digest)?.map(|size| Descriptor::new("", digest.clone(), size)),
        None => store.lookup(&reference.store_name())?,
    };
    let top = top.ok_or_else(|| Error::NotFound {
        image: shown.clone(),
        what: format!("not in the blob store {}: fetch it once without --offline", store.root().display()),
    })?;
    let image = ImageResolver::new(&store, shown.clone(), options.platform.as_ref()).resolve(&top)?;
    store.mark_used(&reference.store_name());
    layout::emit_all(&store, &shown, image, out)
}

fn transfer(descriptor: &Descriptor, layer: Option<usize>) -> Transfer {
    Transfer { layer, digest: Some(descriptor.digest.clone()), size: Some(descriptor.size) }
}

/// A repository with the store in front of it.
struct Remote {
    shown: String,
    repository: Repository,
    store: Store,
    progress: Arc<dyn FetchProgress>,
    /// The number of parallel downloads.
    jobs: usize,
    /// The layers whose downloads started along with the config's.
    begun: Mutex<Option<Begun>>,
}

/// Layers being fetched.
struct Begun {
    layers: Vec<Descriptor>,
    events: Receiver<LayerEvent>,
}

impl Remote {
    fn error(&self, source: registry::Error) -> Error {
        Error::Registry { image: self.shown.clone(), source: Box::new(source) }
    }

    /// Fetches the document that the reference points at into the store.
    fn top(&self, reference: &Reference) -> Result<Descriptor, Error> {
        if let Some(digest) = &reference.digest {
            return match self.cached(digest)? {
                Some(bytes) => Ok(Descriptor::new("", digest.clone(), bytes.len() as u64)),
                None => self.by_digest(digest),
            };
        }
        let tag = reference.target();
        // If the store knows the tag and it has not moved, one HEAD request is enough (R6).
        let known = self.store.lookup(&reference.store_name())?;
        let is_cached = |target: &Descriptor| Ok::<_, Error>(self.cached(&target.digest)?.is_some());
        let is_cached = known.as_ref().map(is_cached).transpose()?;
        if let (Some(target), Some(true)) = (known, is_cached) {
            let found = self.repository.head(&tag).map_err(|source| {
                if matches!(source, registry::Error::Transport { .. }) {
                    log::warn!("{}: the blob store has an image of this name, which --offline uses", self.shown);
                }
                self.error(source)
            })?;
            if found.as_ref() == Some(&target.digest) {
                log::info!("{}: unchanged since the last fetch", self.shown);
                return Ok(target);
            }
        }
        let fetched = self.repository.manifest_by_tag(&tag).map_err(|source| self.error(source))?;
        self.keep(fetched)
    }

    fn by_digest(&self, digest: &Digest) -> Result<Descriptor, Error> {
        let fetched = self.repository.manifest_by_digest(digest).map_err(|source| self.error(source))?;
        self.keep(fetched)
    }

    fn keep(&self, fetched: registry::FetchedManifest) -> Result<Descriptor, Error> {
        self.store.put(&fetched.digest, &fetched.bytes)?;
        let declared = fetched.media_type.map(|t| media_type::essence(&t)).unwrap_or_default();
        let known = media_type::is_index(&declared) || media_type::is_manifest(&declared);
        let declared = if known { declared } else { String::new() };
        Ok(Descriptor::new(&declared, fetched.digest, fetched.bytes.len() as u64))
    }

    /// A document from the store; a damaged one counts as absent and is fetched again.
    fn cached(&self, digest: &Digest) -> Result<Option<Vec<u8>>, Error> {
        match self.store.document(digest, MAX_DOCUMENT) {
            Err(error) if is_spoilt(&error) => {
                log::warn!("{error}; fetching it again");
                self.store.discard(digest)?;
                Ok(None)
            }
            other => Ok(other?),
        }
    }

    /// Brings a blob into the store; returns its path. Calls `begins` with each file that its bytes arrive in, if any
    /// have to.
    fn blob(&self, descriptor: &Descriptor, layer: Option<usize>, begins: impl Fn(&Path)) -> Result<PathBuf, Error> {
        let mut meter = self.progress.start(&transfer(descriptor, layer));
        let partial = match self.store.claim(&descriptor.digest, descriptor.size)? {
            Claim::Present(path) => {
                meter.end(Outcome::Cached);
                return Ok(path);
            }
            Claim::Partial(partial) => partial,
        };
        begins(partial.path());
        meter.at(partial.offset());
        let (since, before) = (Instant::now(), partial.offset());
        let mut sink = MeteredSink { partial, meter, begins };
        let fetched = match layer {
            Some(_) => self.repository.blob(descriptor, &mut sink),
            None => self.repository.config(descriptor, &mut sink),
        };
        let MeteredSink { partial, meter, .. } = sink;
        meter.end(if fetched.is_ok() { Outcome::Done } else { Outcome::Failed });
        fetched.map_err(|source| match layer {
            Some(layer) => {
                let (image, digest) = (self.shown.clone(), descriptor.digest.clone());
                Error::Layer { image, layer, digest, source: Box::new(source) }
            }
            None => self.error(source),
        })?;
        let path = partial.commit()?;
        let (fetched, time) = (descriptor.size - before.min(descriptor.size), since.elapsed().as_secs_f64());
        let what = layer.map_or_else(|| "config".into(), |layer| format!("layer {layer}"));
        log::info!("{what} {}: {fetched} bytes fetched in {time:.2} s", descriptor.digest);
        Ok(path)
    }

    /// Records the image under its name in the store.
    fn remember(&self, reference: &Reference, mut top: Descriptor, image: &Image) -> Result<(), Error> {
        let bytes = self.cached(&top.digest)?.unwrap_or_default();
        if top.media_type.is_empty() {
            top.media_type = if top.digest == image.descriptor.digest {
                image.manifest.media_type.clone()
            } else {
                own_media_type(&bytes)
            };
        }
        Ok(self.store.remember(&reference.store_name(), &top, &bytes, image.platform.as_ref())?)
    }
}

/// Whether there is something else under a blob's name, which can be replaced.
fn is_spoilt(error: &store::Error) -> bool {
    use store::Error as E;
    matches!(error, E::Mismatch { .. } | E::TooLong { .. } | E::NotAFile { .. } | E::OpenToOthers { .. })
}

/// The media type in a document; OCI's index if there is none.
fn own_media_type(bytes: &[u8]) -> String {
    match crate::image::Document::parse(bytes, None) {
        Ok(crate::image::Document::Index(index)) => index.media_type,
        Ok(crate::image::Document::Manifest(manifest)) => manifest.media_type,
        Err(_) => media_type::OCI_INDEX.to_owned(),
    }
}

impl Documents for Arc<Remote> {
    fn may_have(&self, _: &Descriptor) -> bool {
        true
    }

    fn chosen(&self, manifest: &Manifest) {
        // The config will be refused unread.
        if manifest.config.size > MAX_DOCUMENT {
            return;
        }
        let mut begun = locked(&self.begun);
        // If no thread can be started now, it is tried again later, and reported then.
        if let (None, Ok(events)) = (&*begun, begin(self, &manifest.layers)) {
            *begun = Some(Begun { layers: manifest.layers.clone(), events });
        }
    }

    fn manifest(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        if let Some(bytes) = self.cached(&descriptor.digest)? {
            return Ok(bytes);
        }
        let fetched = self.repository.manifest_by_digest(&descriptor.digest).map_err(|source| self.error(source))?;
        self.store.put(&fetched.digest, &fetched.bytes)?;
        Ok(fetched.bytes)
    }

    fn config(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        if let Some(bytes) = self.cached(&descriptor.digest)? {
            return Ok(bytes);
        }
        self.blob(descriptor, None, |_| {})?;
        let bytes = self.cached(&descriptor.digest)?;
        bytes.ok_or_else(|| Error::NotFound {
            image: self.shown.clone(),
            what: format!("{} vanished from the blob store", descriptor.digest),
        })
    }
}

/// Messages of the threads that fetch layers.
enum LayerEvent {
    /// The bytes of this layer start to arrive in a file.
    Begun(usize, PathBuf),
    /// The blob of this digest is complete at a path, or has failed.
    Ended(Digest, Result<PathBuf, Error>),
}

/// Starts to fetch the layers, several in parallel.
fn begin(remote: &Arc<Remote>, layers: &[Descriptor]) -> Result<Receiver<LayerEvent>, Error> {
    // A layer may occur twice in an image (F12), but is fetched once.
    let mut seen = HashSet::new();
    let work: Vec<(usize, Descriptor)> =
        layers.iter().enumerate().filter(|(_, d)| seen.insert(&d.digest)).map(|(i, d)| (i, d.clone())).collect();
    for (index, descriptor) in &work {
        remote.progress.expect(&transfer(descriptor, Some(*index)));
    }
    let work = Arc::new(work);
    let next = Arc::new(AtomicUsize::new(0));
    let (sender, receiver) = mpsc::channel();
    // After a failure the threads are not joined: they end by the cancellation, or with the process.
    for count in 0..remote.jobs.clamp(1, work.len().max(1)) {
        let (fetcher, work, next, sender) = (remote.clone(), work.clone(), next.clone(), sender.clone());
        let fetch = move || fetch_all(&fetcher, &work, &next, &sender);
        // Fewer threads will do, but not none: nothing would ever arrive.
        match thread::Builder::new().name("layer".to_owned()).spawn(fetch) {
            Ok(_) => {}
            Err(_) if count > 0 => break,
            Err(source) => return Err(Error::Thread { image: remote.shown.clone(), source }),
        }
    }
    Ok(receiver)
}

/// Writes the records of the layers in order, as the layers arrive.
fn records<W: Write>(
    remote: &Remote,
    image: &Image,
    events: &Receiver<LayerEvent>,
    out: &mut layer_manifest::Writer<W>,
) -> Result<(), Error> {
    let mut paths: HashMap<Digest, PathBuf> = HashMap::new();
    for (index, descriptor) in image.manifest.layers.iter().enumerate() {
        while !paths.contains_key(&descriptor.digest) {
            let ended = |_| Error::NotFound { image: remote.shown.clone(), what: "a download ended early".into() };
            match events.recv().map_err(ended)? {
                LayerEvent::Begun(index, path) => emit::fetching(out, image, index, path)?,
                LayerEvent::Ended(digest, done) => drop(paths.insert(digest, done?)),
            }
        }
        emit::layer(out, image, index, paths[&descriptor.digest].clone())?;
    }
    Ok(())
}

/// Fetches layers that no other thread has started, until none are left or the receiver is gone.
fn fetch_all(remote: &Remote, work: &[(usize, Descriptor)], next: &AtomicUsize, events: &mpsc::Sender<LayerEvent>) {
    while let Some((index, descriptor)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
        // It does not matter if the receiver is gone.
        let begins = |path: &Path| drop(events.send(LayerEvent::Begun(*index, path.to_path_buf())));
        let done = remote.blob(descriptor, Some(*index), begins);
        if events.send(LayerEvent::Ended(descriptor.digest.clone(), done)).is_err() {
            return;
        }
    }
}

/// A partial blob that reports its progress.
struct MeteredSink<B> {
    partial: Box<PartialBlob>,
    meter: Box<dyn TransferMeter>,
    /// Called with the new file when the transfer moves to one.
    begins: B,
}

impl<B: Fn(&Path)> BlobSink for MeteredSink<B> {
    fn size(&self) -> u64 {
        self.partial.size()
    }

    fn position(&self) -> u64 {
        self.partial.offset()
    }

    fn write(&mut self, buffer: PageBuffer) -> Result<PageBuffer, Box<dyn std::error::Error + Send + Sync>> {
        let spare = self.partial.write_buffer(buffer)?;
        self.meter.at(self.partial.offset());
        Ok(spare)
    }

    fn restart(&mut self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        if self.partial.restart()? {
            (self.begins)(self.partial.path());
        }
        self.meter.at(0);
        Ok(())
    }

    fn verify(&mut self) -> Result<(), String> {
        self.partial.verify().map_err(|mismatch| mismatch.to_string())
    }
}
