//! The superblock, and the group descriptors that stand behind it.
//!
//! Format: "Super Block" and "Block Group Descriptors" in the kernel's ext4 documentation; values as `mke2fs` sets
//! them. arcbox-ext4 lays out the fields.

use arcbox_ext4::constants::{SUPERBLOCK_MAGIC, compat, incompat, ro_compat};
use arcbox_ext4::types::{GroupDescriptor, SuperBlock};

use crate::ext4::format::dir_block::crc;
use crate::ext4::format::inode::INODE_BYTES;
use crate::ext4::format::name_hash::{HashSeed, HashSign};
use crate::ext4::layout::demand::{Layout, part_of};
use crate::ext4::layout::inode_numbering::{JOURNAL_INODE, LOST_FOUND_INODE};
use crate::ext4::{Identity, Options};

/// Bytes of a superblock.
pub(crate) const SUPERBLOCK_BYTES: usize = SuperBlock::SIZE;
/// Bytes of a descriptor.
pub(crate) const DESCRIPTOR_BYTES: usize = GroupDescriptor::SIZE;

/// `EXT4_DYNAMIC_REV`
const DYNAMIC_REV: u32 = 1;
/// `EXT4_VALID_FS`
const VALID: u16 = 1;
/// `EXT4_ERRORS_CONTINUE`
const ERRORS_CONTINUE: u16 = 1;
/// `DX_HASH_HALF_MD4`
const HALF_MD4: u8 = 1;
/// `EXT4_DEFM_XATTR_USER | EXT4_DEFM_ACL`
const DEFAULT_MOUNT_OPTIONS: u32 = 0x4 | 0x8;
/// Groups of a flexible group: 2^4.
const LOG_GROUPS_PER_FLEX: u8 = 4;
/// `EXT4_CRC32C_CHKSUM`
const CRC32C: u8 = 1;
/// `EXT3_JNL_BACKUP_BLOCKS`: `s_jnl_blocks` is a copy of the journal inode's `i_block` and `i_size`.
const JOURNAL_BACKUP: u8 = 1;
/// `s_log_block_size`: 2^(10 + 2) bytes.
const LOG_BLOCK_SIZE: u32 = 2;

/// The sums over all groups.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) free_blocks: u64,
    pub(crate) free_inodes: u64,
}

/// The primary superblock, without checksum.
pub(crate) fn primary(
    layout: &Layout,
    options: &Options,
    identity: &Identity,
    totals: Totals,
    journal: Option<&[u8; INODE_BYTES]>,
) -> SuperBlock {
    let groups = u32::try_from(crate::ext4::layout::block_group::GROUP_BLOCKS).unwrap_or(u32::MAX);
    let (now, now_high) = seconds(identity.now.secs);
    let mut label = [0; 16];
    label[..options.label.len()].copy_from_slice(&options.label); // at most 16 bytes: Options::check
    SuperBlock {
        inodes_count: low(layout.inodes()),
        blocks_count_lo: low(layout.blocks),
        r_blocks_count_lo: low(part_of(layout.blocks, options.reserved.hundredths().into())),
        free_blocks_count_lo: low(totals.free_blocks),
        free_inodes_count: low(totals.free_inodes),
        log_block_size: LOG_BLOCK_SIZE,
        log_cluster_size: LOG_BLOCK_SIZE,
        blocks_per_group: groups,
        clusters_per_group: groups,
        inodes_per_group: low(layout.inodes_per_group),
        wtime: now,
        wtime_hi: now_high,
        max_mount_count: u16::MAX,
        magic: SUPERBLOCK_MAGIC,
        state: VALID,
        errors: ERRORS_CONTINUE,
        lastcheck: now,
        lastcheck_hi: now_high,
        rev_level: DYNAMIC_REV,
        first_ino: LOST_FOUND_INODE,
        inode_size: 256,
        feature_compat: compat::EXT_ATTR
            | compat::DIR_INDEX
            | compat::RESIZE_INODE
            | if journal.is_some() { compat::HAS_JOURNAL } else { 0 },
        feature_incompat: incompat::FILETYPE | incompat::EXTENTS | incompat::FLEX_BG,
        feature_ro_compat: ro_compat::SPARSE_SUPER
            | ro_compat::LARGE_FILE
            | ro_compat::HUGE_FILE
            | ro_compat::DIR_NLINK
            | ro_compat::EXTRA_ISIZE
            | if options.compat { 0 } else { ro_compat::METADATA_CSUM },
        uuid: identity.uuid,
        volume_name: label,
        reserved_gdt_blocks: u16::try_from(layout.reserved_descriptor_blocks()).unwrap_or(u16::MAX), // at most 1024
        journal_inum: if journal.is_some() { JOURNAL_INODE } else { 0 },
        journal_backup_type: if journal.is_some() { JOURNAL_BACKUP } else { 0 },
        journal_blocks: journal.map_or([0; 17], journal_backup),
        hash_seed: HashSeed::from_bytes(identity.hash_seed).words(),
        def_hash_version: HALF_MD4,
        default_mount_opts: DEFAULT_MOUNT_OPTIONS,
        mkfs_time: now,
        mkfs_time_hi: now_high,
        min_extra_isize: 32,
        want_extra_isize: 32,
        flags: match HashSign::default() {
            HashSign::Signed => 1,
            HashSign::Unsigned => 2,
        },
        log_groups_per_flex: LOG_GROUPS_PER_FLEX,
        checksum_type: if options.compat { 0 } else { CRC32C },
        overhead_blocks: low(layout.overhead()),
        ..SuperBlock::default()
    }
}

/// The copy that stands in `group`: it is not marked as clean, so that whoever falls back to it checks everything.
pub(crate) fn backup(primary: &SuperBlock, group: u64) -> SuperBlock {
    SuperBlock { state: 0, block_group_nr: u16::try_from(group).unwrap_or(u16::MAX), ..primary.clone() }
}

/// The superblock's bytes, with checksum where there are checksums.
pub(crate) fn encode(superblock: &SuperBlock) -> [u8; SUPERBLOCK_BYTES] {
    let mut bytes = [0; SUPERBLOCK_BYTES];
    superblock.write_to(&mut bytes);
    if superblock.feature_ro_compat & ro_compat::METADATA_CSUM != 0 {
        let sum = crc(!0, &bytes[..SUPERBLOCK_BYTES - 4]);
        bytes[SUPERBLOCK_BYTES - 4..].copy_from_slice(&sum.to_le_bytes());
    }
    bytes
}

/// A descriptor's bytes, with checksum where `seed` says so.
pub(crate) fn encode_descriptor(descriptor: &GroupDescriptor, group: u32, seed: Option<u32>) -> [u8; DESCRIPTOR_BYTES] {
    let mut bytes = [0; DESCRIPTOR_BYTES];
    descriptor.write_to(&mut bytes);
    if let Some(seed) = seed {
        // `bg_checksum`, the last field, counts as zero, and is so far.
        let [a, b, ..] = crc(crc(seed, &group.to_le_bytes()), &bytes).to_le_bytes();
        bytes[DESCRIPTOR_BYTES - 2..].copy_from_slice(&[a, b]);
    }
    bytes
}

/// `i_block` and both halves of `i_size`.
fn journal_backup(inode: &[u8; INODE_BYTES]) -> [u32; 17] {
    let word = |at: usize| u32::from_le_bytes([inode[at], inode[at + 1], inode[at + 2], inode[at + 3]]);
    let mut backup = [0; 17];
    for (at, place) in backup[..15].iter_mut().enumerate() {
        *place = word(0x28 + at * 4);
    }
    backup[15] = word(0x6c); // i_size_high
    backup[16] = word(0x04); // i_size_lo
    backup
}

/// 40 bits without sign: the superblock knows no time before 1970.
fn seconds(secs: i64) -> (u32, u8) {
    let [a, b, c, d, high, ..] = secs.clamp(0, (1 << 40) - 1).to_le_bytes();
    (u32::from_le_bytes([a, b, c, d]), high)
}

/// A count of blocks or inodes: below 2^32.
fn low(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
