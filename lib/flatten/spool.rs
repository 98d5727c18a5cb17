//! Spool files: decoded layers that nobody but us can see, gone when we are, however we end.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::LayerError;

/// A file without a name that one worker fills with one decoded layer after the other.
#[derive(Debug)]
pub(super) struct Spool {
    dir: PathBuf,
    file: Option<Arc<File>>,
    end: u64,
}

impl Spool {
    /// A spool in `dir`; the file is made with the first byte.
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir, file: None, end: 0 }
    }

    /// The file, made when there is none.
    pub(super) fn file(&mut self) -> Result<Arc<File>, LayerError> {
        if let Some(file) = &self.file {
            return Ok(Arc::clone(file));
        }
        // With O_TMPFILE it never has a name; elsewhere it loses it at once.
        let file = tempfile::tempfile_in(&self.dir).map_err(|source| self.error(source))?;
        Ok(Arc::clone(self.file.insert(Arc::new(file))))
    }

    /// Where the next byte goes.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Adds bytes at the end.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), LayerError> {
        let file = self.file()?;
        file.write_all_at(bytes, self.end).map_err(|source| self.error(source))?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    fn error(&self, source: io::Error) -> LayerError {
        LayerError::Spool { dir: self.dir.clone(), source }
    }
}

/// Where spool files go: `asked` (--tmpdir), else `TMPDIR`, else /var/tmp, which is meant for large files, else /tmp.
pub(super) fn directory(asked: Option<&Path>) -> PathBuf {
    if let Some(dir) = asked {
        return dir.into();
    }
    if let Some(dir) = std::env::var_os("TMPDIR").filter(|dir| !dir.is_empty()) {
        return dir.into();
    }
    let var = Path::new("/var/tmp");
    let usable = rustix::fs::access(var, rustix::fs::Access::WRITE_OK).is_ok();
    if usable { var.into() } else { "/tmp".into() }
}
