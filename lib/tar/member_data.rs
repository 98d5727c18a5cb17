use std::io::{self, BufRead, Read};

use super::{Error, Part, Problem, Reader};
use crate::relay::{fitting, read_buffered};

/// The data of a member: a view of the reader's buffer that ends with the data.
///
/// Errors are an [`Error`] inside an [`io::Error`].
pub struct MemberData<'a, R> {
    pub(super) reader: &'a mut Reader<R>,
}

impl<R: BufRead> Reader<R> {
    /// The data of the current member, without holes; empty for anything but files.
    pub fn data(&mut self) -> MemberData<'_, R> {
        MemberData { reader: self }
    }
}

impl<R: BufRead> MemberData<'_, R> {
    /// Skips the rest by means of `pass_over`, which advances the underlying stream by a number of bytes.
    ///
    /// # Errors
    /// Those of `pass_over`, as errors in this member's data.
    pub fn pass_over(&mut self, pass_over: impl FnOnce(&mut R, u64) -> io::Result<()>) -> Result<(), Error> {
        let Reader { stream, left, name, .. } = &mut *self.reader;
        if let Err(error) = pass_over(&mut stream.input, *left) {
            let cut = error.kind() == io::ErrorKind::UnexpectedEof;
            let problem = if cut { Problem::Cut(Part::Data) } else { error.into() };
            return Err(Error::new(Some(name), stream.offset, problem));
        }
        stream.offset += std::mem::take(left);
        Ok(())
    }
}

impl<R: BufRead> BufRead for MemberData<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let Reader { stream, left, name, .. } = &mut *self.reader;
        if *left == 0 {
            return Ok(&[]);
        }
        let at = stream.offset;
        let available = stream.fill().map_err(|e| e.of(name))?;
        if available.is_empty() {
            return Err(Error::new(Some(name), at, Problem::Cut(Part::Data)).into());
        }
        Ok(&available[..fitting(*left, available.len())])
    }

    fn consume(&mut self, len: usize) {
        let len = fitting(self.reader.left, len);
        self.reader.stream.consume(len);
        self.reader.left -= len as u64;
    }
}

impl<R: BufRead> Read for MemberData<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}
