//! Over old bytes an image is what it is in a new file, but for its free space (S2, E9).

use std::fs;
use std::io::{self, BufReader, Read};

use super::tree::{IDENTITY, Image, TestTree};
use crate::support::{e2fsck_clean, free_blocks};
use oci2ext4::ext4::{ImageWriter, InPlace, Journal, Options, Report, Target};
use oci2ext4::meta::{NodeKind, Xattr, Xattrs};

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
        let mut input = BufReader::new(io::repeat(random.u8(1..)).take(size));
        let holes = [(random.u64(0..1 << 20), size)];
        let data = writer.write_sparse(&mut input, 1 << 21, holes).unwrap();
        match random.u8(0..8) {
            0 => {} // replaced
            1 => drop(tree.add(dir, format!("link {n}"), NodeKind::Symlink([b'l'; 300][..].into()))),
            2 => {
                let id = tree.add(dir, format!("attributes {n}"), NodeKind::File(data));
                let value = &[random.u8(1..4); 500][..];
                tree.xattrs(id, Xattrs::new(vec![Xattr { name: &b"user.a"[..], value }]));
            }
            _ => drop(tree.add(dir, format!("file {n}"), NodeKind::File(data))),
        }
    }
    writer.finish(&tree, &IDENTITY).unwrap()
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
        e2fsck_clean(image.path());
        let free = free_blocks(image.path());
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
            let is_free = free.iter().any(|range| range.contains(&number));
            assert!(is_free, "{options:?}: block {number} differs");
            differing += 1;
        }
        assert!(differing <= report.free_blocks && differing > 0);
    }
}

/// What is asked of a target, in order.
#[derive(Debug, Default)]
struct Watched(Vec<&'static str>);

impl Target for Watched {
    fn write_at(&mut self, _: &[u8], offset: u64) -> io::Result<()> {
        self.0.push(if offset == 1024 { "superblock" } else { "write" });
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.0.push("finish");
        Ok(())
    }

    fn clear(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.0.push(if (offset, len) == (0, 4096) { "clear superblock" } else { "clear" });
        Ok(())
    }

    fn punch(&mut self, _: u64, _: u64) -> io::Result<()> {
        self.0.push("punch");
        Ok(())
    }

    fn extend_to(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn barrier(&mut self) -> io::Result<()> {
        self.0.push("barrier");
        Ok(())
    }
}

#[test]
fn the_superblock_is_cleared_before_all_else_and_written_after_it() {
    let mut watched = Watched::default();
    write(&mut watched, &Options { size: Some(40 << 20), ..Options::default() }, 3);
    let calls = watched.0;
    assert_eq!(calls[..2], ["clear superblock", "barrier"]);
    assert_eq!(calls[calls.len() - 3..], ["barrier", "superblock", "finish"]);
    let between = &calls[2..calls.len() - 3];
    assert!(between.contains(&"write") && between.contains(&"clear"));
    assert!(between.iter().all(|call| matches!(*call, "write" | "clear" | "punch")), "{between:?}");
}
