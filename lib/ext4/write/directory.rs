//! Produces the blocks of a directory, in order.

use crate::ext4::format::dir_block::DirBlockBuilder;
use crate::ext4::format::dir_entry::{DirEntry, EXT4_FT_DIR};
use crate::ext4::format::directory::{DirFormat, DirOwner};
use crate::ext4::format::htree;
use crate::ext4::layout::dir_index::DirIndex;
use crate::ext4::layout::directory::DirectoryPlan;
use crate::ext4::number::BLOCK;

/// The number of blocks passed on at once.
const BATCH: usize = 64;

/// Passes the blocks of a directory to `sink` in order, some at a time (whole blocks, at most 256 KiB).
///
/// `entries` and `format` are those from which the plan was made.
///
/// # Errors
/// Those of `sink`.
pub(crate) fn write_directory<E>(
    plan: &DirectoryPlan,
    entries: &[DirEntry<'_>],
    owner: DirOwner,
    format: &DirFormat,
    mut sink: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    if let Some(index) = &plan.index {
        return write_indexed(index, entries, owner, format, sink);
    }
    let mut builder = DirBlockBuilder::new(format, owner);
    builder.push(b".", owner.inode, EXT4_FT_DIR);
    builder.push(b"..", owner.parent, EXT4_FT_DIR);
    for entry in entries {
        builder.push(entry.name, entry.inode, entry.file_type);
    }
    let mut block = [0; BLOCK];
    builder.finish(&mut block);
    sink(&block)?;
    for _ in 1..plan.blocks {
        builder.finish(&mut block); // empty
        sink(&block)?;
    }
    Ok(())
}

fn write_indexed<E>(
    index: &DirIndex,
    entries: &[DirEntry<'_>],
    owner: DirOwner,
    format: &DirFormat,
    mut sink: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let seed = format.seed_of(owner);
    sink(&htree::root(owner, index.levels(), seed, index.root().into_iter()))?;
    for pairs in index.inner_nodes() {
        sink(&htree::inner_node(seed, pairs))?;
    }
    let mut builder = DirBlockBuilder::new(format, owner);
    let mut batch = vec![0; BATCH * BLOCK];
    let mut full = 0;
    for leaf in index.leaves() {
        for &entry in leaf {
            let entry = &entries[entry as usize];
            builder.push(entry.name, entry.inode, entry.file_type);
        }
        builder.finish(&mut batch[full * BLOCK..(full + 1) * BLOCK]);
        full += 1;
        if full == BATCH {
            sink(&batch)?;
            full = 0;
        }
    }
    if full > 0 { sink(&batch[..full * BLOCK]) } else { Ok(()) }
}
