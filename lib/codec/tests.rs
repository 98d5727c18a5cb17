#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::io::{Read, Write};

use super::*;

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zstd(data: &[u8]) -> Vec<u8> {
    zstd::encode_all(data, 1).unwrap()
}

fn decode(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    Decoder::new(bytes)?.read_to_end(&mut out)?;
    Ok(out)
}

/// One byte at a time, as a slow pipe would give it.
struct Drip<'a>(&'a [u8]);

impl Read for Drip<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let len = buf.len().min(1);
        self.0.read(&mut buf[..len])
    }
}

fn sample() -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    (0..300_000).map(|i| if i % 3 == 0 { random.u8(..) } else { b'x' }).collect()
}

#[test]
fn every_compression_by_its_magic() {
    let data = sample();
    let cases =
        [(data.clone(), Compression::Plain), (gzip(&data), Compression::Gzip), (zstd(&data), Compression::Zstd)];
    for (bytes, compression) in cases {
        assert_eq!(Decoder::new(&bytes[..]).unwrap().compression(), compression);
        assert!(decode(&bytes).unwrap() == data, "{compression:?}");
        let mut out = Vec::new();
        Decoder::new(Drip(&bytes)).unwrap().read_to_end(&mut out).unwrap();
        assert!(out == data, "{compression:?}, dripping");
    }
    assert_eq!(decode(b"").unwrap(), b"");
    assert_eq!(decode(b"x").unwrap(), b"x");
}

#[test]
fn members_and_frames_follow_each_other() {
    let mut members: Vec<u8> = Vec::new();
    let mut frames = [0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3].to_vec();
    for part in [&b"one "[..], b"", b"two ", b"three"] {
        members.extend(gzip(part));
        frames.extend(zstd(part));
        frames.extend([0x5f, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]);
    }
    assert_eq!(decode(&members).unwrap(), b"one two three");
    assert_eq!(decode(&frames).unwrap(), b"one two three");
    members.extend([0; 1000]);
    assert_eq!(decode(&members).unwrap(), b"one two three", "zero padding is no member");
    members.push(b'x');
    assert!(decode(&members).is_err(), "anything else after the last member is an error");
    frames.push(b'x');
    assert!(decode(&frames).is_err());
}

#[test]
fn a_gzip_header_may_have_every_field() {
    let mut member = vec![0x1f, 0x8b, 8, FULL, 0, 0, 0, 0, 0, 255];
    const FULL: u8 = 0b11110;
    member.extend([2, 0, b'e', b'x']);
    member.extend(b"name\0comment\0\x12\x34");
    member.extend(&gzip(b"data")[10..]);
    assert_eq!(decode(&member).unwrap(), b"data");
}

#[test]
fn every_prefix_is_an_error() {
    let data = &sample()[..2000];
    for whole in [gzip(data), zstd(data)] {
        // Fewer bytes than a magic has are plain bytes; whoever parses them will refuse them.
        for len in 4..whole.len() {
            assert!(decode(&whole[..len]).is_err(), "{len} of {}", whole.len());
        }
    }
}

#[test]
fn damage_is_found() {
    let data = &sample()[..5000];
    let whole = gzip(data);
    for at in [whole.len() / 2, whole.len() - 1, whole.len() - 5] {
        let mut bad = whole.clone();
        bad[at] ^= 0x10;
        let error = decode(&bad).unwrap_err().to_string();
        assert!(error.contains("at compressed byte"), "{error}");
    }
}

#[test]
fn other_compressions_are_named() {
    let xz = [0xfd, b'7', b'z', b'X', b'Z', 0, 0, 4];
    assert!(decode(&xz).unwrap_err().to_string().contains("xz"));
    assert!(decode(b"BZh91AY&SY").unwrap_err().to_string().contains("bzip2"));
}
