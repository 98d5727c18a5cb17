//! Compressed streams of very many parts, or with very long headers.

use std::fs;

use super::{FLATTEN, PACK, grows_in_proportion};
use crate::support::Compression;
use crate::support::stack::compress;

/// A stream of parts that hold nothing, before one that holds an archive.
fn parts(compression: Compression, n: usize) -> Vec<u8> {
    [compress(b"", compression).repeat(n), compress(&[0; 1024], compression)].concat()
}

/// A zstd frame that is to be skipped.
fn skippable(len: u32) -> Vec<u8> {
    [&0x184d_2a50_u32.to_le_bytes()[..], &len.to_le_bytes(), &vec![b'x'; len as usize]].concat()
}

type Stream = fn(usize) -> Vec<u8>;

const STREAMS: &[(&str, usize, Stream)] = &[
    ("gzip members", 20_000, |n| parts(Compression::Gzip, n)),
    ("zstd frames", 20_000, |n| parts(Compression::Zstd, n)),
    ("zstd frames to skip", 200_000, |n| [skippable(0).repeat(n), parts(Compression::Zstd, 0)].concat()),
    ("a long zstd frame to skip", 4_000_000, |n| [skippable(n as u32), parts(Compression::Zstd, 0)].concat()),
    ("xz streams", 2000, |n| parts(Compression::Xz, n)),
    ("bzip2 streams", 5000, |n| parts(Compression::Bzip2, n)),
    ("a gzip header with a long name", 2_000_000, |n| {
        let whole = parts(Compression::Gzip, 0);
        let mut header = whole[..10].to_vec();
        header[3] |= 8 | 16;
        [header, vec![b'n'; n], vec![0], vec![b'c'; n], vec![0], whole[10..].to_vec()].concat()
    }),
    ("zeros behind an archive", 8_000_000, |n| compress(&vec![0; n], Compression::Zstd)),
    ("a plain archive of nothing but zeros", 8_000_000, |n| vec![0; n]),
];

#[test]
fn streams() {
    for (name, n, stream) in STREAMS {
        for command in [format!("{FLATTEN} -l"), PACK.to_owned()] {
            grows_in_proportion(name, *n, |directory, n| {
                fs::write(directory.join("stream"), stream(n)).unwrap();
                format!("{command} stream")
            });
        }
    }
}
