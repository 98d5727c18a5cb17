//! Inodes of 256 bytes.
//!
//! Format: "Index Nodes" in the kernel's ext4 documentation. arcbox-ext4 lays out the fields; values and checksum are set
//! here.

use arcbox_ext4::constants::{EXTRA_ISIZE, INODE_BLOCK_SIZE, file_mode, inode_flags};
use arcbox_ext4::types::Inode;

use super::checksum::ChecksumSeed;
use super::extent_tree::Root;
use super::time;
use crate::ext4::number::{BlockNumber, InodeNumber, exact};
use crate::meta::Timestamp;

/// The size of an inode in bytes.
pub(crate) const INODE_BYTES: usize = Inode::SIZE;
/// Symlink targets of fewer bytes are stored in the inode.
pub(crate) const FAST_SYMLINK: usize = INODE_BLOCK_SIZE;
/// The number of 512-byte sectors, the unit of `i_blocks`, in a block.
const SECTORS: u64 = 8;

/// The content of `i_block`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum IBlock<'a> {
    /// The root of an extent tree.
    Extents(&'a Root),
    /// The target of a short symlink.
    Target(&'a [u8]),
    /// A device number, encoded.
    Device([u32; 2]),
    /// Block numbers, as before extents.
    Indirect(&'a [u32; 15]),
    /// Nothing.
    None,
}

/// The values of an inode.
#[derive(Clone, Debug)]
pub(crate) struct InodeFields<'a> {
    /// Type and permissions.
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) links: u16,
    pub(crate) size: u64,
    /// Blocks of 4096 bytes: data, tree, attributes.
    pub(crate) blocks: u64,
    /// The time of access, change, modification and birth.
    pub(crate) time: Timestamp,
    /// Whether it is an indexed directory.
    pub(crate) indexed: bool,
    pub(crate) content: IBlock<'a>,
    /// Attributes in the inode.
    pub(crate) xattrs: &'a [u8],
    /// `i_file_acl`
    pub(crate) xattr_block: Option<BlockNumber>,
}

impl Default for InodeFields<'_> {
    fn default() -> Self {
        Self {
            mode: 0,
            uid: 0,
            gid: 0,
            links: 0,
            size: 0,
            blocks: 0,
            time: Timestamp::EPOCH,
            indexed: false,
            content: IBlock::None,
            xattrs: &[],
            xattr_block: None,
        }
    }
}

impl InodeFields<'_> {
    /// Encodes the inode. `seed` is the file system's checksum seed, if there are checksums.
    pub(crate) fn encode(&self, number: InodeNumber, seed: Option<ChecksumSeed>) -> [u8; INODE_BYTES] {
        let (time, extra) = time::encode(self.time);
        let sectors = self.blocks * SECTORS;
        let mut inode = Inode {
            mode: self.mode,
            links_count: self.links,
            // At most 2^35 sectors: the upper 16 bits of huge_file suffice, its unit of whole blocks is not needed.
            blocks_lo: exact(sectors & u64::from(u32::MAX)),
            blocks_hi: exact(sectors >> 32),
            flags: if self.indexed { inode_flags::HASHED_INDEX } else { 0 },
            xattr_block_lo: self.xattr_block.map_or(0, BlockNumber::get),
            extra_isize: EXTRA_ISIZE,
            atime: time,
            ctime: time,
            mtime: time,
            crtime: time,
            atime_extra: extra,
            ctime_extra: extra,
            mtime_extra: extra,
            crtime_extra: extra,
            ..Inode::default()
        };
        inode.set_uid(self.uid);
        inode.set_gid(self.gid);
        inode.set_file_size(self.size);
        match self.content {
            IBlock::Extents(root) => {
                inode.block = *root;
                inode.flags |= inode_flags::EXTENTS;
            }
            IBlock::Target(target) => inode.block[..target.len()].copy_from_slice(target),
            IBlock::Device(words) => put_words(&mut inode.block, &words),
            IBlock::Indirect(words) => put_words(&mut inode.block, words),
            IBlock::None => {}
        }
        inode.inline_xattrs[..self.xattrs.len()].copy_from_slice(self.xattrs);

        let mut bytes = [0; INODE_BYTES];
        inode.write_to(&mut bytes);
        if let Some(seed) = seed {
            // Both halves of the checksum count as zero, which they still are.
            let [a, b, c, d] = seed.of_inode(number).sum(&bytes).to_le_bytes();
            bytes[0x7c..0x7e].copy_from_slice(&[a, b]); // i_checksum_lo
            bytes[0x82..0x84].copy_from_slice(&[c, d]); // i_checksum_hi
        }
        bytes
    }
}

/// The mode of a directory, with its type bits.
pub(crate) const fn directory(mode: u16) -> u16 {
    file_mode::S_IFDIR | mode
}

fn put_words(place: &mut [u8], words: &[u32]) {
    for (place, word) in place.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
}
