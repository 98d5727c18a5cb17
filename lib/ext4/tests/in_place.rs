//! Over old bytes an image is what it is in a new file, but for its free space (S2, E9).

use std::fs;
use std::io::{BufReader, Read};

use super::support::{IDENTITY, Image, TestTree, fsck};
use crate::ext4::layout::block_group::{GROUP_BLOCKS, descriptor_blocks, groups};
use crate::ext4::layout::reserved_blocks::ReservedBlocks;
use crate::ext4::{ImageWriter, InPlace, Journal, Options, Report, Target};
use crate::meta::{NodeKind, Xattr, Xattrs};

const BLOCK: usize = 4096;
/// What stood on the disk before.
const OLD: [u8; BLOCK] = [0xa5; BLOCK];

/// A tree of everything that takes blocks; some content belongs to nobody in the end.
fn write<T: Target>(target: T, options: &Options, seed: u64) -> Report {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut writer = ImageWriter::new(target, options).unwrap();
    let mut tree = TestTree::new();
    let dir = tree.dir(0, "dir");
    for n in 0..random.u32(1..400) {
        let scale = random.u32(0..17);
        let size = random.u64(0..1 << scale);
        let mut input = BufReader::new(std::io::repeat(random.u8(1..)).take(size));
        let holes = [(random.u64(0..1 << 20), size)];
        let data = writer.write_sparse(&mut input, 1 << 21, holes).unwrap();
        match random.u8(0..8) {
            0 => {} // replaced
            1 => drop(tree.add(dir, format!("link {n}"), NodeKind::Symlink([b'l'; 300][..].into()))),
            2 => {
                let id = tree.add(dir, format!("attributes {n}"), NodeKind::File(data));
                let value = vec![random.u8(1..4); 500].into();
                tree.xattrs(id, Xattrs::new(vec![Xattr { name: (*b"user.a").into(), value }]));
            }
            _ => drop(tree.add(dir, format!("file {n}"), NodeKind::File(data))),
        }
    }
    writer.finish(&tree, &IDENTITY).unwrap()
}

fn word(image: &[u8], at: usize) -> usize {
    u32::from_le_bytes(image[at..at + 4].try_into().unwrap()) as usize
}

/// Whether the bitmaps say that a block is free.
fn is_free(image: &[u8], block: u64) -> bool {
    const BLOCK_UNINIT: u8 = 2;
    let (group, at) = (block / GROUP_BLOCKS, block % GROUP_BLOCKS);
    let descriptor = BLOCK + group as usize * 32;
    if image[descriptor + 0x12] & BLOCK_UNINIT != 0 {
        let reserved = u16::from_le_bytes([image[1024 + 0xce], image[1024 + 0xcf]]);
        let descriptors = descriptor_blocks(word(image, 1024 + 4) as u64);
        let superblock = ReservedBlocks::growing().blocks_in(group) > 0;
        return !superblock || at > descriptors + u64::from(reserved);
    }
    let bitmap = word(image, descriptor) * BLOCK;
    image[bitmap + (at / 8) as usize] >> (at % 8) & 1 == 0
}

#[test]
fn over_old_bytes_only_free_space_differs() {
    let image = Image::new();
    let mut random = fastrand::Rng::with_seed(17);
    for seed in 0..8 {
        let blocks = random.u64(if seed == 0 { 65_000..70_000 } else { 11_000..16_000 });
        let options = Options {
            size: Some(blocks * 4096 + random.u64(0..4096)),
            compat: random.bool(),
            journal: random.bool().then_some(Journal::Auto),
            inodes: random.bool().then(|| random.u32(500..9000)),
            ..Options::default()
        };
        let mut fresh: Vec<u8> = Vec::new();
        let report = write(&mut fresh, &options, seed);
        let old: Vec<u8> = OLD.iter().copied().cycle().take(fresh.len()).collect();
        fs::write(image.path(), old).unwrap();
        assert_eq!(write(InPlace(image.open()), &options, seed), report);
        fsck(&image.path());
        let over = fs::read(image.path()).unwrap();
        let mut differing = 0;
        for (number, (fresh_block, over_block)) in (0..).zip(fresh.chunks(BLOCK).zip(over.chunks(BLOCK))) {
            if fresh_block == over_block {
                continue;
            }
            if number >= report.blocks {
                assert!(over_block.iter().all(|byte| *byte == OLD[0]), "{options:?}: what stands behind was touched");
                continue;
            }
            assert!(is_free(&fresh, number), "{options:?}: block {number} of {} differs", groups(report.blocks));
            differing += 1;
        }
        assert!(differing <= report.free_blocks && differing > 0);
    }
}
