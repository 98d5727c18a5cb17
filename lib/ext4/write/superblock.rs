//! The values in the superblock, chosen like those of `mke2fs`.

use arcbox_ext4::constants::{SUPERBLOCK_MAGIC, compat, incompat, ro_compat};
use arcbox_ext4::types::SuperBlock;

use crate::ext4::format::htree::DX_HASH_HALF_MD4;
use crate::ext4::format::inode::INODE_BYTES;
use crate::ext4::format::name_hash::{EXT2_FLAGS_SIGNED_HASH, HashSeed};
use crate::ext4::layout::block_group::GROUP_BLOCKS;
use crate::ext4::layout::image_layout::ImageLayout;
use crate::ext4::number::{InodeNumber, exact};
use crate::ext4::options::{Identity, Options};

/// `EXT4_DYNAMIC_REV`
const DYNAMIC_REV: u32 = 1;
/// `EXT4_VALID_FS`
const VALID: u16 = 1;
/// `EXT4_ERRORS_CONTINUE`
const ERRORS_CONTINUE: u16 = 1;
/// `EXT4_DEFM_XATTR_USER | EXT4_DEFM_ACL`
const DEFAULT_MOUNT_OPTIONS: u32 = 0x4 | 0x8;
/// The number of groups in a flexible group: 2^4.
const LOG_GROUPS_PER_FLEX: u8 = 4;
/// `EXT4_CRC32C_CHKSUM`
const CRC32C: u8 = 1;
/// `EXT3_JNL_BACKUP_BLOCKS`: `s_jnl_blocks` is a copy of the journal inode's `i_block` and `i_size`.
const JOURNAL_BACKUP: u8 = 1;
/// `s_log_block_size`: 2^(10 + 2) bytes.
const LOG_BLOCK_SIZE: u32 = 2;

/// The totals over all groups.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FreeCounts {
    pub(crate) free_blocks: u64,
    pub(crate) free_inodes: u64,
}

/// The primary superblock, without a checksum.
pub(crate) fn primary(
    layout: &ImageLayout,
    options: &Options,
    identity: &Identity,
    totals: FreeCounts,
    journal: Option<&[u8; INODE_BYTES]>,
) -> SuperBlock {
    let group_blocks = exact(GROUP_BLOCKS);
    let (now, now_high) = seconds(identity.now.secs);
    let (written, written_high) = seconds(identity.last_write.secs);
    let mut label = [0; 16];
    label[..options.label.len()].copy_from_slice(&options.label); // at most 16 bytes, see Options::check
    SuperBlock {
        inodes_count: exact(layout.inodes()),
        blocks_count_lo: exact(layout.blocks),
        r_blocks_count_lo: exact(options.reserved.of(layout.blocks)),
        free_blocks_count_lo: exact(totals.free_blocks),
        free_inodes_count: exact(totals.free_inodes),
        log_block_size: LOG_BLOCK_SIZE,
        log_cluster_size: LOG_BLOCK_SIZE,
        blocks_per_group: group_blocks,
        clusters_per_group: group_blocks,
        inodes_per_group: exact(layout.inodes_per_group),
        wtime: written,
        wtime_hi: written_high,
        max_mount_count: u16::MAX,
        magic: SUPERBLOCK_MAGIC,
        state: VALID,
        errors: ERRORS_CONTINUE,
        lastcheck: written,
        lastcheck_hi: written_high,
        rev_level: DYNAMIC_REV,
        first_ino: InodeNumber::LOST_FOUND.get(),
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
        reserved_gdt_blocks: exact(layout.reserved_descriptor_blocks()),
        journal_inum: if journal.is_some() { InodeNumber::JOURNAL.get() } else { 0 },
        journal_backup_type: if journal.is_some() { JOURNAL_BACKUP } else { 0 },
        journal_blocks: journal.map_or([0; 17], journal_backup),
        hash_seed: HashSeed::from_bytes(identity.hash_seed).words(),
        def_hash_version: DX_HASH_HALF_MD4,
        default_mount_opts: DEFAULT_MOUNT_OPTIONS,
        mkfs_time: now,
        mkfs_time_hi: now_high,
        min_extra_isize: 32,
        want_extra_isize: 32,
        flags: EXT2_FLAGS_SIGNED_HASH,
        log_groups_per_flex: LOG_GROUPS_PER_FLEX,
        checksum_type: if options.compat { 0 } else { CRC32C },
        overhead_blocks: exact(layout.overhead()),
        ..SuperBlock::default()
    }
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

/// Splits seconds into 40 unsigned bits: the superblock cannot represent times before 1970.
fn seconds(secs: i64) -> (u32, u8) {
    let [a, b, c, d, high, ..] = secs.clamp(0, (1 << 40) - 1).to_le_bytes();
    (u32::from_le_bytes([a, b, c, d]), high)
}
