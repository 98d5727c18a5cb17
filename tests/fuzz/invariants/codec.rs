//! What decodes here decodes with flate2's or zstd's own reader to the same bytes, and what they refuse is refused here;
//! compressed again in several members it is the same.

use std::io::Read;

use oci2ext4::codec::{Compression, Decoder};

/// A decoder that is asked for more is a bomb: what comes up to here is compared.
const LONGEST: u64 = 1 << 20;

pub fn check(bytes: &[u8]) {
    let compression = Compression::of(&bytes[..bytes.len().min(Compression::MAGIC_LEN)]);
    let Ok(decoder) = Decoder::new(bytes) else {
        assert!(compression.is_err(), "nothing but its magic was read");
        return;
    };
    let ours = decoded(decoder);
    assert_eq!(ours, decoded(Decoder::new(Drip(bytes)).expect("as before")), "byte by byte");
    match compression.expect("a decoder was made for it") {
        Compression::Plain => assert_eq!(ours.as_deref(), Some(bytes)),
        // Their decoders are the libraries': what counts is that no input makes them panic or take other pieces otherwise.
        Compression::Xz | Compression::Bzip2 => {}
        // In pieces too: the library takes an empty frame whose only block repeats a byte no times if it has it all at once,
        // and refuses it otherwise.
        Compression::Zstd => {
            assert_eq!(ours, zstd::Decoder::new(Drip(bytes)).ok().and_then(decoded));
        }
        Compression::Gzip => {
            let theirs = decoded(flate2::bufread::MultiGzDecoder::new(unpadded(bytes)));
            if theirs.as_ref().is_some_and(|bytes| bytes.len() as u64 == LONGEST) {
                return; // what comes behind may be wrong, and is not waited for by both alike
            }
            // flate2 verifies the CRC of a header, which nobody writes.
            assert!(ours == theirs || theirs.is_none() && has_header_crc(bytes), "{ours:?} {theirs:?}");
        }
    }
}

fn decoded(reader: impl Read) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    reader.take(LONGEST).read_to_end(&mut out).ok()?;
    Some(out)
}

/// Zeros behind the last member are no member. It may end in some zeros of its own: in a trailer's eight bytes, and in
/// an empty block before that.
fn unpadded(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().rev().take_while(|byte| **byte == 0).count();
    let mut whole = (0..=zeros.min(16)).map(|own| &bytes[..bytes.len() - zeros + own]);
    whole.find(|part| decoded(flate2::bufread::MultiGzDecoder::new(*part)).is_some()).unwrap_or(bytes)
}

fn has_header_crc(bytes: &[u8]) -> bool {
    bytes.windows(4).any(|window| window[..3] == [0x1f, 0x8b, 8] && window[3] & 2 != 0)
}

/// One byte at a time.
struct Drip<'a>(&'a [u8]);

impl Read for Drip<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let len = buf.len().min(1);
        self.0.read(&mut buf[..len])
    }
}
