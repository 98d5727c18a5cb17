//! A file system object that is examined without being followed or opened.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{getxattr, lgetxattr, listxattr, llistxattr};
use rustix::io::Errno;

use super::os;

/// An entry of an open directory. On Linux a descriptor pins the inode, so that all queries are about the same one whatever
/// happens to the name; elsewhere it is looked up by its path.
#[derive(Debug)]
pub struct PinnedInode {
    file: Option<File>,
    path: PathBuf,
}

impl PinnedInode {
    /// The entry `name` of `directory`; `path` leads to the same entry.
    ///
    /// # Errors
    /// When there is no such entry; others as the system reports them.
    pub fn new(directory: BorrowedFd<'_>, name: &OsStr, path: PathBuf) -> io::Result<Self> {
        Ok(Self { file: os::open_node(directory, name)?, path })
    }

    /// Its attributes.
    ///
    /// # Errors
    /// As the system reports them.
    pub fn metadata(&self) -> io::Result<Metadata> {
        match &self.file {
            Some(file) => file.metadata(),
            None => fs::symlink_metadata(&self.path),
        }
    }

    /// The target of a symbolic link.
    ///
    /// # Errors
    /// As the system reports them.
    pub fn read_link(&self) -> io::Result<OsString> {
        match &self.file {
            Some(file) => Ok(OsString::from_vec(rustix::fs::readlinkat(file.as_fd(), "", Vec::new())?.into_bytes())),
            None => fs::read_link(&self.path).map(PathBuf::into_os_string),
        }
    }

    /// The names and values of all its extended attributes.
    ///
    /// # Errors
    /// As the system reports them.
    pub fn xattrs(&self) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        if let Some(path) = self.file.as_ref().and_then(os::path_of) {
            return all(|buffer| listxattr(&path, buffer), |name, buffer| getxattr(&path, name, buffer));
        }
        let path: &Path = &self.path;
        all(|buffer| llistxattr(path, buffer), |name, buffer| lgetxattr(path, name, buffer))
    }
}

fn all(
    list: impl Fn(&mut [u8]) -> rustix::io::Result<usize>,
    get: impl Fn(&[u8], &mut [u8]) -> rustix::io::Result<usize>,
) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let list = match whole(list) {
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        list => list?,
    };
    let mut found = Vec::new();
    for name in list.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        match whole(|buffer| get(name, buffer)) {
            Ok(value) => found.push((name.to_vec(), value)),
            // Removed meanwhile, or listed but not readable.
            Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

/// Repeats a call with a growing buffer until the result fits.
fn whole(call: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    let mut buffer = vec![0; 256];
    loop {
        match call(&mut buffer[..]) {
            Ok(len) => {
                buffer.truncate(len);
                return Ok(buffer);
            }
            // The kernel allows 64 KiB for either.
            Err(Errno::RANGE) if buffer.len() <= 1 << 20 => buffer.resize(buffer.len() * 4, 0),
            Err(error) => return Err(error),
        }
    }
}
