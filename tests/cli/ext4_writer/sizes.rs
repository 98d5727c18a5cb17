//! Images of every size (rule E3).

use super::tree::{IDENTITY, Image, TestTree};
use crate::support::{dumpe2fs, e2fsck_clean};
use oci2ext4::ext4::{Error, Free, FreshFile, ImageWriter, Journal, Options, Percent};
use oci2ext4::meta::NodeKind;

const GROUP: u64 = 32_768;

fn sized(bytes: u64) -> Options {
    Options { size: Some(bytes), ..Options::default() }
}

/// The size that the tree needs, as told when it is tried in no space at all.
fn needed(options: &Options, tree: &TestTree) -> u64 {
    let options = Options { size: Some(0), ..options.clone() };
    let error = Image::new().writer(&options).finish(tree, &IDENTITY).unwrap_err();
    let Error::NoSpace { needed, .. } = error else { panic!("{error}") };
    needed
}

fn small_tree() -> TestTree {
    let mut tree = TestTree::new();
    let dir = tree.dir(0, "dir");
    tree.add(dir, "link", NodeKind::Symlink([b'x'; 100][..].into()));
    tree.add(dir, "pipe", NodeKind::Fifo);
    tree
}

/// Every 97th size from the smallest to three groups; the first of each two, or the second.
fn steps_of_97_blocks(odd: bool) {
    let tree = small_tree();
    let image = Image::new();
    let compat = |at: u64| Options { compat: at % 5 == 0, ..Options::default() };
    let least = needed(&compat(0), &tree) / 4096;
    for (at, blocks) in (0..).zip((least..3 * GROUP + 97).step_by(97)) {
        if (at % 2 == 1) != odd {
            continue;
        }
        let journal = (at % 3 == 0 && blocks > 3000).then_some(Journal::Auto);
        let bytes = blocks * 4096 + at % 4096;
        let report = image.write(&Options { size: Some(bytes), journal, ..compat(at) }, &tree);
        assert_eq!(report.bytes, bytes);
        assert_eq!(image.open().metadata().unwrap().len(), bytes);
        let partial = blocks % GROUP;
        assert!(report.blocks == blocks || partial == 1 && report.blocks == blocks - 1, "{blocks}: {report:?}");
    }
}

#[test]
fn every_size_in_steps_of_97_blocks_even() {
    steps_of_97_blocks(false);
}

#[test]
fn every_size_in_steps_of_97_blocks_odd() {
    steps_of_97_blocks(true);
}

#[test]
fn the_last_group_may_have_few_blocks() {
    let tree = small_tree();
    let image = Image::new();
    for groups in [1, 2, 3, 4, 5, 9] {
        for more in [1, 2, 3, 7, 8, 9, 10, 11, 20] {
            let blocks = groups * GROUP + more;
            let report = image.write(&sized(blocks * 4096), &tree);
            // What cannot hold a descriptor, or leaves too little to grow into, is left out.
            assert!(report.blocks == blocks || more <= 1 + groups / 8, "{blocks}: {report:?}");
        }
    }
}

#[test]
fn an_empty_tree_fits_a_mib() {
    let tree = TestTree::new();
    let least = needed(&Options::default(), &tree);
    assert!(least <= 1 << 20, "{least}");
    let report = Image::new().write(&sized(least), &tree);
    assert_eq!((report.bytes, report.free_blocks), (least, 0));
    let error = Image::new().writer(&sized(least - 1)).finish(&tree, &IDENTITY).unwrap_err();
    assert!(matches!(error, Error::NoSpace { needed, .. } if needed == least), "{error}");
}

#[test]
fn without_a_size_the_free_space_is_as_asked_for_and_no_mib_more() {
    let tree = small_tree();
    let image = Image::new();
    for (free, least) in [
        (Free::Default, 4096),
        (Free::Bytes(0), 0),
        (Free::Bytes(100_000_001), 24_415),
        (Free::Bytes(5 << 30), 5 << 18),
        (Free::Percent(Percent::from_hundredths(50_00)), 0),
        (Free::Percent(Percent::from_hundredths(90_00)), 0),
    ] {
        let report = image.write(&Options { free, ..Options::default() }, &tree);
        let share = match free {
            Free::Percent(part) => report.blocks * u64::from(part.hundredths()) / 10_000,
            Free::Default => report.blocks / 10,
            Free::Bytes(_) => 0,
        };
        let wanted = share.max(least);
        assert!(report.free_blocks >= wanted, "{free:?}: {report:?}");
        // One MiB less would be too little, but for the tables that vary with the number of inodes.
        assert!(report.free_blocks < wanted + 2 * 256 + report.blocks / 64, "{free:?}: {report:?}");
        assert_eq!(report.bytes, report.blocks * 4096);
        assert_eq!(report.bytes % (1 << 20), 0);
    }
}

#[test]
fn a_stated_need_works_and_a_block_less_does_not() {
    for (blocks, options) in [
        (10, Options::default()),
        (1000, Options { journal: Some(Journal::Auto), ..Options::default() }),
        (3000, Options { compat: true, ..Options::default() }),
        (GROUP - 40, Options::default()),
        (GROUP + 40, Options { inodes: Some(50_000), ..Options::default() }),
        (5 * GROUP / 2, Options { bytes_per_inode: Some(8192), ..Options::default() }),
    ] {
        let content = vec![1_u8; 4096];
        let write = |size: u64| {
            let image = Image::new();
            let mut writer = image.writer(&Options { size: Some(size), ..options.clone() });
            let mut tree = TestTree::new();
            for n in 0..blocks / 10 {
                let mut input = std::io::BufReader::new(std::io::Read::take(std::io::repeat(1), 40_960));
                let data = writer.write_data(&mut input, 40_960).unwrap();
                tree.add(0, n.to_string(), NodeKind::File(data));
            }
            let data = writer.write_data(&mut &content[..], 4096).unwrap();
            tree.add(0, "last", NodeKind::File(data));
            writer.finish(&tree, &IDENTITY).map(|report| (image, report))
        };
        let Err(Error::NoSpace { needed, .. }) = write(40 << 10) else { panic!("{blocks} blocks fit 40 KiB") };
        let (image, report) = write(needed).unwrap();
        image.fsck();
        assert_eq!(report.bytes, needed);
        // To spare: two blocks for each backup group that content crosses, and what is before it when a table does
        // not fit there.
        assert!(report.free_blocks <= 8 + report.inodes / 16, "{report:?}");
        if report.free_blocks == 0 {
            let error = write(needed - 4096).map(|(_, report)| report).unwrap_err();
            assert!(matches!(error, Error::NoSpace { .. }), "{error}");
        }
    }
}

#[test]
fn sixteen_tib_less_a_block_is_the_largest_image() {
    let tree = small_tree();
    let image = Image::new();
    let largest = u64::from(u32::MAX) * 4096;
    let directory = tempfile::tempdir_in("/dev/shm").unwrap(); // a file of 16 TiB needs a file system that allows it
    let path = directory.path().join("image");
    for (bytes, compat) in [(largest, false), (largest + 4096, false), (1 << 41, true)] {
        let file = std::fs::File::create(&path).unwrap();
        // Without checksums e2fsck reads all inode tables: few inodes make that quick.
        let options = Options { compat, inodes: compat.then_some(1 << 20), ..sized(bytes) };
        let report = ImageWriter::new(FreshFile(file), &options).unwrap().finish(&tree, &IDENTITY).unwrap();
        assert_eq!((report.bytes, report.blocks), (bytes, bytes.min(largest) / 4096));
        let shown = dumpe2fs(&path);
        assert!(shown.contains(&format!("Block count:              {}\n", report.blocks)), "{shown}");
        if bytes <= largest {
            e2fsck_clean(&path); // 20 s for the largest
        }
    }
    let too_large = ImageWriter::new(image.create(), &sized(largest + 8192));
    assert!(matches!(too_large, Err(Error::ImageTooLarge)));
}
