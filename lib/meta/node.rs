use super::Timestamp;

/// The attributes every inode has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Permission bits with setuid, setgid and sticky: the low 12 bits of `st_mode`.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of last modification.
    pub mtime: Timestamp,
}

impl Metadata {
    /// What a directory has that no layer describes: 0755 0:0 at time 0 (rules F6, E11).
    pub const IMPLIED_DIRECTORY: Self = Self { mode: 0o755, uid: 0, gid: 0, mtime: Timestamp::EPOCH };
}

/// A device number, split as in `stat(1)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Device {
    /// Driver.
    pub major: u32,
    /// Unit.
    pub minor: u32,
}

/// What an inode is. `C` says where a regular file's content stands (a spool range, ext4 extents).
///
/// A hard link is not here: it is a second name of an inode, not a kind of inode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeKind<C> {
    /// A directory.
    Directory,
    /// A regular file with its content.
    File(C),
    /// A symbolic link with its target, verbatim.
    Symlink(Box<[u8]>),
    /// A character device.
    CharDevice(Device),
    /// A block device.
    BlockDevice(Device),
    /// A named pipe.
    Fifo,
}
