//! A layer that is a tar (F12-F14).

use std::io::Read;
use std::sync::Arc;

use super::blob::{Blob, Stored};
use super::content::{Content, Store};
use super::index::{Index, Item};
use super::layer::{How, Identity, Indexed, Layer};
use super::remarks::Remarks;
use super::spool::Spool;
use super::stream::Decoded;
use super::{LayerError, progress};
use crate::codec::Decoder;
use crate::image::{Digest, Hasher};
use crate::meta::{Named, Shown};
use crate::tar::{self, End, Member, StoredFile};
use crate::tree::{self, WhiteoutFormat, Whiteouts};

/// What eStargz adds at the root of a layer (F14).
const STARGZ_NAMES: [&[u8]; 3] = [b"stargz.index.json", b".prefetch.landmark", b".no.prefetch.landmark"];

/// Reads a tar to its end. Its content stays in the file if that is plain, else it goes to the spool.
pub(super) fn read(
    layer: &Layer,
    blob: &Blob,
    how: &How,
    identity: Identity<&Digest>,
    stargz: bool,
) -> Result<Indexed, LayerError> {
    let mut checked = if how.verify { identity } else { Identity::NONE };
    if blob.is_plain {
        // Stored as it is, the tar has the blob's digest.
        checked.diff_id = checked.diff_id.or(checked.digest.take());
    } else if checked.diff_id.is_some() {
        checked.digest = None;
    }
    let meter = progress::start(how.progress.as_ref(), |progress| progress.layer(&layer.label, blob.size));
    let mut stored = Stored::new(blob, meter, checked.digest.map(|digest| Hasher::new(digest.algorithm())));
    let decoder = Decoder::new(&mut stored).map_err(|e| layer.io(e))?;
    let expected = checked.diff_id;
    let hasher = expected.map(|digest| Hasher::new(digest.algorithm()));
    let spool = (!blob.in_place).then(|| Spool::new(Arc::clone(&how.room)));
    let decoded = Decoded::new(decoder, hasher, spool, how.queue.clone(), Arc::clone(&how.cancelled));
    let (parsed, decoded) = members(layer.number, decoded, stargz);
    let (found, spool) = decoded.finish()?;
    let Parsed { index, whiteouts, end, offset } = parsed?;
    if let (Some(expected), Some(found)) = (expected, found)
        && *expected != found
    {
        return Err(LayerError::DiffId { expected: expected.clone(), found });
    }
    let found = stored.end();
    if let (Some(expected), Some(found)) = (checked.digest, found)
        && *expected != found
    {
        return Err(LayerError::Digest { expected: expected.clone(), found });
    }
    if end != End::Marker && expected.is_none() {
        let hint = if identity.diff_id.is_some() { ", and its diffId is not verified" } else { "" };
        return Err(LayerError::NoEnd { offset, hint });
    }
    if end == End::LoneZeroBlock {
        log::warn!("{}: its end marker is a lone zero block; what may follow is not read", layer.label);
    }
    let store = spool.map_or_else(|| Store::Tar(Arc::clone(&blob.file)), Store::Spool);
    Ok(Indexed { index, whiteouts, store, remarks: Remarks::default() })
}

struct Parsed {
    index: Index,
    whiteouts: Whiteouts,
    end: End,
    offset: u64,
}

/// Parses the tar; what it was read from comes back in any case.
fn members<R: Read>(number: u32, decoded: Decoded<R>, stargz: bool) -> (Result<Parsed, LayerError>, Decoded<R>) {
    let mut reader = tar::Reader::new(decoded);
    let parsed = parse(number, &mut reader, stargz);
    let offset = reader.offset();
    let mut decoded = reader.into_inner();
    // Not entries, but part of what the diffId covers.
    let parsed = parsed.and_then(|parsed| match decoded.drain() {
        Ok(_) => Ok(parsed),
        Err(source) => Err(tar::Error { member: None, offset, problem: source.into() }.into()),
    });
    (parsed, decoded)
}

fn parse<R: Read>(number: u32, reader: &mut tar::Reader<Decoded<R>>, stargz: bool) -> Result<Parsed, LayerError> {
    let mut index = Index::default();
    let mut whiteouts = Whiteouts::new(WhiteoutFormat::Names);
    while let Some(member) = reader.next_member()? {
        let at = member.offset;
        let fail = |source: tree::Error| LayerError::Member { offset: at, source };
        if stargz && is_stargz(&member.path) {
            continue;
        }
        let position = u32::try_from(index.len).map_err(|_| fail(tree::Error::TooMany(member.path.clone().into())))?;
        if !whiteouts.collect(position, &member.path).map_err(fail)? {
            index.push(item(number, &member));
        }
    }
    for tar::Warning { offset, member, skipped } in reader.take_warnings() {
        log::warn!("{} at byte {offset}: {skipped}", Shown(&member));
    }
    index.end();
    let end = reader.end().unwrap_or(End::CleanEof);
    Ok(Parsed { index, whiteouts, end, offset: reader.offset() })
}

fn item(layer: u32, member: &Member) -> Item<'_> {
    let content =
        |file: StoredFile| Content { layer, at: file.data_offset, size: file.size, sparse: file.sparse.map(Box::new) };
    let entry = member.entry.clone().map(content);
    let named = Named { path: &member.path, entry, meta: member.meta, xattrs: member.xattrs.clone() };
    Item { offset: member.offset, member: named }
}

fn is_stargz(path: &[u8]) -> bool {
    let mut buffer = Vec::new();
    tree::normalise(path, &mut buffer).is_ok_and(|path| STARGZ_NAMES.contains(&path))
}
