//! Whatever tree and options the writer is given, it says why ext4 cannot hold them, or e2fsck finds nothing wrong with the
//! image and ext4-view reads the tree back; the size that it says is needed is enough.

use ext4_view::{Ext4, PathBuf};
use oci2ext4::ext4::{Error, Identity, ImageWriter, Options, Report, clamp_time};
use oci2ext4::meta::{NodeKind, Timestamp};

use super::ext4_plan::{Node, Plan, options};
use super::image::Image;
use super::input::Input;

/// So many names of an image are read back: ext4-view walks to each from the root, through all blocks of directories.
const READ_BACK: usize = 60;
/// Bytes that are read back at once; no block.
const PIECE: usize = 5000;
/// Nothing beyond this byte of a file is read back: ext4-view counts blocks to where it seeks, one by one.
const NEAR: u64 = 64 << 20;
const IDENTITY: Identity = Identity { uuid: [0x5a; 16], hash_seed: [0xc3; 16], now: NOW, last_write: NOW };
const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

pub fn check(bytes: &[u8]) {
    let mut input = Input(bytes);
    let options = options(&mut input);
    let image = Image::new();
    match write(&image, &options, Input(input.0)) {
        Ok((plan, report)) => judge(&image, &options, &plan, &report),
        Err(Error::NoSpace { needed, size }) => {
            assert_eq!(options.size, Some(size));
            let (image, options) = (Image::new(), Options { size: Some(needed), ..options });
            match write(&image, &options, input) {
                Ok((plan, report)) => judge(&image, &options, &plan, &report),
                // Space is counted before inodes are written.
                Err(Error::Inode { .. }) => {}
                Err(error) => panic!("{needed} bytes are needed: {error}"),
            }
        }
        Err(Error::NoInodes { .. } | Error::Inode { .. } | Error::Option(_) | Error::FileTooLarge { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

fn write(image: &Image, options: &Options, mut input: Input<'_>) -> Result<(Plan, Report), Error> {
    let mut writer = ImageWriter::new(image.target(), options)?;
    let plan = Plan::write(&mut input, &mut writer)?;
    let report = writer.finish(&plan, &IDENTITY)?;
    Ok((plan, report))
}

fn judge(image: &Image, options: &Options, plan: &Plan, report: &Report) {
    assert_eq!(image.size(), report.bytes);
    assert!(options.size.is_none_or(|size| size == report.bytes), "{report:?}");
    image.e2fsck();
    let view = image.view();
    let mut left = vec![(PathBuf::new("/"), 0)];
    let mut seen = 0;
    while let Some((path, id)) = left.pop() {
        let node = &plan.nodes[id as usize];
        // ext4-view 1.0 takes the low word of a time for a positive number, and reads no inode where it is not.
        if clamp_time(node.meta.mtime).secs & 1 << 31 != 0 {
            continue;
        }
        attributes(&view, &path, node);
        if matches!(node.kind, NodeKind::Directory) {
            names(&view, &path, node, id == 0);
            left.extend(node.children.iter().map(|(name, id)| (path.join(name), *id)));
        }
        seen += 1;
        if seen == READ_BACK {
            break;
        }
    }
}

fn attributes(view: &Ext4, path: &PathBuf, node: &Node) {
    let meta = view.symlink_metadata(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let what = meta.file_type();
    let same = match &node.kind {
        NodeKind::Directory => what.is_dir(),
        NodeKind::File(_) => what.is_regular_file(),
        NodeKind::Symlink(_) => what.is_symlink(),
        NodeKind::CharDevice(_) => what.is_char_dev(),
        NodeKind::BlockDevice(_) => what.is_block_dev(),
        NodeKind::Fifo => what.is_fifo(),
    };
    assert!(same, "{}: {what:?}, not {:?}", path.display(), node.kind);
    assert_eq!((meta.uid(), meta.gid()), (node.meta.uid, node.meta.gid), "{}", path.display());
    let time = Timestamp { secs: meta.modified().seconds(), nanos: meta.modified().nanoseconds() };
    // What ext4 cannot hold is cut to what it can.
    assert_eq!(time, clamp_time(node.meta.mtime), "{}", path.display());
    // An access ACL rules the mode.
    let ruled = node.xattrs.get(b"system.posix_acl_access").is_some();
    let bits = if ruled { 0o7000 } else { 0o7777 };
    assert_eq!(meta.mode() & bits, node.meta.mode & bits, "{}", path.display());
    match &node.kind {
        NodeKind::File(data) => {
            assert_eq!(meta.len(), data.size(), "{}", path.display());
            content(view, path, node);
        }
        // ext4-view has no paths with longer components.
        NodeKind::Symlink(target) if target.len() < 256 => {
            assert_eq!(view.read_link(path).expect("a symlink").as_ref(), &target[..], "{}", path.display());
        }
        _ => {}
    }
}

fn content(view: &Ext4, path: &PathBuf, node: &Node) {
    let mut file = view.open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    for (start, expected) in &node.segments {
        // Some pieces of it, the first and the last among them.
        let pieces: Vec<_> = expected.chunks(PIECE).enumerate().collect();
        let step = pieces.len() / 50 + 1;
        for (number, piece) in pieces.iter().step_by(step).chain(pieces.last()) {
            let at = start + (number * PIECE) as u64;
            if at > NEAR {
                break;
            }
            file.seek_to(at).expect("seek");
            let mut got = vec![0xff; piece.len()];
            let mut filled = 0;
            while filled < got.len() {
                let len = file.read_bytes(&mut got[filled..]).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
                assert!(len > 0, "{} ends early", path.display());
                filled += len;
            }
            assert!(got == *piece, "{}: other bytes from {at} on", path.display());
        }
    }
}

fn names(view: &Ext4, path: &PathBuf, node: &Node, is_root: bool) {
    let entries = view.read_dir(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut found: Vec<Vec<u8>> = entries.map(|entry| entry.expect("entry").file_name().as_ref().to_vec()).collect();
    found.sort();
    let mut expected: Vec<Vec<u8>> = node.children.keys().cloned().collect();
    expected.extend([b".".to_vec(), b"..".to_vec()]);
    if is_root && !node.children.contains_key(&b"lost+found"[..]) {
        expected.push(b"lost+found".to_vec());
    }
    expected.sort();
    assert_eq!(found, expected, "{}", path.display());
}
