//! Applies an indexed layer to the tree.

use super::LayerError;
use super::content::{ContentSource, FileRange};
use super::layer::IndexedLayer;
use super::member_index::ReadMembers as _;
use crate::tree::{ExistingDirectories, MergeTree};

/// Applies the layer with this number; returns where its content is.
pub(super) fn apply(
    tree: &mut MergeTree<FileRange>,
    number: u32,
    layer: IndexedLayer,
) -> Result<ContentSource, LayerError> {
    let IndexedLayer { members, mut whiteouts, content, existing, .. } = layer;
    tree.look_up(&mut whiteouts);
    // If directory entries leave symlinks in place, whiteouts go through them too.
    if whiteouts.lead_through_symlinks() && existing == ExistingDirectories::TakeAttributes {
        let mut entries = members.read(number);
        while let Some(entry) = entries.next() {
            whiteouts.see(entry.member.path, entry.is_directory());
        }
    }
    let mut layer = tree.layer(whiteouts).map_err(LayerError::Tree)?.existing_directories(existing);
    let mut entries = members.into_read(number);
    while let Some(entry) = entries.next() {
        let offset = entry.offset;
        layer.apply(entry.member).map_err(|source| LayerError::Member { offset, source })?;
    }
    layer.finish().map_err(LayerError::Tree)?;
    Ok(content)
}
