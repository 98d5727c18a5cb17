//! Entries of extended attributes, `ext4_xattr_entry`, and the layout of attributes in an inode.
//!
//! Format: "Extended Attributes" in the kernel's ext4 documentation.

use crate::ext4::number::exact;

/// The space for attributes in an inode of 256 bytes with an `i_extra_isize` of 32.
pub(crate) const INODE_SPACE: usize = 96;
/// The magic number before the attributes in an inode, and in the header of a block.
pub(crate) const MAGIC: [u8; 4] = 0xea02_0000_u32.to_le_bytes();
/// The size of the zeros that end a list of entries.
const END: usize = 4;
/// The space for entries and values in an inode.
pub(crate) const INODE_ROOM: usize = INODE_SPACE - MAGIC.len() - END;
/// `ext4_xattr_entry` without its name.
const ENTRY: usize = 16;

/// An attribute in on-disk form: the prefix is a number, an ACL is in ext4's form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DiskXattr {
    pub(crate) index: u8,
    pub(crate) name: Box<[u8]>,
    pub(crate) value: Box<[u8]>,
}

impl DiskXattr {
    pub(crate) fn size(&self) -> usize {
        self.entry_size() + padded(self.value.len())
    }

    fn entry_size(&self) -> usize {
        padded(ENTRY + self.name.len())
    }

    /// Appends the entry; `offset` is that of the value, `hash` is 0 in an inode.
    pub(crate) fn put_entry(&self, out: &mut Vec<u8>, offset: usize, hash: u32) {
        let start = out.len();
        out.push(exact(self.name.len())); // at most 255 bytes, see `split_name`
        out.push(self.index);
        let offset = if self.value.is_empty() { 0 } else { exact::<u16, _>(offset) };
        out.extend_from_slice(&offset.to_le_bytes());
        out.extend_from_slice(&[0; 4]); // e_value_inum
        out.extend_from_slice(&exact::<u32, _>(self.value.len()).to_le_bytes());
        out.extend_from_slice(&hash.to_le_bytes());
        out.extend_from_slice(&self.name);
        out.resize(start + self.entry_size(), 0);
    }
}

/// Lays out attributes in an inode: magic, entries, and the values from the end backwards. Offsets count from the first
/// entry.
pub(crate) fn inode_image(list: &[DiskXattr]) -> Box<[u8]> {
    if list.is_empty() {
        return Box::default();
    }
    let mut image = MAGIC.to_vec();
    let mut values = INODE_SPACE;
    for xattr in list {
        values -= padded(xattr.value.len());
        xattr.put_entry(&mut image, values - MAGIC.len(), 0);
    }
    image.resize(INODE_SPACE, 0);
    let mut values = INODE_SPACE;
    for xattr in list {
        values -= padded(xattr.value.len());
        image[values..values + xattr.value.len()].copy_from_slice(&xattr.value);
    }
    image.into()
}

/// Rounds up to a multiple of 4.
pub(crate) fn padded(length: usize) -> usize {
    length.saturating_add(3) & !3
}
