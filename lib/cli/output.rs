//! Output that appears complete or not at all (S2).

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use clap::builder::{PathBufValueParser, TypedValueParser};
use rustix::io::Errno;

use super::link::{is_planted, parent, resolve};
use crate::ext4::Options;
use crate::meta::escape;
use crate::sys::{NewFile, Replaced, open_device, standard_output};
use crate::verity::{self, Levels};

/// Why an output could not be opened or put in place.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {what}")]
pub struct OutputError {
    path: String,
    what: &'static str,
    #[source]
    source: Option<io::Error>,
}

/// Parses the name of an output: anything but `-`, since outputs cannot go to standard output.
pub(super) fn output_name() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|name| {
        if name.as_os_str() == "-" {
            Err("it cannot go to standard output: name a file, or ./- for one of that name")
        } else {
            Ok(name)
        }
    })
}

/// A file that replaces its target only in [`Output::commit`], or a block device written in place.
///
/// If it is dropped without a commit, the target stays as it was and nothing is left behind. Where the file system
/// supports `O_TMPFILE`, the new file has no name until then, so that not even SIGKILL leaves it behind.
#[derive(Debug)]
pub struct Output {
    target: PathBuf,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    New(NewFile),
    InPlace { file: File, device_size: Option<u64> },
}

impl Output {
    /// Opens a new file that is to become `target`. A symbolic link is followed, as a shell's `>` does.
    ///
    /// # Errors
    /// When the directory cannot be written, or `target` exists and is neither a regular file nor a block device.
    pub fn create(target: &Path) -> Result<Self, OutputError> {
        let fail = |what| fail(target, what);
        let resolved = resolve(target).map_err(fail("cannot be resolved"))?;
        match std::fs::metadata(&resolved) {
            Ok(meta) if meta.file_type().is_block_device() => {
                let kind = device(&resolved).map_err(fail("cannot be opened"))?;
                return Ok(Self { target: resolved, kind });
            }
            Ok(meta) if meta.is_file() => {}
            Ok(meta) if meta.is_dir() => {
                return Err(OutputError::new(target, "is a directory: name a file in it", None));
            }
            Ok(_) => return Err(OutputError::new(target, "is neither a regular file nor a block device", None)),
            // A link that /proc makes up, as /dev/fd/1 is for a pipe, leads to no path.
            Err(error) if error.kind() == io::ErrorKind::NotFound && target.exists() => {
                return Err(OutputError::new(target, "is neither a regular file nor a block device", None));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(fail("cannot be examined")(error)),
        }
        let new = NewFile::new_in(parent(&resolved), &stem(&resolved)).map_err(|error| {
            match Errno::from_io_error(&error) {
                Some(Errno::NOENT) => {
                    OutputError::new(target, "its directory does not exist: make it, or name another", None)
                }
                Some(Errno::ACCESS) => {
                    OutputError::new(target, "cannot be created: its directory cannot be written", None)
                }
                _ => fail("cannot be created")(error),
            }
        })?;
        Ok(Self { target: resolved, kind: Kind::New(new) })
    }

    /// Opens the existing file or device at `target` to write into it, as `--offset` needs.
    ///
    /// # Errors
    /// When it does not exist or cannot be written.
    pub fn in_place(target: &Path) -> Result<Self, OutputError> {
        let fail = |source| OutputError::new(target, "cannot be opened for writing", Some(source));
        let resolved = resolve(target).map_err(fail)?;
        let meta = std::fs::metadata(&resolved).map_err(fail)?;
        if !meta.is_file() && !meta.file_type().is_block_device() {
            return Err(OutputError::new(target, "is neither a regular file nor a block device", None));
        }
        let kind = if meta.is_file() {
            let file = OpenOptions::new().read(true).write(true).open(&resolved).map_err(fail)?;
            Kind::InPlace { file, device_size: None }
        } else {
            device(&resolved).map_err(fail)?
        };
        Ok(Self { target: resolved, kind })
    }

    /// The file to write to.
    #[must_use]
    pub fn file(&self) -> &File {
        match &self.kind {
            Kind::New(new) => new.file(),
            Kind::InPlace { file, .. } => file,
        }
    }

    /// The path of the target.
    #[must_use]
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Whether the target itself is being written to: a block device, or part of a disk image.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        matches!(self.kind, Kind::InPlace { .. })
    }

    /// The size limit for a file system written in place, in bytes: that of the block device, or of the disk image from
    /// `offset` on. `verity` says that a hash tree follows it.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn room(&self, offset: u64, verity: bool) -> io::Result<Option<u64>> {
        let length = match &self.kind {
            Kind::New(_) => return Ok(None),
            Kind::InPlace { device_size: Some(size), .. } => *size,
            Kind::InPlace { file, device_size: None } => file.metadata()?.len(),
        };
        let room = length.saturating_sub(offset);
        if !verity {
            return Ok(Some(room));
        }
        Ok(Some(Levels::most_data(room / verity::BLOCK_BYTES) * verity::BLOCK_BYTES))
    }

    /// Gives `image` the size of the block device, if the output is one and no size was asked for.
    ///
    /// # Errors
    /// When the target is smaller than the size asked for: a target that is written in place cannot grow.
    pub fn fit(&self, mut image: Options, verity: bool) -> io::Result<Options> {
        let Some(room) = self.room(image.offset, verity)? else { return Ok(image) };
        let size = *image.size.get_or_insert(room);
        if size > room {
            let what = match self.kind {
                Kind::InPlace { device_size: Some(_), .. } => "the device",
                _ => "the disk image",
            };
            let from = if image.offset > 0 { format!(" from byte {} on", image.offset) } else { String::new() };
            let tree = if verity { " and its hash tree" } else { "" };
            let text =
                format!("{what} has only room for {room} bytes of file system{tree}{from}, {size} are asked for");
            return Err(io::Error::other(text));
        }
        Ok(image)
    }

    /// Whether writing in place would overwrite `input`: both are the same file or device.
    #[must_use]
    pub fn writes_over(&self, input: &File) -> bool {
        let (Ok(input), Ok(output)) = (input.metadata(), self.file().metadata()) else { return false };
        self.is_in_place() && are_same(&input, &output)
    }

    /// Whether both are the same file or device, or are to have the same name.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        let place = |output: &Self| {
            let directory = std::fs::metadata(parent(&output.target)).ok()?;
            Some((directory.dev(), directory.ino(), output.target.file_name()?.to_owned()))
        };
        place(self).is_some_and(|own| place(other) == Some(own)) || other.writes_over(self.file())
    }

    /// Fails if standard output is the same file or device: what this filter writes there would be lost, or damage the
    /// target.
    ///
    /// # Errors
    /// When it is.
    pub fn require_other_than_stdout(&self) -> Result<(), OutputError> {
        match (standard_output(), std::fs::metadata(&self.target)) {
            (Some(stdout), Ok(target)) if are_same(&stdout, &target) => {
                Err(OutputError::new(&self.target, "is standard output too", None))
            }
            _ => Ok(()),
        }
    }

    /// Replaces the target. With `fsync`, the content is on disk before that, and the new name afterwards.
    ///
    /// # Errors
    /// When a step fails; the target is then as it was.
    pub fn commit(self, fsync: bool) -> Result<(), OutputError> {
        let Self { target, kind } = self;
        let new = match kind {
            Kind::InPlace { file, .. } if fsync => return file.sync_all().map_err(fail(&target, "cannot be synced")),
            Kind::InPlace { .. } => return Ok(()),
            Kind::New(new) => new,
        };
        take_over_permissions(new.file(), &target)?;
        if !fsync {
            return new.persist(&target).map_err(fail(&target, "cannot be put in place"));
        }
        new.file().sync_all().map_err(fail(&target, "cannot be synced"))?;
        let replaced = new.replace(&target).map_err(fail(&target, "cannot be put in place"))?;
        let synced = File::open(parent(&target)).and_then(|dir| dir.sync_all());
        synced.map_err(fail(&target, "its directory cannot be synced"))?;
        replaced.keep();
        Ok(())
    }

    /// Replaces the target, to be undone unless [`Replaced::keep`] is called.
    ///
    /// # Errors
    /// When a step fails, which leaves the target as it was, or when the target is written in place.
    pub fn replace(self) -> Result<Replaced, OutputError> {
        let Self { target, kind } = self;
        let Kind::New(new) = kind else {
            return Err(OutputError::new(&target, "is written in place, and that cannot be undone", None));
        };
        take_over_permissions(new.file(), &target)?;
        new.replace(&target).map_err(fail(&target, "cannot be put in place"))
    }
}

/// Whether both are the same file or block device.
fn are_same(a: &Metadata, b: &Metadata) -> bool {
    if a.file_type().is_block_device() && b.file_type().is_block_device() {
        a.rdev() == b.rdev()
    } else {
        (a.dev(), a.ino()) == (b.dev(), b.ino())
    }
}

/// The new file inherits the permissions of the one it replaces, unless another user may have planted that one.
fn take_over_permissions(new: &File, target: &Path) -> Result<(), OutputError> {
    let Ok(old) = std::fs::metadata(target) else { return Ok(()) };
    if is_planted(&old, parent(target)).unwrap_or(true) {
        return Ok(());
    }
    let mode = std::fs::Permissions::from_mode(old.permissions().mode() & 0o7777);
    new.set_permissions(mode).map_err(fail(target, "cannot take over the permissions"))
}

fn fail(target: &Path, what: &'static str) -> impl FnOnce(io::Error) -> OutputError {
    move |source| OutputError::new(target, what, Some(source))
}

impl OutputError {
    fn new(path: &Path, what: &'static str, source: Option<io::Error>) -> Self {
        Self { path: escape(path.as_os_str().as_encoded_bytes()), what, source }
    }
}

/// The start of the temporary name for a new file at `target`, the same in every run.
fn stem(target: &Path) -> String {
    let name = target.file_name().unwrap_or_default();
    format!(".oci2ext4-{:08x}", crc32c::crc32c(name.as_encoded_bytes()))
}

fn device(path: &Path) -> io::Result<Kind> {
    let (file, size) = open_device(path)?;
    Ok(Kind::InPlace { file, device_size: Some(size) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use std::io::Write;

    use super::*;

    fn listing(dir: &Path) -> Vec<PathBuf> {
        std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect()
    }

    #[test]
    fn without_a_commit_the_target_is_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("disk");
        std::fs::write(&target, "old").unwrap();
        let output = Output::create(&target).unwrap();
        output.file().write_all(b"new").unwrap();
        drop(output);
        assert_eq!(std::fs::read(&target).unwrap(), b"old");
        assert_eq!(listing(dir.path()), [target]);
    }

    #[test]
    fn a_commit_replaces_the_target_and_keeps_its_permissions() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("disk");
        for (text, fsync) in [("first", false), ("second", true)] {
            let output = Output::create(&target).unwrap();
            output.file().write_all(text.as_bytes()).unwrap();
            output.commit(fsync).unwrap();
            assert_eq!(std::fs::read(&target).unwrap(), text.as_bytes());
            assert_eq!(listing(dir.path()), std::slice::from_ref(&target));
            std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o640)).unwrap();
        }
        Output::create(&target).unwrap().commit(false).unwrap();
        assert_eq!(std::fs::metadata(&target).unwrap().permissions().mode() & 0o7777, 0o640);
    }

    #[test]
    fn links_are_followed_and_directories_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("disk"), dir.path().join("link"));
        std::os::unix::fs::symlink("disk", &link).unwrap();
        Output::create(&link).unwrap().commit(false).unwrap();
        assert!(target.is_file() && link.is_symlink());
        let error = Output::create(dir.path()).unwrap_err();
        assert!(error.to_string().contains("is a directory: name a file in it"), "{error}");
    }
}
