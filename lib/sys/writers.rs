//! Who could change a file or directory, or the names in it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// The mode bits that let the group and everybody write.
pub const WRITE_BY_OTHERS: u32 = 0o022;

/// The mode bit of a directory in which only owners may remove and rename (sticky).
const STICKY: u32 = 0o1000;

/// Who, other than this user and root, may write to what has this metadata, in words for messages; `None` if nobody may.
///
/// In a sticky directory nobody can replace our files, and those that others add are recognised by their owner.
#[must_use]
pub fn other_writers(meta: &Metadata) -> Option<String> {
    let is_sticky = meta.is_dir() && meta.mode() & STICKY != 0;
    match (meta.uid(), meta.mode()) {
        (uid, _) if uid != 0 && uid != rustix::process::geteuid().as_raw() => Some(format!("user {uid} owns it")),
        _ if is_sticky => None,
        (_, mode) if mode & 0o002 != 0 => Some("anybody may write to it".to_owned()),
        (_, mode) if mode & WRITE_BY_OTHERS != 0 => Some(format!("group {} may write to it", meta.gid())),
        _ => None,
    }
}
