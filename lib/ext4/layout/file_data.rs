//! Where the content of a file is in the image.

use crate::ext4::format::extent::Extent;
use crate::ext4::number::BLOCK_BYTES;

/// The size of the largest file in bytes: logical block numbers have 32 bits, and the kernel stops one block earlier.
pub(crate) const MAX_SIZE: u64 = u32::MAX as u64 * BLOCK_BYTES;

/// Where the content of a regular file is in the image. Anything that no extent covers is a hole.
///
/// A million of these may be held while an image is written, so a file of one extent needs no allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileData {
    size: u64,
    extents: Extents,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Extents {
    #[default]
    None,
    One(Extent),
    #[allow(clippy::box_collection, reason = "a thin pointer keeps `FileData` at 24 bytes")]
    Many(Box<Vec<Extent>>),
}

impl FileData {
    /// An empty file.
    pub const EMPTY: Self = Self { size: 0, extents: Extents::None };

    /// A file of `size` bytes that is all hole so far.
    pub(crate) const fn hole(size: u64) -> Self {
        Self { size, extents: Extents::None }
    }

    /// Its size in bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Its extents, sorted by logical block; contiguous ones are merged.
    #[must_use]
    pub fn extents(&self) -> &[Extent] {
        match &self.extents {
            Extents::None => &[],
            Extents::One(one) => std::slice::from_ref(one),
            Extents::Many(list) => list,
        }
    }

    /// The number of its data blocks in the image.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.extents().iter().map(|e| u64::from(e.len)).sum()
    }

    /// Appends blocks, merging them into the last extent if they are contiguous.
    pub(crate) fn push(&mut self, next: Extent) {
        let last = match &mut self.extents {
            Extents::None => None,
            Extents::One(one) => Some(one),
            Extents::Many(list) => list.last_mut(),
        };
        let goes_on = |last: &&mut Extent| {
            last.logical.checked_add(last.len) == Some(next.logical)
                && u64::from(last.start) + u64::from(last.len) == u64::from(next.start)
        };
        if let Some(last) = last.filter(goes_on) {
            last.len += next.len;
            return;
        }
        match &mut self.extents {
            Extents::None => self.extents = Extents::One(next),
            Extents::One(one) => self.extents = Extents::Many(Box::new(vec![*one, next])),
            Extents::Many(list) => list.push(next),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext4::number::BlockNumber;

    #[test]
    fn a_file_of_one_extent_is_small_and_neighbours_join() {
        assert!(size_of::<FileData>() <= 24);
        let mut file = FileData::hole(1 << 20);
        file.push(Extent { logical: 0, start: BlockNumber::new(100), len: 2 });
        file.push(Extent { logical: 2, start: BlockNumber::new(102), len: 3 });
        assert_eq!(file.extents(), [Extent { logical: 0, start: BlockNumber::new(100), len: 5 }]);
        file.push(Extent { logical: 9, start: BlockNumber::new(105), len: 1 });
        assert_eq!((file.extents().len(), file.blocks()), (2, 6));
    }
}
