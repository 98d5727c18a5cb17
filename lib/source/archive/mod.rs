//! `oci-archive:`, `docker-archive:`: tars of images, streamed into the store in one pass, even from a pipe (R7). The index
//! comes at their end, so blobs that may be layers are announced as they arrive (M4).

mod docker;
mod members;
mod unpack;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use unpack::Unpacked;

use super::locator::ArchiveKind;
use super::resolve::Image;
use super::{Error, FetchProgress, Locator, Options, Outcome, Transfer, TransferMeter, emit, layout};
use crate::image::layer_manifest;
use crate::image::{Descriptor, Entries, MAX_DOCUMENT};
use crate::store::Store;
use crate::sys::WaitingReader;

/// An archive as named by the user.
pub(super) struct Archive<'a> {
    pub kind: ArchiveKind,
    pub file: &'a Path,
    pub name: Option<&'a str>,
}

pub(super) fn fetch<W: Write>(
    archive: &Archive<'_>,
    options: &Options,
    progress: &Arc<dyn FetchProgress>,
    out: &mut layer_manifest::Writer<W>,
) -> Result<Vec<u8>, Error> {
    let store = Store::create(&options.store, options.of_store())?;
    let mut arrives = |size, path: &Path| emit::arriving(out, size, path.to_path_buf());
    let unpacked = read(archive.file, &store, progress, &mut arrives)?;
    let kind = match (archive.kind, &unpacked.index, &unpacked.manifest) {
        (ArchiveKind::Oci | ArchiveKind::Any, Some(_), _) => ArchiveKind::Oci,
        (ArchiveKind::Docker | ArchiveKind::Any, _, Some(_)) => ArchiveKind::Docker,
        (wanted, _, _) => {
            let what = match wanted {
                ArchiveKind::Oci => "not an OCI archive: it holds no index.json",
                ArchiveKind::Docker => "not a docker save archive: it holds no manifest.json",
                ArchiveKind::Any => "not an image archive: it holds neither index.json nor manifest.json",
            };
            return Err(Error::of_input(archive.file, what));
        }
    };
    let (file, name) = (archive.file.to_path_buf(), archive.name.map(str::to_owned));
    let shown = Locator::Archive { kind, file, name }.to_string();
    let image = match kind {
        ArchiveKind::Docker => docker::find(&store, &unpacked, &shown, archive.name, options)?,
        ArchiveKind::Oci | ArchiveKind::Any => oci(&store, &unpacked, &shown, archive, options)?,
    };
    let digest = image.descriptor.digest.clone();
    let media_type = image.manifest.media_type.clone();
    let platform = image.platform.clone();
    let config = layout::emit_all(&store, &shown, image, out)?;
    // The names in an archive are only claims, so they do not enter the store: an archive could call anything nginx. A
    // name from the digest keeps tools that look for names from removing the image.
    let bytes = store.document(&digest, MAX_DOCUMENT)?.unwrap_or_default();
    let target = Descriptor::new(&media_type, digest.clone(), bytes.len() as u64);
    store.remember(&format!("archive@{digest}"), &target, &bytes, platform.as_ref())?;
    Ok(config)
}

fn oci(
    store: &Store,
    unpacked: &Unpacked,
    shown: &str,
    archive: &Archive<'_>,
    options: &Options,
) -> Result<Image, Error> {
    #[derive(serde::Deserialize)]
    struct IndexJson {
        #[serde(default)]
        manifests: Entries,
    }
    let bytes = unpacked.index.as_deref().unwrap_or_default();
    let index: IndexJson =
        serde_json::from_slice(bytes).map_err(|e| Error::of_input(archive.file, &format!("index.json: {e}")))?;
    layout::choose(store, shown, &index.manifests.0, archive.name, options)
}

fn read(
    file: &Path,
    store: &Store,
    progress: &Arc<dyn FetchProgress>,
    arrives: &mut unpack::Arrives<'_>,
) -> Result<Unpacked, Error> {
    let fail = |e: io::Error| Error::of_input(file, &e.to_string());
    let (input, size): (Box<dyn Read>, _) = if file == Path::new("-") {
        (Box::new(WaitingReader(io::stdin().lock())), None)
    } else {
        let opened = File::open(file).map_err(fail)?;
        let meta = opened.metadata().map_err(fail)?;
        if meta.is_dir() {
            return Err(Error::of_input(file, "is a directory"));
        }
        (Box::new(WaitingReader(opened)), meta.is_file().then_some(meta.len()))
    };
    let mut input =
        MeteredInput { input, meter: progress.start(&Transfer { layer: None, digest: None, size }), count: 0 };
    let unpacked = unpack::unpack(&mut input, file, store, arrives);
    input.meter.end(if unpacked.is_ok() { Outcome::Done } else { Outcome::Failed });
    unpacked
}

/// Reports the number of bytes read from the archive.
struct MeteredInput {
    input: Box<dyn Read>,
    meter: Box<dyn TransferMeter>,
    count: u64,
}

impl Read for MeteredInput {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(buf)?;
        self.count = self.count.saturating_add(n as u64);
        self.meter.at(self.count);
        Ok(n)
    }
}
