//! Temporary names that are removed however the process ends: when a signal ends it, or, after a SIGKILL, by the next run.
//!
//! The owner of a temporary file holds a lock on it, which ends with the process; so a file that can be locked belongs to a
//! dead process, and may be removed. The first names are the same in every run, so that leftovers are found.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, Once, TryLockError, mpsc};
use std::thread;

use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGPROF, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGVTALRM, SIGXCPU};
use signal_hook::iterator::SignalsInfo;

use super::lock::try_lock;
use super::locked;
use super::open::open_no_link;
use super::process_status::bit_set;

/// How many fixed names are tried before random ones.
const SHARED: u32 = 8;
const TRIES: u32 = 100;

/// The temporary names of this process.
static NAMES: Mutex<Vec<RegisteredName>> = Mutex::new(Vec::new());
static WATCH: Once = Once::new();

fn names() -> MutexGuard<'static, Vec<RegisteredName>> {
    locked(&NAMES)
}

#[derive(Debug)]
struct RegisteredName {
    path: PathBuf,
    /// The path to which the file is to be restored.
    restore_to: Option<PathBuf>,
}

impl RegisteredName {
    fn remove(self) {
        let Self { path, restore_to } = self;
        // rename(2) does nothing if both are names of the same file; the temporary one is removed in any case.
        let restored = restore_to.map(|target| (fs::rename(&path, &target), target));
        if let Some((Err(error), target)) = restored {
            log::warn!("{}: what was there before is now {}: {error}", target.display(), path.display());
            return;
        }
        match fs::remove_file(&path) {
            // It may be gone.
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                log::warn!("{}: cannot be removed, which the next run tries again: {error}", path.display());
            }
            _ => {}
        }
    }
}

/// A name that is removed when this is dropped, or when a signal ends the process.
#[derive(Debug)]
pub(super) struct TemporaryName(PathBuf);

impl TemporaryName {
    /// Has `make` create a file in `dir` under a free name that begins with `stem`. `make` returns the file, which must
    /// be locked, or [`io::ErrorKind::AlreadyExists`].
    pub(super) fn make<T>(dir: &Path, stem: &str, make: impl Fn(&Path) -> io::Result<T>) -> io::Result<(T, Self)> {
        WATCH.call_once(watch);
        for attempt in 0..TRIES {
            let name = match attempt {
                ..SHARED => format!("{stem}-{attempt}"),
                _ => format!("{stem}-{:016x}", fastrand::u64(..)),
            };
            let path = dir.join(name);
            remove_if_dead(&path);
            // The signal handler waits for this lock, so it finds either no file or its name.
            let mut names = names();
            match make(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(made) => {
                    names.push(RegisteredName { path: path.clone(), restore_to: None });
                    return Ok((made, Self(path)));
                }
            }
        }
        Err(io::Error::other("no free temporary name"))
    }

    /// Renames the file to `target`, which is not temporary.
    pub(super) fn persist(self, target: &Path) -> io::Result<()> {
        let mut names = names();
        fs::rename(&self.0, target)?;
        names.retain(|name| name.path != self.0);
        Ok(())
    }

    /// Registers `path` as temporary, although it does not look like it.
    pub(super) fn of(path: &Path) -> Self {
        WATCH.call_once(watch);
        names().push(RegisteredName { path: path.into(), restore_to: None });
        Self(path.into())
    }

    /// Sets where to restore the file when this name is removed, if anywhere.
    pub(super) fn restore_to(&self, path: Option<&Path>) {
        if let Some(name) = names().iter_mut().find(|name| name.path == self.0) {
            name.restore_to = path.map(PathBuf::from);
        }
    }

    /// The name is not temporary any more.
    pub(super) fn keep(self) {
        names().retain(|name| name.path != self.0);
    }
}

impl Drop for TemporaryName {
    fn drop(&mut self) {
        let mut names = names();
        if let Some(at) = names.iter().position(|name| name.path == self.0) {
            names.swap_remove(at).remove();
        }
    }
}

/// Removes all temporary names of this process, which is about to end. If a thread is just changing them, they are left to
/// the next run.
pub fn remove_temporary_names() {
    let names = match NAMES.try_lock() {
        Ok(names) => names,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return,
    };
    remove_all(names);
}

/// Also puts back files that were replaced, but not yet for good.
fn remove_all(mut names: MutexGuard<'_, Vec<RegisteredName>>) {
    names.drain(..).for_each(RegisteredName::remove);
}

/// A new, locked file at `path`.
pub(super) fn create_locked(path: &Path) -> io::Result<File> {
    let file = File::options().read(true).write(true).create_new(true).mode(0o666).open(path)?;
    // Another run may have found it before it was locked, and be about to remove it. Without locks that cannot happen.
    match try_lock(&file) {
        Ok(false) => Err(io::ErrorKind::AlreadyExists.into()),
        Ok(true) if !is_at(&file, path) => Err(io::ErrorKind::AlreadyExists.into()),
        Ok(true) | Err(_) => Ok(file),
    }
}

/// Removes what a dead process of the same user left at `path`.
fn remove_if_dead(path: &Path) {
    let Ok(file) = open_no_link(path) else { return };
    let ours = |meta: fs::Metadata| meta.is_file() && meta.uid() == rustix::process::geteuid().as_raw();
    if file.metadata().is_ok_and(ours) && matches!(try_lock(&file), Ok(true)) && is_at(&file, path) {
        log::info!("{}: removing what a run that was killed left", path.display());
        let _ = fs::remove_file(path);
    }
}

/// Whether `file` is still at `path`.
fn is_at(file: &File, path: &Path) -> bool {
    let id = |meta: fs::Metadata| (meta.dev(), meta.ino());
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(file), Ok(named)) => id(file) == id(named),
        _ => false,
    }
}

/// Signals that end a process by default, except those caused by its own faults.
const DEADLY: [i32; 10] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGALRM, SIGPROF, SIGUSR1, SIGUSR2, SIGVTALRM, SIGXCPU];

fn watch() {
    // Start the thread first: with handlers but no thread, the process could not be stopped.
    let (send, receive) = mpsc::channel::<SignalsInfo>();
    let watching = thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let Ok(mut signals) = receive.recv() else { return };
        if let Some(signal) = signals.forever().next() {
            remove_all(names());
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    });
    // Signals that nohup(1) or a shell made us ignore stay ignored.
    let ignored = bit_set("SigIgn").unwrap_or(0);
    let heard = DEADLY.iter().filter(|signal| ignored & (1 << (*signal - 1)) == 0);
    if watching.is_err() {
        return;
    }
    if let Ok(signals) = SignalsInfo::new(heard) {
        // The thread is waiting for them.
        let _ = send.send(signals);
    }
}
