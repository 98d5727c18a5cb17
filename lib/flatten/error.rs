use std::io;
use std::path::PathBuf;

use crate::image::{Digest, layer_manifest};
use crate::meta::Shown;
use crate::{tar, tree};

/// Why layers could not be flattened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The layer manifest is cut or wrong.
    #[error("layer manifest: {0}")]
    Manifest(#[from] layer_manifest::Error),
    /// A layer is cut or wrong.
    #[error("{layer}: {source}")]
    Layer {
        /// Which one: its number and digest, or its path.
        layer: String,
        /// What is wrong.
        source: LayerError,
    },
    /// There is neither a manifest nor a layer.
    #[error("there are no layers: no manifest is to be read, and no layer is given")]
    NoLayers,
    /// A member that no tar can hold.
    #[error("{}: {source}", Shown(name))]
    Member {
        /// Its name.
        name: Vec<u8>,
        /// Why.
        source: tar::WriteError,
    },
    /// Hard links lead to far longer names than layers hold.
    #[error("{}: the names that hard links lead to are too long, more than 8 KiB for each entry", Shown(name))]
    LongLinks {
        /// The name of the link at which it became too much.
        name: Vec<u8>,
    },
    /// The content of a file could not be read a second time.
    #[error("{}: its content cannot be read again: {source}", Shown(name))]
    Content {
        /// Its name.
        name: Vec<u8>,
        /// What the system said, or that the file that holds it has changed.
        source: io::Error,
    },
    /// The result could not be written.
    #[error("writing the tar: {0}")]
    Output(#[source] io::Error),
    /// No thread can be started.
    #[error("starting a thread: {0}")]
    Thread(#[source] io::Error),
    /// The result is to be made of layers that do not exist.
    #[error("there is no layer {layer}: there are {layers}, counted from 0")]
    NoSuchLayer {
        /// The first missing one.
        layer: u32,
        /// How many there are.
        layers: u32,
    },
    /// Something that no overlay can show (F17).
    #[error("{}: {what}, so that no overlay can show it", Shown(name))]
    Overlay {
        /// The name.
        name: Vec<u8>,
        /// What it is.
        what: &'static str,
    },
    /// The upper directory would not be a valid tree.
    #[error("the upper directory: {0}")]
    Upper(#[source] tree::Error),
    /// One of our threads ended before its work was done.
    #[error("a worker thread died")]
    Worker,
}

/// What is wrong with a layer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayerError {
    /// It cannot be opened or read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It cannot be opened or read; the message names it already.
    #[error("cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    /// The blob of an image is not a regular file, so it may never end.
    #[error("{}: is no regular file", .0.display())]
    NotRegular(PathBuf),
    /// The blob does not have the size that the manifest says.
    #[error("{}: {found} bytes long, the manifest says {expected}", path.display())]
    Size {
        /// The blob.
        path: PathBuf,
        /// The size it should have, in bytes.
        expected: u64,
        /// The size it has, in bytes.
        found: u64,
    },
    /// Its tar stream is cut or malformed.
    #[error(transparent)]
    Tar(#[from] tar::Error),
    /// Its media type does not name a tar, and it does not begin like one (F13).
    #[error("its media type names no tar, and there is no member in it")]
    Foreign,
    /// Its tar stream ends without the end marker, and nothing else shows that it is complete (F12).
    #[error("the archive was cut off at byte {offset}: its end marker is missing{hint}")]
    NoEnd {
        /// Where it ends, in bytes.
        offset: u64,
        /// Why the diffId does not help.
        hint: &'static str,
    },
    /// The uncompressed stream is not the one that the image was made of (F12).
    #[error("wrong content: its diffId is {found}, the image says {expected}")]
    DiffId {
        /// What the image config says.
        expected: Digest,
        /// What the stream has.
        found: Digest,
    },
    /// The blob is not the one that the image names. Reported only if there is no diffId.
    #[error("wrong content: the blob's digest is {found}, the image says {expected}")]
    Digest {
        /// What the image manifest says.
        expected: Digest,
        /// What the blob has.
        found: Digest,
    },
    /// A member breaks the rules of layers.
    #[error("at byte {offset}: {source}")]
    Member {
        /// The offset of the member's header in the uncompressed stream.
        offset: u64,
        /// Which rule, and how.
        source: tree::Error,
    },
    /// The layer as a whole breaks the rules of layers.
    #[error(transparent)]
    Tree(tree::Error),
    /// The spool could not be written.
    #[error("spool in {}: {source}", dir.display())]
    Spool {
        /// The directory of spool files.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The layer cannot be added to the cache, and must be read without it.
    #[error("cannot be kept: {0}")]
    Cache(#[source] io::Error),
    /// Something in an overlay2 directory that only the kernel can interpret (F15).
    #[error("{}: {what}", Shown(name))]
    Overlay {
        /// The path in the layer.
        name: Vec<u8>,
        /// What it is.
        what: String,
    },
    /// A file changed while it was read in place.
    #[error("{}: changed while it was read", Shown(.0))]
    Changed(Vec<u8>),
    /// The layer's file changed while its content was written out.
    #[error("its file changed while it was read")]
    Rewritten,
    /// Another layer has failed, so this one was given up.
    #[error("given up")]
    Cancelled,
}

impl LayerError {
    /// Whether a damaged blob may be the reason: other bytes under the same name might not have this error.
    pub(super) fn may_be_damage(&self) -> bool {
        matches!(
            self,
            Self::Tar(_)
                | Self::NoEnd { .. }
                | Self::DiffId { .. }
                | Self::Digest { .. }
                | Self::Member { .. }
                | Self::Foreign
        )
    }
}
