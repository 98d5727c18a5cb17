//! Writes the merged tree as a canonical tar (T rules).

use std::io;
use std::sync::Arc;

use super::content::{ContentSource, FileRange};
use super::error::{Error, LayerError};
use super::linked_names::LinkedNames;
use super::output::TarOutput;
use super::progress::{self, Progress};
use crate::meta::{Entry, Named, NodeKind, Timestamp, Xattrs};
use crate::tar::{self, END_MARKER, MemberBody, Segment};
use crate::tree::{InodeView, SealedTree, Visit};

/// What the tar holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TarSummary {
    /// Members.
    pub entries: u64,
    /// Bytes of file content.
    pub bytes: u64,
}

/// Writes everything, the end marker last.
pub(super) fn write(
    tree: &SealedTree<FileRange>,
    contents: &mut [ContentSource],
    clamp_mtime: Option<Timestamp>,
    progress: Option<&Arc<dyn Progress>>,
    out: &mut TarOutput<'_>,
) -> Result<TarSummary, Error> {
    want(tree, contents);
    let mut meter = progress::start(progress, |progress| progress.writing(content_size(tree)));
    let mut summary = TarSummary::default();
    let mut linked = LinkedNames::new();
    let mut header = Vec::new();
    let (mut name, mut first) = (Vec::new(), Vec::new());
    let mut walk = tree.walk();
    while let Some(Visit { path, inode, is_first }) = walk.step() {
        linked.entry();
        let InodeView { meta, xattrs, kind, .. } = tree.inode(inode);
        name.clear();
        name.extend_from_slice(if path.is_empty() { b"." } else { path });
        let mut meta = *meta;
        meta.mtime = clamp_mtime.map_or(meta.mtime, |limit| meta.mtime.min(limit));
        if is_first && matches!(kind, NodeKind::Directory) {
            name.push(b'/');
        }
        let entry = if is_first {
            Entry::Node(kind.as_deref().map(FileRange::layout))
        } else {
            tree.first_path(inode, &mut first);
            linked.link(&name, &first)?;
            Entry::HardLink(&*first)
        };
        // The attributes of a hard link are ignored; repeating the inode's would make readers parse them for every name.
        let xattrs = if is_first { xattrs.clone() } else { Xattrs::NONE };
        let member = Named { path: &name, entry, meta, xattrs };
        header.clear();
        let body = tar::encode(&member, &mut header).map_err(|source| Error::Member { name: name.clone(), source })?;
        out.write(&header).map_err(Error::Output)?;
        if let (NodeKind::File(content), true) = (kind, is_first) {
            copy(content, &body, contents, &name, out)?;
            summary.bytes += body.len();
            if let Some(meter) = &mut meter {
                meter.at(summary.bytes);
            }
        }
        out.write_zeros(body.padding as u64).map_err(Error::Output)?;
        summary.entries += 1;
    }
    for source in contents.iter() {
        if let ContentSource::Tar(tar) = source {
            let unchanged = tar.is_unchanged().map_err(LayerError::Unreadable);
            let unchanged = unchanged.and_then(|is| if is { Ok(()) } else { Err(LayerError::Rewritten) });
            unchanged.map_err(|source| Error::Layer { layer: tar.label.clone(), source })?;
        }
    }
    out.write(&END_MARKER).and_then(|()| out.flush()).map_err(Error::Output)?;
    if let Some(meter) = meter {
        meter.end();
    }
    Ok(summary)
}

/// Tells the spools which bytes will be written, so that they can free the rest.
fn want(tree: &SealedTree<FileRange>, contents: &mut [ContentSource]) {
    for id in tree.inodes() {
        let NodeKind::File(content) = tree.inode(id).kind else { continue };
        let source = usize::try_from(content.layer).ok().and_then(|at| contents.get_mut(at));
        if let Some(ContentSource::Spool(spool)) = source {
            spool.want(content.at, content.stored());
        }
    }
    for source in contents {
        if let ContentSource::Spool(spool) = source {
            spool.trim();
        }
    }
}

/// The number of content bytes, without holes.
fn content_size(tree: &SealedTree<FileRange>) -> u64 {
    tree.inodes().map(|id| if let NodeKind::File(content) = tree.inode(id).kind { content.stored() } else { 0 }).sum()
}

/// Writes the ranges of a file that its header announced.
fn copy(
    content: &FileRange,
    body: &MemberBody,
    contents: &mut [ContentSource],
    name: &[u8],
    out: &mut TarOutput<'_>,
) -> Result<(), Error> {
    if body.is_empty() {
        return Ok(());
    }
    let changed = || Error::Content { name: name.to_vec(), source: io::Error::other("changed while it was read") };
    let failed = |source| Error::Content { name: name.to_vec(), source };
    match contents.get_mut(usize::try_from(content.layer).unwrap_or(usize::MAX)) {
        Some(ContentSource::Directory(files)) => {
            let file = files.open(content.at).map_err(failed)?.ok_or_else(changed)?;
            for Segment { offset, len } in &body.segments {
                out.copy_through(&file, *offset, *len).map_err(|e| e.of(name))?;
            }
            if files.is_unchanged(content.at, &file).map_err(failed)? { Ok(()) } else { Err(changed()) }
        }
        Some(source) => match &content.sparse {
            None => source.copy(content.at, content.size, out).map_err(|e| e.of(name)),
            Some(segments) => packed(segments, body, content.at, name, source, out),
        },
        None => Err(changed()),
    }
}

/// Writes segments that are stored one after the other from `at` on, widened as `body` asks.
fn packed(
    stored: &[Segment],
    body: &MemberBody,
    mut at: u64,
    name: &[u8],
    source: &mut ContentSource,
    out: &mut TarOutput<'_>,
) -> Result<(), Error> {
    let mut stored = stored.iter().peekable();
    for wide in &body.segments {
        let end = wide.offset + wide.len;
        let mut here = wide.offset;
        while let Some(segment) = stored.next_if(|segment| segment.offset < end) {
            out.write_zeros(segment.offset - here).map_err(Error::Output)?;
            source.copy(at, segment.len, out).map_err(|e| e.of(name))?;
            at += segment.len;
            here = segment.offset + segment.len;
        }
        out.write_zeros(end - here).map_err(Error::Output)?;
    }
    Ok(())
}
