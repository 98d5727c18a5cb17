//! What is in the tree is in the image.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use super::tree::{IDENTITY, Image, TestTree};
use crate::support::{LoopMount, debugfs};
use oci2ext4::ext4::{Error, FileTree, ImageWriter, InodeError, Options};
use oci2ext4::meta::{Device, Metadata, NodeKind, Timestamp, Xattr, Xattrs};

const BLOCK: usize = 4096;

#[test]
fn a_small_tree_of_all_kinds_is_what_the_kernel_shows() {
    let image = Image::new();
    let mut writer = image.writer(&Options::default());
    let mut tree = TestTree::new();
    let etc = tree.dir(0, "etc");
    let data = writer.write_data(&mut &b"hello\n"[..], 6).unwrap();
    let file = tree.add(etc, "motd", NodeKind::File(data));
    tree.link(0, b"caf\xe9", file);
    *tree.meta(file) = Metadata {
        mode: 0o6755,
        uid: 4_000_000_000,
        gid: 70_000,
        mtime: Timestamp { secs: -2_000_000_000, nanos: 999_999_999 },
    };
    tree.add(etc, "fast", NodeKind::Symlink([b'f'; 59][..].into()));
    tree.add(etc, "slow", NodeKind::Symlink([b's'; 60][..].into()));
    tree.add(etc, "slowest", NodeKind::Symlink([b'l'; 4095][..].into()));
    tree.add(0, "null", NodeKind::CharDevice(Device { major: 1, minor: 3 }));
    tree.add(0, "disk", NodeKind::BlockDevice(Device { major: 4095, minor: 0xf_ffff }));
    let pipe = tree.add(0, "pipe", NodeKind::Fifo);
    tree.meta(pipe).mtime = Timestamp { secs: 10_737_418_239, nanos: 1 }; // 2310-04-03
    writer.finish(&tree, &IDENTITY).unwrap();
    image.fsck();

    let mount = LoopMount::read_write(image.path());
    let at = |path: &[u8]| mount.path().join(OsStr::from_bytes(path));
    let motd = fs::metadata(at(b"etc/motd")).unwrap();
    assert_eq!(fs::read(at(b"caf\xe9")).unwrap(), b"hello\n");
    assert_eq!((motd.mode(), motd.uid(), motd.gid(), motd.nlink()), (0o10_6755, 4_000_000_000, 70_000, 2));
    assert_eq!((motd.mtime(), motd.mtime_nsec()), (-2_000_000_000, 999_999_999));
    assert_eq!((motd.size(), motd.blocks(), motd.ino()), (6, 8, fs::metadata(at(b"caf\xe9")).unwrap().ino()));
    for (name, byte, length) in [("etc/fast", b'f', 59), ("etc/slow", b's', 60), ("etc/slowest", b'l', 4095)] {
        assert_eq!(fs::read_link(at(name.as_bytes())).unwrap().as_os_str().as_bytes(), vec![byte; length]);
    }
    let device = |name: &[u8]| fs::metadata(at(name)).unwrap().rdev();
    assert_eq!(device(b"null"), rustix::fs::makedev(1, 3));
    assert_eq!(device(b"disk"), rustix::fs::makedev(4095, 0xf_ffff));
    let pipe = fs::metadata(at(b"pipe")).unwrap();
    assert!(pipe.file_type().is_fifo());
    assert_eq!((pipe.mtime(), pipe.mtime_nsec()), (10_737_418_239, 1));
}

/// `count` blocks of data, each behind a block of zeros.
fn striped(count: usize) -> Vec<u8> {
    let mut content = vec![0; 2 * count * BLOCK];
    for n in 0..count {
        content[(2 * n + 1) * BLOCK..(2 * n + 2) * BLOCK].fill((n % 255) as u8 + 1);
    }
    content
}

#[test]
fn zero_blocks_become_holes_whatever_the_reader_hands_out() {
    let content = striped(20);
    let mut expected = None;
    for capacity in [1, 511, 4096, 5000, 1 << 20] {
        for offset in [0, 512] {
            let image = Image::new();
            let mut writer = image.writer(&Options::default());
            let mut input = BufReader::with_capacity(capacity, &content[offset..]);
            let size = (content.len() - offset) as u64;
            let data = writer.write_data(&mut input, size).unwrap();
            assert!(offset > 0 || data.blocks() == 20, "{data:?}");
            let mut tree = TestTree::new();
            tree.add(0, "striped", NodeKind::File(data));
            writer.finish(&tree, &IDENTITY).unwrap();
            image.fsck();
            let bytes = fs::read(image.path()).unwrap();
            if offset == 0 {
                assert!(*expected.get_or_insert(bytes.clone()) == bytes, "capacity {capacity}");
            }
            let view = ext4_view::Ext4::load(Box::new(bytes)).unwrap();
            assert!(view.read("/striped").unwrap() == content[offset..]);
        }
    }
}

#[test]
fn without_sparse_zeros_are_stored_and_stated_holes_are_not() {
    let image = Image::new();
    let mut writer = image.writer(&Options { no_sparse: true, ..Options::default() });
    let mut tree = TestTree::new();
    let data = writer.write_data(&mut std::io::repeat(0).take(100_000).buffered(), 100_000).unwrap();
    assert_eq!(data.blocks(), 25);
    tree.add(0, "zeros", NodeKind::File(data));
    let data = writer.write_sparse(&mut &[0; 5000][..], 1 << 40, [(4096, 0), (1 << 30, 5000), (1 << 40, 0)]).unwrap();
    assert_eq!(data.blocks(), 2);
    tree.add(0, "stated", NodeKind::File(data));
    writer.finish(&tree, &IDENTITY).unwrap();
    image.fsck();
}

trait Buffered: Read + Sized {
    fn buffered(self) -> BufReader<Self> {
        BufReader::new(self)
    }
}

impl<R: Read> Buffered for R {}

#[test]
fn segments_that_share_a_block_are_joined() {
    let image = Image::new();
    let mut writer = image.writer(&Options::default());
    let segments = [(10, 20), (100, 4000), (4100, 1), (20_000, 9000), (1 << 35, 5)];
    let stored: Vec<u8> = (0..13_026_u32).map(|n| (n % 250) as u8 + 1).collect();
    let size = (1 << 35) + 5;
    let data = writer.write_sparse(&mut &stored[..], size, segments).unwrap();
    let mut tree = TestTree::new();
    tree.add(0, "sparse", NodeKind::File(data));
    writer.finish(&tree, &IDENTITY).unwrap();
    image.fsck();

    let mut expected = vec![0; 30_000];
    let mut at = 0;
    for &(offset, len) in &segments[..4] {
        expected[offset as usize..(offset + len) as usize].copy_from_slice(&stored[at..at + len as usize]);
        at += len as usize;
    }
    let mount = LoopMount::read_write(image.path());
    let file = fs::File::open(mount.path().join("sparse")).unwrap();
    assert_eq!(file.metadata().unwrap().len(), size);
    let mut got = vec![0; 30_000];
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut got, 0).unwrap();
    assert!(got == expected);
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut got[..5], 1 << 35).unwrap();
    assert_eq!(got[..5], stored[at..]);
    assert_eq!(file.metadata().unwrap().blocks(), (2 + 4 + 1) * 8);
}

#[test]
fn a_file_may_be_as_large_as_block_numbers_reach() {
    let image = Image::new();
    let mut writer = image.writer(&Options::default());
    let mut tree = TestTree::new();
    let largest = u64::from(u32::MAX) * 4096;
    let data = writer.write_sparse(&mut &[1; 8192][..], largest, [(0, 4096), (largest - 4096, 4096)]).unwrap();
    tree.add(0, "largest", NodeKind::File(data));
    let hole = writer.write_sparse(&mut &[][..], largest, []).unwrap();
    tree.add(0, "hole", NodeKind::File(hole));
    let result = writer.write_sparse(&mut &[][..], largest + 1, []);
    assert!(matches!(result, Err(Error::FileTooLarge { .. })));
    writer.finish(&tree, &IDENTITY).unwrap();
    image.fsck();
    let mount = LoopMount::read_write(image.path());
    let sizes = ["largest", "hole"].map(|name| fs::metadata(mount.path().join(name)).unwrap().len());
    assert_eq!(sizes, [largest, largest]);
}

#[test]
fn segments_out_of_order_or_past_the_end_are_refused() {
    let mut image = Vec::new();
    for segments in [&[(0, 101)][..], &[(50, 10), (40, 10)], &[(50, 10), (59, 1)], &[(u64::MAX, 2)]] {
        let mut writer = ImageWriter::new(&mut image, &Options::default()).unwrap();
        let result = writer.write_sparse(&mut &[1; 200][..], 100, segments.iter().copied());
        assert!(matches!(result, Err(Error::Segment { .. })), "{segments:?}");
    }
    let mut writer = ImageWriter::new(&mut image, &Options::default()).unwrap();
    let result = writer.write_data(&mut &b"short"[..], 9);
    assert!(matches!(result, Err(Error::InputCut { missing: 4 })));
}

#[test]
fn extent_trees_of_one_and_two_levels_are_read_back() {
    for (count, depth) in [(4, 0), (5, 1), (340, 1), (341, 1), (1360, 1), (1361, 2), (3000, 2)] {
        let image = Image::new();
        let mut writer = image.writer(&Options::default());
        let mut tree = TestTree::new();
        let content = striped(count);
        let data = writer.write_data(&mut &content[..], content.len() as u64).unwrap();
        assert_eq!(data.extents().len(), count);
        tree.add(0, "striped", NodeKind::File(data));
        writer.finish(&tree, &IDENTITY).unwrap();
        image.fsck();
        let shown = debugfs(image.path(), "ex /striped");
        let levels = shown.lines().filter_map(|line| line.split_once('/')?.1.split_whitespace().next()?.parse().ok());
        assert_eq!(levels.max(), Some(depth), "{count} extents: {shown}");
        let view = ext4_view::Ext4::load(Box::new(fs::read(image.path()).unwrap())).unwrap();
        assert!(view.read("/striped").unwrap() == content);
    }
}

#[test]
fn content_of_replaced_files_is_free_space_without_bytes() {
    let image = Image::new();
    let mut writer = image.writer(&Options::default());
    let mut tree = TestTree::new();
    for n in 0..10_u8 {
        let data = writer.write_data(&mut &vec![b'A' + n; 50_000][..], 50_000).unwrap();
        if n % 3 == 1 {
            tree.add(0, n.to_string(), NodeKind::File(data));
        }
    }
    writer.finish(&tree, &IDENTITY).unwrap();
    image.fsck();
    let bytes = fs::read(image.path()).unwrap();
    for n in 0..10_u8 {
        assert_eq!(bytes.windows(100).any(|window| window == [b'A' + n; 100]), n % 3 == 1, "{n}");
    }
}

#[test]
fn lost_found_of_the_tree_keeps_its_attributes_and_files() {
    let image = Image::new();
    let mut tree = TestTree::new();
    let lost = tree.dir(0, "lost+found");
    *tree.meta(lost) = Metadata { mode: 0o711, uid: 7, gid: 8, mtime: Timestamp::from_secs(5) };
    tree.add(lost, "found", NodeKind::Fifo);
    image.write(&Options::default(), &tree);
    let mount = LoopMount::read_write(image.path());
    let lost = fs::metadata(mount.path().join("lost+found")).unwrap();
    assert_eq!((lost.mode() & 0o7777, lost.uid(), lost.gid(), lost.mtime(), lost.ino()), (0o711, 7, 8, 5, 11));
    assert_eq!(lost.size(), 16_384);
    assert!(mount.path().join("lost+found/found").exists());
}

#[test]
fn what_ext4_cannot_hold_is_refused_by_path() {
    let refused = |build: &dyn Fn(&mut TestTree, u32)| {
        let mut tree = TestTree::new();
        let dir = tree.dir(0, "dir");
        build(&mut tree, dir);
        let writer = ImageWriter::new(Vec::new(), &Options::default()).unwrap();
        match writer.finish(&tree, &IDENTITY).unwrap_err() {
            Error::Inode { path, source } => (String::from_utf8(path).unwrap(), source),
            error => panic!("{error}"),
        }
    };
    let (path, error) = refused(&|tree, dir| {
        tree.add(dir, "s", NodeKind::Symlink([b'x'; 4096][..].into()));
    });
    assert!(path == "dir/s" && matches!(error, InodeError::SymlinkLength(4096)), "{path}: {error}");
    let (path, error) = refused(&|tree, dir| {
        tree.add(dir, "s", NodeKind::Symlink(b""[..].into()));
    });
    assert!(path == "dir/s" && matches!(error, InodeError::SymlinkLength(0)), "{path}: {error}");
    let (path, error) = refused(&|tree, dir| {
        tree.add(dir, "s", NodeKind::Symlink(b"a\0b"[..].into()));
    });
    assert!(path == "dir/s" && matches!(error, InodeError::SymlinkNul), "{path}: {error}");
    let device = Device { major: 5000, minor: 0 };
    let (path, error) = refused(&|tree, dir| {
        tree.add(dir, "d", NodeKind::BlockDevice(device));
    });
    assert!(path == "dir/d" && matches!(error, InodeError::Device { major: 5000, minor: 0 }), "{path}: {error}");
    let (path, error) = refused(&|tree, dir| {
        let file = tree.add(dir, "f", NodeKind::Fifo);
        for n in 0..65_000 {
            tree.link(0, n.to_string(), file);
        }
    });
    assert!(path == "0" && matches!(error, InodeError::Links(65_001)), "{path}: {error}");
    let (path, error) = refused(&|tree, dir| {
        tree.add(dir, [b'n'; 256], NodeKind::Fifo);
    });
    assert!(path.starts_with("dir") && matches!(error, InodeError::Directory(_)), "{path}: {error}");
    let (path, error) = refused(&|tree, _| {
        tree.add(0, "lost+found", NodeKind::Fifo);
    });
    assert!(path == "lost+found" && matches!(error, InodeError::LostFound), "{path}: {error}");
}

#[test]
fn links_are_counted_to_65000_and_directories_beyond() {
    let image = Image::new();
    let mut tree = TestTree::new();
    let file = tree.add(0, "file", NodeKind::Fifo);
    let (many, too_many) = (tree.dir(0, "many"), tree.dir(0, "too many"));
    for n in 1..65_000 {
        tree.link(many, format!("link {n}"), file);
    }
    for n in 0..64_998 {
        tree.dir(many, n.to_string());
        tree.dir(too_many, n.to_string());
    }
    tree.dir(too_many, "last");
    assert!(tree.inodes() > 130_000);
    let options = Options { size: Some(1 << 30), ..Options::default() };
    image.write(&options, &tree);
    let mount = LoopMount::read_write(image.path());
    let links = |name: &str| fs::metadata(mount.path().join(name)).unwrap().nlink();
    assert_eq!((links("file"), links("many"), links("too many")), (65_000, 65_000, 1));
}

fn xattrs(list: &[(&str, &[u8])]) -> Xattrs {
    Xattrs::new(list.iter().map(|(name, value)| Xattr { name: name.as_bytes(), value }).collect())
}

#[test]
fn attributes_in_the_inode_and_in_shared_blocks_are_what_the_kernel_shows() {
    // Version, then tag, permissions and id (two words) of each entry.
    const NONE: u16 = u16::MAX;
    let acl = [2, 0, 1, 7, NONE, NONE, 2, 6, 1000, 0, 4, 5, NONE, NONE, 0x10, 7, NONE, NONE, 0x20, 4, NONE, NONE];
    let acl: Vec<u8> = acl.iter().flat_map(|word: &u16| word.to_le_bytes()).collect();
    let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let large = vec![b'v'; 3000];
    let sets = [
        xattrs(&[("security.capability", capability)]),
        xattrs(&[("user.large", &large), ("user.empty", b""), ("trusted.overlay.opaque", b"y")]),
        xattrs(&[("system.posix_acl_access", &acl), ("user.a", b"1")]),
    ];
    for compat in [false, true] {
        let image = Image::new();
        let mut writer = image.writer(&Options { compat, ..Options::default() });
        let mut tree = TestTree::new();
        for n in 0..2100_usize {
            let data = writer.write_data(&mut &b"x"[..], 1).unwrap();
            let id = tree.add(0, n.to_string(), NodeKind::File(data));
            tree.xattrs(id, sets[n % 3].clone());
        }
        writer.finish(&tree, &IDENTITY).unwrap();
        image.fsck();
        let mount = LoopMount::read_write(image.path());
        for n in (0..2100_usize).step_by(7) {
            for xattr in sets[n % 3].iter() {
                let name = std::str::from_utf8(xattr.name).unwrap();
                let mut value = vec![0; 4096];
                let length = rustix::fs::getxattr(mount.path().join(n.to_string()), name, &mut value).unwrap();
                assert!(value[..length] == *xattr.value, "{name} of {n}");
            }
        }
        for n in (0..2100).step_by(2) {
            fs::remove_file(mount.path().join(n.to_string())).unwrap();
        }
        mount.unmount();
        image.fsck();
    }
}
