#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
#![allow(clippy::cast_possible_truncation, reason = "a test knows its numbers")]

use std::io;
use std::ops::Range;

use sha2::{Digest, Sha256};

use super::{BLOCK, DataDevice, Hash, Levels, Salt, hash};

const SALT: Salt = [7; 32];

/// Bytes in memory; ranges without data read as zeros.
struct Sparse {
    bytes: Vec<u8>,
    data: Vec<Range<u64>>,
}

impl DataDevice for Sparse {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let start = offset as usize;
        buffer.copy_from_slice(self.bytes.get(start..start + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn next_data(&self, offset: u64, _: u64) -> io::Result<Option<Range<u64>>> {
        Ok(self.data.iter().find(|range| range.end > offset).map(|range| range.start.max(offset)..range.end))
    }
}

/// The tree as the definition has it: whole levels at once.
fn by_definition(bytes: &[u8]) -> (Hash, Vec<u8>) {
    let hashes = |bytes: &[u8]| -> Vec<u8> {
        let hash = |block: &[u8]| Sha256::new_with_prefix(SALT).chain_update(block).finalize();
        bytes.chunks(BLOCK).flat_map(hash).collect()
    };
    let mut level = hashes(bytes);
    let mut tree = Vec::new();
    while level.len() > 32 {
        level.resize(level.len().next_multiple_of(BLOCK), 0);
        tree.splice(0..0, level.iter().copied());
        level = hashes(&level);
    }
    (level.try_into().unwrap(), tree)
}

fn built(data: &impl DataDevice, blocks: u64) -> io::Result<(Hash, Vec<u8>)> {
    let mut tree = vec![0; Levels::new(blocks).blocks() as usize * BLOCK];
    let root = hash(data, blocks, &SALT, |at, block, count| {
        for copy in at..at + count {
            tree[copy as usize * BLOCK..][..BLOCK].copy_from_slice(block);
        }
        Ok(())
    })?;
    Ok((root, tree))
}

#[test]
fn the_tree_is_what_the_definition_says_wherever_the_holes_are() {
    let mut random = fastrand::Rng::with_seed(1);
    for round in 0..60 {
        let blocks = match round {
            0..4 => round + 1,
            4..8 => 124 + round,
            _ => random.u64(1..40_000),
        };
        let mut bytes = vec![0; blocks as usize * BLOCK];
        let mut data = Vec::new();
        let mut at = 0;
        while at < bytes.len() as u64 && round % 3 > 0 {
            let (hole, run) = (random.u32(1..28), random.u32(1..24));
            let start = at + random.u64(0..1 << hole);
            let end = (start + random.u64(1..1 << run)).min(bytes.len() as u64);
            if start >= end {
                break;
            }
            for byte in bytes[start as usize..end as usize].iter_mut().step_by(1000) {
                *byte = random.u8(..);
            }
            data.push(start..end);
            at = end;
        }
        let sparse = Sparse { bytes, data };
        assert!(built(&sparse, blocks).unwrap() == by_definition(&sparse.bytes), "{blocks} blocks, round {round}");
    }
}

#[test]
fn what_goes_wrong_with_the_data_or_the_tree_is_told() {
    let short = Sparse { bytes: vec![1; 3 << 20], data: std::iter::once(0..u64::MAX).collect() };
    assert_eq!(built(&short, 5000).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    let full = hash(&short, 700, &SALT, |_, _, _| Err(io::ErrorKind::StorageFull.into()));
    assert_eq!(full.unwrap_err().kind(), io::ErrorKind::StorageFull);
}

/// Work for zeros grows with the levels alone: 1 TiB and 2^20 times as much take the same few calls.
#[test]
fn zeros_are_hashed_once_a_level() {
    for (blocks, levels) in [(1_u64 << 28, 4), (1 << 48, 7)] {
        let nothing = Sparse { bytes: Vec::new(), data: Vec::new() };
        let (mut calls, mut written) = (0, 0);
        hash(&nothing, blocks, &SALT, |_, _, count| {
            calls += 1;
            written += count;
            Ok(())
        })
        .unwrap();
        assert_eq!((calls, written), (levels, Levels::new(blocks).blocks()));
    }
}
