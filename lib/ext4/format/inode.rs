//! One inode of 256 bytes.
//!
//! Format: "Index Nodes" in the kernel's ext4 documentation. arcbox-ext4 lays out the fields; values and checksum are
//! ours.

use arcbox_ext4::constants::{EXTRA_ISIZE, INODE_BLOCK_SIZE, file_mode, inode_flags};
use arcbox_ext4::types::Inode;

use crate::ext4::InodeError;
use crate::ext4::format::dir_block::{crc, inode_seed};
use crate::ext4::format::extent_tree::Root;
use crate::meta::{Device, Timestamp};

/// Bytes of an inode.
pub(crate) const INODE_BYTES: usize = Inode::SIZE;
/// Symlink targets of fewer bytes stand in the inode.
pub(crate) const FAST_SYMLINK: usize = INODE_BLOCK_SIZE;
/// Sectors of 512 bytes in a block: the unit of `i_blocks`.
const SECTORS: u64 = 8;

/// What `i_block` holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Content<'a> {
    /// The root of an extent tree.
    Extents(&'a Root),
    /// The target of a short symlink.
    Target(&'a [u8]),
    /// A device number, encoded.
    Device([u32; 2]),
    /// Block numbers as before extents.
    Indirect(&'a [u32; 15]),
    /// Nothing.
    None,
}

/// An inode's values.
#[derive(Clone, Debug)]
pub(crate) struct Record<'a> {
    /// Type and permissions.
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) links: u16,
    pub(crate) size: u64,
    /// Blocks of 4096 bytes: data, tree, attributes.
    pub(crate) blocks: u64,
    /// For access, change, modification and birth.
    pub(crate) time: Timestamp,
    /// An indexed directory.
    pub(crate) indexed: bool,
    pub(crate) content: Content<'a>,
    /// Attributes in the inode.
    pub(crate) xattrs: &'a [u8],
    /// `i_file_acl`
    pub(crate) xattr_block: u32,
}

impl Default for Record<'_> {
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
            content: Content::None,
            xattrs: &[],
            xattr_block: 0,
        }
    }
}

impl Record<'_> {
    /// The inode as it stands in the table. `seed` is the file system's checksum seed, where there are checksums.
    pub(crate) fn encode(&self, number: u32, seed: Option<u32>) -> Result<[u8; INODE_BYTES], InodeError> {
        let (time, extra) = encode_time(self.time)?;
        let sectors = self.blocks * SECTORS;
        let mut inode = Inode {
            mode: self.mode,
            links_count: self.links,
            // At most 2^35 sectors: huge_file's upper 16 bits are enough, its unit of whole blocks is not needed.
            blocks_lo: low(sectors),
            blocks_hi: low16(low(sectors >> 32)),
            flags: if self.indexed { inode_flags::HASHED_INDEX } else { 0 },
            xattr_block_lo: self.xattr_block,
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
            Content::Extents(root) => {
                inode.block = *root;
                inode.flags |= inode_flags::EXTENTS;
            }
            Content::Target(target) => inode.block[..target.len()].copy_from_slice(target),
            Content::Device(words) => put_words(&mut inode.block, &words),
            Content::Indirect(words) => put_words(&mut inode.block, words),
            Content::None => {}
        }
        inode.inline_xattrs[..self.xattrs.len()].copy_from_slice(self.xattrs);

        let mut bytes = [0; INODE_BYTES];
        inode.write_to(&mut bytes);
        if let Some(seed) = seed {
            // Both halves of the checksum are still zero, as it demands.
            let [a, b, c, d] = crc(inode_seed(seed, number), &bytes).to_le_bytes();
            bytes[0x7c..0x7e].copy_from_slice(&[a, b]); // i_checksum_lo
            bytes[0x82..0x84].copy_from_slice(&[c, d]); // i_checksum_hi
        }
        Ok(bytes)
    }
}

/// A directory's mode bits with its type.
pub(crate) const fn directory(mode: u16) -> u16 {
    file_mode::S_IFDIR | mode
}

/// The first second that `e2fsck` takes for a damaged time before 1970: 2310-04-04.
///
/// The format goes on to 2446, but an old kernel wrote negative times as this range and `e2fsck` turns it back (E2).
const LATEST: i64 = (3 << 32) - (1 << 31);

/// Whether ext4 can hold this time.
///
/// # Errors
/// [`InodeError::Time`].
pub fn check_time(time: Timestamp) -> Result<(), InodeError> {
    encode_time(time).map(drop)
}

/// Seconds, and the word that holds nanoseconds and two more bits of seconds.
fn encode_time(time: Timestamp) -> Result<(u32, u32), InodeError> {
    let refuse = || InodeError::Time(time.secs);
    // 32 bits with sign, and how often 2^32 is added to them: 0 to 3.
    let epoch = time.secs.checked_add(1 << 31).ok_or_else(refuse)? >> 32;
    let epoch = u32::try_from(epoch).ok().filter(|_| time.secs < LATEST).ok_or_else(refuse)?;
    let [a, b, c, d, ..] = time.secs.to_le_bytes();
    Ok((u32::from_le_bytes([a, b, c, d]), (time.nanos << 2) | epoch))
}

/// A device number as the kernel stores it: the old 16 bits where they suffice, else 12 and 20 bits in the next word.
pub(crate) fn encode_device(device: Device) -> Result<[u32; 2], InodeError> {
    let Device { major, minor } = device;
    match (major, minor) {
        (..0x100, ..0x100) => Ok([(major << 8) | minor, 0]),
        (..0x1000, ..0x10_0000) => Ok([0, (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)]),
        _ => Err(InodeError::Device { major, minor }),
    }
}

fn put_words(place: &mut [u8], words: &[u32]) {
    for (place, word) in place.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
}

/// The low 32 bits.
fn low(value: u64) -> u32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// The low 16 bits.
fn low16(value: u32) -> u16 {
    let [a, b, ..] = value.to_le_bytes();
    u16::from_le_bytes([a, b])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may panic

    use super::*;

    /// As the kernel decodes it.
    fn decode_time((secs, extra): (u32, u32)) -> Timestamp {
        Timestamp { secs: i64::from(secs.cast_signed()) + (i64::from(extra & 3) << 32), nanos: extra >> 2 }
    }

    #[test]
    fn times_from_1901_to_2310_survive() {
        for secs in [-(1 << 31), -1, 0, 1, (1 << 31) - 1, 1 << 31, 1 << 32, 5_000_000_000, 10_737_418_239] {
            let time = Timestamp { secs, nanos: 999_999_999 };
            assert_eq!(decode_time(encode_time(time).unwrap()), time);
        }
        for secs in [-(1 << 31) - 1, 10_737_418_240, 1 << 34, i64::MIN, i64::MAX] {
            assert!(encode_time(Timestamp::from_secs(secs)).is_err(), "{secs}");
        }
    }

    #[test]
    fn devices_take_the_old_form_where_it_suffices() {
        let device = |major, minor| encode_device(Device { major, minor });
        assert_eq!(device(5, 1).unwrap(), [0x501, 0]);
        assert_eq!(device(8, 0x12345).unwrap(), [0, 0x1230_0845]);
        assert_eq!(device(4095, 0xf_ffff).unwrap(), [0, 0xffff_ffff]);
        assert!(device(4096, 0).is_err());
        assert!(device(0, 1 << 20).is_err());
    }
}
