//! What no directory can hold.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::{DirError, DirectoryPlan};
use crate::ext4::format::checksum::ChecksumSeed;
use crate::ext4::format::dir_entry::DirEntry;
use crate::ext4::format::directory::DirFormat;
use crate::ext4::format::name_hash::HashSeed;
use crate::ext4::number::InodeNumber;

#[test]
fn names_that_no_directory_holds_are_refused() {
    let format = DirFormat { checksum_seed: None, hash_seed: HashSeed::default() };
    for (name, reason) in [
        (&b""[..], "empty"),
        (b".", "reserved"),
        (b"..", "reserved"),
        (b"a/b", "holds NUL or a slash"),
        (b"a\0b", "holds NUL or a slash"),
        (&[b'n'; 256], "longer than 255 bytes"),
    ] {
        let entries = [&b"good"[..], name].map(|name| DirEntry { name, inode: InodeNumber::new(12), file_type: 1 });
        let error = DirectoryPlan::new(&entries, &format, 1).unwrap_err();
        assert_eq!(error, DirError::Name { index: 1, length: name.len(), reason });
    }
}

#[test]
#[ignore = "check-full: four million names take half a minute in a debug build"]
fn a_directory_beyond_two_levels_of_index_is_refused() {
    let format = DirFormat { checksum_seed: Some(ChecksumSeed::NONE), hash_seed: HashSeed::default() };
    let mut random = fastrand::Rng::with_seed(9);
    let text: Vec<u8> = (0..4_000_255).map(|_| random.u8(b'a'..=b'z')).collect();
    let entries: Vec<DirEntry<'_>> =
        text.windows(255).map(|name| DirEntry { name, inode: InodeNumber::new(12), file_type: 1 }).collect();
    // 15 names of 264 bytes fit a leaf, 12 when it keeps a fifth free; the index reaches 507 * 510 leaves.
    let reach = 507 * 510;
    assert_eq!(DirectoryPlan::new(&entries[..12 * reach], &format, 1).unwrap().blocks, 1 + 507 + 258_570);
    assert!(DirectoryPlan::new(&entries[..15 * reach], &format, 1).is_ok());
    let error = DirectoryPlan::new(&entries[..=15 * reach], &format, 1).unwrap_err();
    assert_eq!(error, DirError::TooLarge { entries: 15 * reach + 1, leaves: reach + 1, limit: reach });
}
