//! Holes: ranges of a file that read as zeros and take no space.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use super::os;

/// Makes a range, in bytes, read as zeros: by a hole if the file can have one, else by writing zeros. The length of the
/// file does not change.
///
/// # Errors
/// As the system reports them.
pub fn punch(file: &File, offset: u64, len: u64) -> io::Result<()> {
    if len == 0 || os::punch(file, offset, len).is_ok() { Ok(()) } else { write_zeros(file, offset, len) }
}

/// Makes a range of a device or disk image, in bytes, read as zeros, in whatever way is cheapest.
///
/// # Errors
/// As the system reports them.
pub fn zero(file: &File, offset: u64, len: u64) -> io::Result<()> {
    if len == 0 || os::zero(file, offset, len).is_ok() { Ok(()) } else { punch(file, offset, len) }
}

fn write_zeros(file: &File, offset: u64, len: u64) -> io::Result<()> {
    static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
    let end = offset.saturating_add(len);
    // Punching a hole beyond the end of a file does not change its length, and neither must this.
    let end = if file.metadata()?.is_file() { end.min(file.metadata()?.len()) } else { end };
    let mut at = offset;
    while at < end {
        let part = usize::try_from(end - at).unwrap_or(ZEROS.len()).min(ZEROS.len());
        file.write_all_at(&ZEROS[..part], at)?;
        at += part as u64;
    }
    Ok(())
}

/// Where a file of `size` bytes has data, according to the file system; `None` if it has no holes or they are unknown.
///
/// # Errors
/// As the system reports them.
pub fn data_segments(file: &File, size: u64) -> io::Result<Option<Vec<Range<u64>>>> {
    let mut segments = Vec::new();
    let mut at = 0;
    while at < size && os::SEEKS_HOLES {
        let Some(segment) = next_data(file, at, size)? else { break };
        at = segment.end;
        segments.push(segment);
    }
    let whole = segments.first().is_some_and(|first| *first == (0..size));
    Ok((os::SEEKS_HOLES && !whole && size > 0).then_some(segments))
}

/// The next range between `at` and `end`, in bytes, that has data according to the file system; `None` if there is only a
/// hole. If holes are unknown, as on most devices, everything is data.
///
/// # Errors
/// As the system reports them.
pub fn next_data(file: &File, at: u64, end: u64) -> io::Result<Option<Range<u64>>> {
    if !os::SEEKS_HOLES {
        return Ok(Some(at..end));
    }
    let start = match seek(file, SeekFrom::Data(at)) {
        Ok(start) if start < end => start,
        Ok(_) | Err(Errno::NXIO) => return Ok(None),
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some(at..end)),
        Err(error) => return Err(error.into()),
    };
    let hole = seek(file, SeekFrom::Hole(start))?.min(end);
    // If the file shrinks meanwhile, this must still make progress.
    Ok(Some(start..if hole > start { hole } else { end }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    #[test]
    fn what_is_cleared_reads_as_zeros_and_the_length_stays() {
        for clear in [punch, zero] {
            let file = tempfile::tempfile().unwrap();
            file.write_all_at(&[7; 200_000], 0).unwrap();
            clear(&file, 1000, 150_000).unwrap();
            clear(&file, 199_000, 1 << 30).unwrap();
            let mut got = vec![0; 200_000];
            file.read_exact_at(&mut got, 0).unwrap();
            let zeros = |at: usize| (1000..151_000).contains(&at) || at >= 199_000;
            assert!(got.iter().enumerate().all(|(at, byte)| *byte == if zeros(at) { 0 } else { 7 }));
            assert_eq!(file.metadata().unwrap().len(), 200_000);
        }
    }

    #[test]
    fn a_dense_file_has_no_hole_to_tell_of() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[7; 200_000], 0).unwrap();
        assert_eq!(data_segments(&file, 200_000).unwrap(), None);
        assert_eq!(data_segments(&tempfile::tempfile().unwrap(), 0).unwrap(), None);
    }
}
