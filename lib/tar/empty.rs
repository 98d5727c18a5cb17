//! Archives without members: an end marker followed by nothing but zeros (F13).

use std::io::BufRead;

use super::foreign::{self, HEAD};
use super::header::Block;
use super::stream::Stream;
use super::{Error, Part, Problem, UNIT};

/// Reads the rest of a stream that was zeros so far: in an empty archive that is zeros too.
///
/// # Errors
/// When there is anything else (the error says what it looks like), and when the stream cannot be read.
pub(super) fn check<R: BufRead>(stream: &mut Stream<R>) -> Result<(), Error> {
    let mut head = vec![0; usize::try_from(stream.offset).unwrap_or(HEAD).min(HEAD)];
    let mut other = None;
    loop {
        let at = stream.offset;
        let piece = stream.fill()?;
        if piece.is_empty() {
            break;
        }
        let len = piece.len();
        let room = HEAD.saturating_sub(head.len()).min(len);
        head.extend_from_slice(&piece[..room]);
        if other.is_none() {
            other = piece.iter().position(|&byte| byte != 0).map(|byte| at + byte as u64);
        }
        stream.consume(len);
        if other.is_some() && head.len() == HEAD {
            break;
        }
    }
    let Some(other) = other else { return Ok(()) };
    Err(Error::new(None, other, Problem::NotTar(foreign::behind_zeros(&head))))
}

/// The error for a stream in which `block`, just read, is the first one that is not zeros.
pub(super) fn refuse<R: BufRead>(stream: &mut Stream<R>, block: &Block) -> Error {
    let at = stream.offset.saturating_sub(UNIT);
    let mut head = vec![0; usize::try_from(at).unwrap_or(HEAD).min(HEAD)];
    head.extend_from_slice(block);
    while head.len() < HEAD {
        match stream.block(Part::Header) {
            Ok(Some(block)) => head.extend_from_slice(&block),
            Ok(None) | Err(_) => break,
        }
    }
    Error::new(None, at, Problem::NotTar(foreign::behind_zeros(&head)))
}
