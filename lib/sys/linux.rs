//! The Linux implementation.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::{AtFlags, CWD, FallocateFlags, Mode, OFlags, ResolveFlags, inotify, openat2};
use rustix::io::{Errno, retry_on_intr};

use super::open::open_at;

/// The most bytes that one call of sendfile(2) moves.
const SENDFILE_MAX: usize = 0x7fff_f000;

/// Asks for a pipe capacity of `bytes`, which saves context switches between the filters. Anything but a pipe, or a pipe
/// that may not become so large, stays as it is.
pub fn widen_pipe(fd: impl AsFd, bytes: usize) {
    let _ = rustix::pipe::fcntl_setpipe_size(fd, bytes);
}

/// Moves up to `len` bytes of `file` from `at` on into `out` within the kernel; returns how many, 0 at the end of the file.
///
/// # Errors
/// [`io::ErrorKind::Unsupported`] if the kernel cannot do this for these two files, [`io::ErrorKind::WouldBlock`] if `out`
/// is non-blocking and full; others as the system reports them.
pub fn send(out: BorrowedFd<'_>, file: &File, at: &mut u64, len: u64) -> io::Result<usize> {
    let count = usize::try_from(len).unwrap_or(usize::MAX).min(SENDFILE_MAX);
    match rustix::fs::sendfile(out, file.as_fd(), Some(at), count) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Err(io::ErrorKind::Unsupported.into()),
        sent => Ok(sent?),
    }
}

/// Fills `bytes` by the system call, because a minimal root has no /dev/urandom.
///
/// # Errors
/// When the system has no random bytes.
pub fn random(bytes: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < bytes.len() {
        match rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(got) => filled += got,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A new file in `dir` without a name; `None` if that is not supported, or if the file could never get a name because /proc
/// is missing, as in a bare chroot.
pub(super) fn unnamed(dir: &Path) -> io::Result<Option<File>> {
    match open_at(CWD, dir, OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, Mode::from_raw_mode(0o666)) {
        Ok(fd) if Path::new(&by_descriptor(&fd)).exists() => Ok(Some(fd.into())),
        Ok(_) | Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOSYS) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Gives an unnamed file the name `path`, which must be free.
pub(super) fn link_unnamed(file: &File, path: &Path) -> io::Result<()> {
    Ok(rustix::fs::linkat(CWD, by_descriptor(file), CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

/// Opens a path below a directory, following no symbolic link; `None` if the system lacks the call, or a filter forbids it.
pub(super) fn open_beneath(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> io::Result<Option<File>> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match retry_on_intr(|| openat2(root, path, flags, Mode::empty(), resolve)) {
        Ok(file) => Ok(Some(file.into())),
        Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A descriptor that refers to `name` in `directory`, even if it is a symbolic link.
pub(super) fn open_node(directory: BorrowedFd<'_>, name: &OsStr) -> io::Result<Option<File>> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(Some(open_at(directory, name, flags, Mode::empty())?.into()))
}

/// A path that leads to this very inode; `None` without /proc.
pub(super) fn path_of(file: &File) -> Option<PathBuf> {
    let path = PathBuf::from(by_descriptor(file));
    path.symlink_metadata().is_ok().then_some(path)
}

/// A path for an open file, valid as long as it is open.
fn by_descriptor(file: &impl AsRawFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// A path by which another process of this user can open the same file, as long as `file` is open here; see proc(5).
#[must_use]
pub fn path_of_open(file: &File) -> Option<PathBuf> {
    Some(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into())
}

/// Turns a range into a hole; the length does not change.
pub(super) fn punch(file: &File, offset: u64, len: u64) -> io::Result<()> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    Ok(retry_on_intr(|| rustix::fs::fallocate(file, flags, offset, len))?)
}

/// Makes a range read as zeros in whatever way is cheap for the file system or device; the length does not change.
pub(super) fn zero(file: &File, offset: u64, len: u64) -> io::Result<()> {
    let flags = FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE;
    Ok(retry_on_intr(|| rustix::fs::fallocate(file, flags, offset, len))?)
}

/// Whether lseek(2) can find holes.
pub(super) const SEEKS_HOLES: bool = true;

/// Opens a block device for reading and writing. The kernel refuses if it is mounted or otherwise in use.
pub(super) fn open_device(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(super::open_flags(OFlags::EXCL)).open(path)
}

/// Notices writes to a file.
#[derive(Debug)]
pub(super) struct OsWatch {
    events: OwnedFd,
    /// Readable after [`OsWatch::wake`].
    woken: OwnedFd,
}

impl OsWatch {
    /// Watches the inode of an open file, whatever its name.
    pub(super) fn new(file: &File) -> io::Result<Self> {
        let events = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)?;
        inotify::add_watch(&events, by_descriptor(file), inotify::WatchFlags::MODIFY)?;
        let woken = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Self { events, woken })
    }

    /// Waits for a write since the last call, or for [`OsWatch::wake`], but not longer than `at_most`.
    pub(super) fn wait(&self, at_most: Duration) -> io::Result<()> {
        let at_most = Timespec::try_from(at_most).ok();
        let mut fds = [&self.events, &self.woken].map(|fd| PollFd::new(fd, PollFlags::IN));
        match poll(&mut fds, at_most.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        // Discard the events: later writes cause new ones, and the kernel merges equal events.
        let mut buffer = [MaybeUninit::uninit(); 512];
        let mut reader = inotify::Reader::new(&self.events, &mut buffer);
        while reader.next().is_ok() {}
        Ok(())
    }

    /// Ends all waiting for good.
    pub(super) fn wake(&self) {
        // If this fails, the waiting side still times out after a while.
        let _ = rustix::io::write(&self.woken, &1_u64.to_ne_bytes());
    }
}
