use super::Timestamp;

/// The attributes that every inode has.
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
    /// The attributes of a directory that no layer describes: 0755 0:0 at time 0 (rules F6, E11).
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

/// What an inode is. `C` locates the content of a regular file (a spool range, ext4 extents), `T` is the type of a symbolic
/// link's target.
///
/// There is no hard link here: that is another name of an inode, not a kind of inode (see [`Entry`](super::Entry)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind<C, T = Box<[u8]>> {
    /// A directory.
    Directory,
    /// A regular file with its content.
    File(C),
    /// A symbolic link with its target, verbatim.
    Symlink(T),
    /// A character device.
    CharDevice(Device),
    /// A block device.
    BlockDevice(Device),
    /// A named pipe.
    Fifo,
}

impl<C, T> NodeKind<C, T> {
    /// The same kind with other content.
    pub fn map<D>(self, content: impl FnOnce(C) -> D) -> NodeKind<D, T> {
        let mapped: Result<_, std::convert::Infallible> = self.try_map(|inner| Ok(content(inner)));
        match mapped {
            Ok(kind) => kind,
            Err(never) => match never {},
        }
    }

    /// Like [`NodeKind::map`], for a fallible function.
    ///
    /// # Errors
    /// Those of `content`.
    pub fn try_map<D, E>(self, content: impl FnOnce(C) -> Result<D, E>) -> Result<NodeKind<D, T>, E> {
        Ok(match self {
            Self::Directory => NodeKind::Directory,
            Self::File(inner) => NodeKind::File(content(inner)?),
            Self::Symlink(target) => NodeKind::Symlink(target),
            Self::CharDevice(device) => NodeKind::CharDevice(device),
            Self::BlockDevice(device) => NodeKind::BlockDevice(device),
            Self::Fifo => NodeKind::Fifo,
        })
    }
}

impl<C, T: AsRef<[u8]>> NodeKind<C, T> {
    /// The same kind, borrowed.
    pub fn as_deref(&self) -> NodeKind<&C, &[u8]> {
        match self {
            Self::Directory => NodeKind::Directory,
            Self::File(content) => NodeKind::File(content),
            Self::Symlink(target) => NodeKind::Symlink(target.as_ref()),
            Self::CharDevice(device) => NodeKind::CharDevice(*device),
            Self::BlockDevice(device) => NodeKind::BlockDevice(*device),
            Self::Fifo => NodeKind::Fifo,
        }
    }
}
