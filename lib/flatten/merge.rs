//! Applying an indexed layer to the tree.

use super::LayerError;
use super::content::{Content, Store};
use super::layer::Indexed;
use crate::tree::Tree;

/// Applies the layer with this number; what is left of it is where its content stands.
pub(super) fn apply(tree: &mut Tree<Content>, number: u32, layer: Indexed) -> Result<Store, LayerError> {
    let Indexed { index, mut whiteouts, store, .. } = layer;
    tree.look_up(&mut whiteouts);
    if whiteouts.lead_through_symlinks() {
        let mut items = index.read(number);
        while let Some(item) = items.next() {
            whiteouts.see(item.member.path, item.is_directory());
        }
    }
    let mut layer = tree.layer(whiteouts).map_err(LayerError::Tree)?;
    let mut items = index.read(number);
    while let Some(item) = items.next() {
        let offset = item.offset;
        layer.apply(item.member).map_err(|source| LayerError::Member { offset, source })?;
    }
    layer.finish().map_err(LayerError::Tree)?;
    Ok(store)
}
