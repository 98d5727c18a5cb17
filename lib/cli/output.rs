//! Output that appears whole or not at all (S2).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use super::message::escape;

/// Why an output could not be opened or put in place.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {what}")]
pub struct OutputError {
    path: String,
    what: &'static str,
    #[source]
    source: Option<io::Error>,
}

/// A file that takes the place of its target only in [`Output::commit`], or a block device written in place.
///
/// Dropped without a commit, the target is as it was and nothing is left behind. Where the file system has
/// `O_TMPFILE` the new file has no name until then, so that not even SIGKILL leaves it behind.
#[derive(Debug)]
pub struct Output {
    target: PathBuf,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Unnamed(File),
    Named(tempfile::NamedTempFile, cleanup::Guard),
    InPlace(File),
}

impl Output {
    /// Opens a new file that will stand at `target`. A symbolic link is followed, as a shell's `>` does.
    ///
    /// # Errors
    /// When the directory cannot be written, or `target` is neither absent, a regular file nor a block device.
    pub fn create(target: &Path) -> Result<Self, OutputError> {
        let fail = |what| move |source: io::Error| OutputError::new(target, what, Some(source));
        let resolved = resolve(target).map_err(fail("cannot be resolved"))?;
        match std::fs::metadata(&resolved) {
            Ok(meta) if meta.file_type().is_block_device() => {
                // O_EXCL: the kernel refuses a device that is mounted or otherwise in use.
                let exclusive = OFlags::EXCL.bits().cast_signed();
                let device = OpenOptions::new().read(true).write(true).custom_flags(exclusive).open(&resolved);
                let file = device.map_err(fail("cannot be opened"))?;
                return Ok(Self { target: resolved, kind: Kind::InPlace(file) });
            }
            Ok(meta) if meta.is_file() => {}
            Ok(meta) if meta.is_dir() => {
                return Err(OutputError::new(target, "is a directory: name a file in it", None));
            }
            Ok(_) => return Err(OutputError::new(target, "is neither a regular file nor a block device", None)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(fail("cannot be examined")(error)),
        }
        let kind = match rustix::fs::open(
            parent(&resolved),
            OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC,
            Mode::from_raw_mode(0o666),
        ) {
            // Without /proc, as in a bare chroot, it could never get a name.
            Ok(fd) if Path::new(&by_descriptor(&fd)).exists() => Kind::Unnamed(fd.into()),
            Ok(_) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR | rustix::io::Errno::INVAL) => {
                let temporary = named(&resolved).map_err(fail("cannot be created"))?;
                let guard = cleanup::Guard::new(temporary.path());
                Kind::Named(temporary, guard)
            }
            Err(rustix::io::Errno::NOENT) => {
                return Err(OutputError::new(target, "its directory does not exist: make it, or name another", None));
            }
            Err(rustix::io::Errno::ACCESS) => {
                return Err(OutputError::new(target, "cannot be created: its directory cannot be written", None));
            }
            Err(error) => return Err(fail("cannot be created")(error.into())),
        };
        Ok(Self { target: resolved, kind })
    }

    /// Opens the existing file or device at `target` to be written in place, as `--offset` needs.
    ///
    /// # Errors
    /// When it does not exist or cannot be written.
    pub fn in_place(target: &Path) -> Result<Self, OutputError> {
        let fail = |source| OutputError::new(target, "cannot be opened for writing", Some(source));
        let resolved = resolve(target).map_err(fail)?;
        let meta = std::fs::metadata(&resolved).map_err(fail)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        if meta.file_type().is_block_device() {
            options.custom_flags(OFlags::EXCL.bits().cast_signed());
        } else if !meta.is_file() {
            return Err(OutputError::new(target, "is neither a regular file nor a block device", None));
        }
        let file = options.open(&resolved).map_err(fail)?;
        Ok(Self { target: resolved, kind: Kind::InPlace(file) })
    }

    /// The file to write to.
    #[must_use]
    pub fn file(&self) -> &File {
        match &self.kind {
            Kind::Unnamed(file) | Kind::InPlace(file) => file,
            Kind::Named(file, _) => file.as_file(),
        }
    }

    /// Whether the target itself is being written: a block device, or part of a disk image.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        matches!(self.kind, Kind::InPlace(_))
    }

    /// Whether writing changes what `input` is still to be read from: both are the same file or device, in place.
    #[must_use]
    pub fn writes_over(&self, input: &File) -> bool {
        let (Ok(input), Ok(output)) = (input.metadata(), self.file().metadata()) else { return false };
        let devices = input.file_type().is_block_device() && output.file_type().is_block_device();
        let same = (input.dev(), input.ino()) == (output.dev(), output.ino());
        self.is_in_place() && if devices { input.rdev() == output.rdev() } else { same }
    }

    /// Puts the file in its target's place. With `fsync` it is on disk before that, and the new name is after.
    ///
    /// # Errors
    /// When a step fails; the target is then as it was.
    pub fn commit(self, fsync: bool) -> Result<(), OutputError> {
        let Self { target, kind } = self;
        let target = target.as_path();
        let fail = |what| move |source: io::Error| OutputError::new(target, what, Some(source));
        let file = match &kind {
            Kind::Unnamed(file) | Kind::InPlace(file) => file,
            Kind::Named(file, _) => file.as_file(),
        };
        if fsync {
            file.sync_all().map_err(fail("cannot be synced"))?;
        }
        if matches!(kind, Kind::InPlace(_)) {
            return Ok(());
        }
        if let Ok(old) = std::fs::metadata(target) {
            // A file that is replaced keeps its permissions.
            let mode = std::fs::Permissions::from_mode(old.permissions().mode() & 0o7777);
            file.set_permissions(mode).map_err(fail("cannot take over the permissions"))?;
        }
        match kind {
            Kind::InPlace(_) => {}
            Kind::Unnamed(file) => link(&file, target).map_err(fail("cannot be put in place"))?,
            Kind::Named(file, guard) => {
                file.persist(target).map_err(|e| fail("cannot be put in place")(e.error))?;
                drop(guard);
            }
        }
        if fsync {
            File::open(parent(target))
                .and_then(|dir| dir.sync_all())
                .map_err(fail("its directory cannot be synced"))?;
        }
        Ok(())
    }
}

impl OutputError {
    fn new(path: &Path, what: &'static str, source: Option<io::Error>) -> Self {
        Self { path: escape(path.as_os_str().as_encoded_bytes()), what, source }
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// `target` with a symbolic link at its end followed, also one that leads to a file which is not there yet.
fn resolve(target: &Path) -> io::Result<PathBuf> {
    let mut path = target.to_path_buf();
    for _ in 0..40 {
        match std::fs::read_link(&path) {
            Ok(link) => path = parent(&path).join(link),
            Err(_) => return Ok(path),
        }
    }
    Err(rustix::io::Errno::LOOP.into())
}

fn named(target: &Path) -> io::Result<tempfile::NamedTempFile> {
    tempfile::Builder::new()
        .prefix(".tar2ext4-")
        .permissions(std::fs::Permissions::from_mode(0o666))
        .tempfile_in(parent(target))
}

/// The name that an open file has as long as it is open.
fn by_descriptor(file: &impl AsRawFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// Gives an unnamed file the name `target`. linkat(2) cannot replace a file, so where there is one the new file gets a
/// temporary name first and is renamed over it.
fn link(file: &File, target: &Path) -> io::Result<()> {
    let by_descriptor = by_descriptor(file);
    let link_to = |path: &Path| rustix::fs::linkat(CWD, by_descriptor.as_str(), CWD, path, AtFlags::SYMLINK_FOLLOW);
    match link_to(target) {
        Err(rustix::io::Errno::EXIST) => {}
        other => return Ok(other?),
    }
    for _ in 0..100 {
        let name = format!(".tar2ext4-{:016x}", fastrand::u64(..));
        let temporary = parent(target).join(name);
        let guard = cleanup::Guard::new(&temporary);
        match link_to(&temporary) {
            Err(rustix::io::Errno::EXIST) => {
                guard.keep();
                continue;
            }
            other => other?,
        }
        std::fs::rename(&temporary, target)?;
        guard.keep();
        return Ok(());
    }
    Err(io::Error::other("no free temporary name"))
}

/// Removes temporary names when the process is told to stop.
mod cleanup {
    use std::path::{Path, PathBuf};
    use std::sync::{Mutex, MutexGuard, Once, PoisonError};

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

    static NAMES: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
    static WATCH: Once = Once::new();

    fn names() -> MutexGuard<'static, Vec<PathBuf>> {
        NAMES.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// While it lives, SIGINT, SIGTERM and SIGHUP remove the name before they end the process; so does its drop.
    #[derive(Debug)]
    pub(super) struct Guard(PathBuf);

    impl Guard {
        pub(super) fn new(name: &Path) -> Self {
            WATCH.call_once(watch);
            names().push(name.to_path_buf());
            Self(name.to_path_buf())
        }

        /// The name is no longer ours to remove.
        pub(super) fn keep(self) {
            names().retain(|name| *name != self.0);
        }
    }

    impl Drop for Guard {
        fn drop(&mut self) {
            let mut names = names();
            if let Some(at) = names.iter().position(|name| *name == self.0) {
                names.swap_remove(at);
                // The file may be gone already.
                let _ = std::fs::remove_file(&self.0);
            }
        }
    }

    fn watch() {
        let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM]) else { return };
        std::thread::spawn(move || {
            if let Some(signal) = signals.forever().next() {
                for name in names().drain(..) {
                    let _ = std::fs::remove_file(name);
                }
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
        });
    }
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
    fn a_file_system_without_unnamed_files_gets_a_named_one() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("disk");
        for commit in [false, true] {
            let file = named(&target).unwrap();
            let guard = cleanup::Guard::new(file.path());
            let output = Output { target: target.clone(), kind: Kind::Named(file, guard) };
            output.file().write_all(b"new").unwrap();
            if commit {
                output.commit(false).unwrap();
                assert_eq!(std::fs::read(&target).unwrap(), b"new");
            } else {
                drop(output);
                assert!(listing(dir.path()).is_empty());
            }
        }
        assert_eq!(listing(dir.path()), [target]);
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
