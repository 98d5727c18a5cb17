//! Where an image comes from: a registry, an OCI layout, an archive, or overlay2 directories (R rules).
//!
//! ```text
//! Locator::parse ──> registry:  documents ─┐
//!                    oci:       documents ─┼─> resolve ──> image record ──> layer records in order ──> end record
//!                    archives:  into store ┘   (index, platform, manifest, config)
//!                    overlay2:  directories ─────────────────────────────────┘
//! ```

mod archive;
mod beneath;
mod emit;
mod error;
mod foreign;
mod layout;
mod locator;
mod options;
mod overlay2;
mod progress;
mod registry;
mod resolve;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

pub use error::Error;
pub use locator::Locator;
pub use options::Options;
pub use progress::{FetchProgress, NoProgress, Outcome, Transfer, TransferMeter};

use crate::image::layer_manifest;
use crate::store::{Pruned, Store};

/// Removes what has not been used for `age` from the blob store (R10).
///
/// # Errors
/// When there is no store, or it cannot be read or written.
pub fn prune(options: &Options, age: Duration) -> Result<Pruned, Error> {
    let pruned = Store::open(&options.store, options.of_store())?.prune(age)?;
    let Pruned { names, files, bytes } = pruned;
    log::info!("{}: {names} names, {files} files of {bytes} bytes removed", options.store.display());
    Ok(pruned)
}

/// Fetches the image and writes its layer manifest to `out`, each record as soon as it is true. The caller writes the `end`
/// record, when nothing can fail any more (S3). Returns the image's config verbatim; `None` if the source has none.
///
/// ```
/// use std::sync::Arc;
/// use oci2ext4::image::{Digest, layer_manifest::{Record, Writer}};
/// use oci2ext4::source::{Locator, NoProgress, Options, FetchProgress, fetch};
///
/// # let dir = tempfile::tempdir()?;
/// # let put = |bytes: &[u8]| -> std::io::Result<(Digest, usize)> {
/// #     let digest = Digest::sha256(bytes);
/// #     std::fs::create_dir_all(dir.path().join("blobs/sha256"))?;
/// #     std::fs::write(dir.path().join("blobs/sha256").join(digest.hex()), bytes)?;
/// #     Ok((digest, bytes.len()))
/// # };
/// # let (layer, layer_size) = put(&[0; 1024])?;
/// # let (config, config_size) = put(format!(
/// #     r#"{{"os":"linux","architecture":"amd64","rootfs":{{"type":"layers","diff_ids":["{layer}"]}}}}"#
/// # ).as_bytes())?;
/// # let (manifest, manifest_size) = put(format!(
/// #     r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":{config_size}}},
/// #     "layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{layer}","size":{layer_size}}}]}}"#
/// # ).as_bytes())?;
/// # std::fs::write(dir.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
/// # std::fs::write(dir.path().join("index.json"), format!(
/// #     r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{manifest}","size":{manifest_size}}}]}}"#
/// # ))?;
/// # let (layout, store) = (dir.path().to_str().unwrap(), dir.path().join("store"));
/// let locator = Locator::parse(&format!("oci:{layout}"))?; // or a registry's `nginx:1.27`
/// let registry = oci2ext4::registry::Options::default();
/// let options = Options { store, shared_store: false, platform: None, jobs: 4, offline: false, registry };
/// let progress: Arc<dyn FetchProgress> = Arc::new(NoProgress);
///
/// let mut manifest = Vec::new(); // or a pipe
/// let mut writer = Writer::new(&mut manifest);
/// let config = fetch(&locator, &options, &progress, &mut writer)?;
/// writer.write(&Record::End)?;
/// assert!(config.is_some());
/// assert_eq!(manifest.iter().filter(|byte| **byte == b'\n').count(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When the image cannot be found, fetched or verified.
pub fn fetch<W: Write>(
    locator: &Locator,
    options: &Options,
    progress: &Arc<dyn FetchProgress>,
    out: &mut layer_manifest::Writer<W>,
) -> Result<Option<Vec<u8>>, Error> {
    match locator {
        Locator::Layout { dir, name } => layout::fetch(locator, dir, name.as_deref(), options, out),
        Locator::Overlay2 { dir } => overlay2::fetch(locator, dir, out).map(|()| None),
        Locator::Registry(reference) => registry::fetch(reference, options, progress, out).map(Some),
        Locator::Archive { kind, file, name } => {
            let archive = archive::Archive { kind: *kind, file, name: name.as_deref() };
            archive::fetch(&archive, options, progress, out).map(Some)
        }
    }
}
