//! Writes the tar: headers and small files through one large buffer, large files directly within the kernel.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use super::Error;
use crate::relay::{FileAt, PageBuffer, fitting};
use crate::sys::{send, wait_until_writable, widen_pipe};

/// The size of the buffer, and the capacity to ask for on an output pipe, in bytes.
const BUFFER: usize = 1 << 20;
/// Files up to this size are copied through the buffer, because a system call for each would cost more.
const SMALL: u64 = 64 << 10;

static ZEROS: [u8; 4096] = [0; 4096];

/// A buffered stream to a file descriptor or any writer.
pub(super) struct TarOutput<'w> {
    destination: Destination<'w>,
    buffer: PageBuffer,
    /// Whether the kernel can move bytes between the current pair of files.
    in_kernel: bool,
    /// Bytes written so far.
    pub(super) written: u64,
}

enum Destination<'w> {
    Fd(BorrowedFd<'w>),
    Writer(&'w mut dyn Write),
}

/// Why content was not copied.
pub(super) enum CopyError {
    Read(io::Error),
    Write(io::Error),
}

impl CopyError {
    /// The error for the content of file `name`.
    pub(super) fn of(self, name: &[u8]) -> Error {
        match self {
            Self::Read(source) => Error::Content { name: name.to_vec(), source },
            Self::Write(source) => Error::Output(source),
        }
    }
}

impl<'w> TarOutput<'w> {
    /// Writes to a file descriptor: a pipe, a file, a device.
    pub(super) fn to_fd(fd: BorrowedFd<'w>) -> Self {
        widen_pipe(fd, BUFFER);
        Self::new(Destination::Fd(fd), true)
    }

    /// Writes to any writer.
    pub(super) fn to_writer(writer: &'w mut dyn Write) -> Self {
        Self::new(Destination::Writer(writer), false)
    }

    fn new(destination: Destination<'w>, in_kernel: bool) -> Self {
        Self { destination, buffer: PageBuffer::with_capacity(BUFFER), in_kernel, written: 0 }
    }

    /// Writes bytes.
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len() as u64;
        while !bytes.is_empty() {
            if self.buffer.is_full() {
                self.empty()?;
            }
            let len = self.buffer.push(bytes);
            bytes = &bytes[len..];
        }
        Ok(())
    }

    /// Writes `len` zeros.
    pub(super) fn write_zeros(&mut self, mut len: u64) -> io::Result<()> {
        while len > 0 {
            let piece = fitting(len, ZEROS.len());
            self.write(&ZEROS[..piece])?;
            len -= piece as u64;
        }
        Ok(())
    }

    /// Writes `len` bytes of `file` from offset `at` on. Bytes that the kernel has moved into a pipe still change with
    /// the file until they are read.
    pub(super) fn copy(&mut self, file: &File, mut at: u64, mut len: u64) -> Result<(), CopyError> {
        if self.in_kernel && len > SMALL {
            self.empty().map_err(CopyError::Write)?;
            let before = len;
            self.send(file, &mut at, &mut len)?;
            self.written += before - len;
        }
        self.copy_through(file, at, len)
    }

    /// Writes `len` bytes of `file` from offset `at` on, copying them through the buffer as they are now.
    pub(super) fn copy_through(&mut self, file: &File, mut at: u64, mut len: u64) -> Result<(), CopyError> {
        self.written += len;
        while len > 0 {
            if self.buffer.is_full() {
                self.empty().map_err(CopyError::Write)?;
            }
            let limit = fitting(len, BUFFER);
            let piece = match self.buffer.read_from(&mut FileAt { file, at }, limit) {
                Ok(0) => return Err(CopyError::Read(io::ErrorKind::UnexpectedEof.into())),
                Ok(piece) => piece as u64,
                Err(error) => return Err(CopyError::Read(error)),
            };
            at += piece;
            len -= piece;
        }
        Ok(())
    }

    /// Has the kernel move as much as it will.
    fn send(&mut self, file: &File, at: &mut u64, len: &mut u64) -> Result<(), CopyError> {
        let Destination::Fd(out) = &self.destination else { return Ok(()) };
        while *len > 0 {
            match send(*out, file, at, *len) {
                Ok(0) => return Err(CopyError::Read(io::ErrorKind::UnexpectedEof.into())),
                Ok(sent) => *len -= sent as u64,
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => wait_until_writable(*out).map_err(CopyError::Write)?,
                    io::ErrorKind::Unsupported => {
                        self.in_kernel = false;
                        return Ok(());
                    }
                    _ => return Err(CopyError::Write(error)),
                },
            }
        }
        Ok(())
    }

    /// Writes out everything that is buffered.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.empty()?;
        match &mut self.destination {
            Destination::Fd(_) => Ok(()),
            Destination::Writer(writer) => writer.flush(),
        }
    }

    fn empty(&mut self) -> io::Result<()> {
        let mut bytes = &self.buffer[..];
        match &mut self.destination {
            Destination::Writer(writer) => writer.write_all(bytes)?,
            Destination::Fd(fd) => {
                while !bytes.is_empty() {
                    match rustix::io::write(*fd, bytes) {
                        Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                        Ok(len) => bytes = &bytes[len..],
                        Err(Errno::INTR) => {}
                        Err(Errno::AGAIN) => wait_until_writable(*fd)?,
                        Err(error) => return Err(error.into()),
                    }
                }
            }
        }
        self.buffer.clear();
        Ok(())
    }
}
