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

fn xz(data: &[u8]) -> Vec<u8> {
    let mut writer = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    writer.write_all(data).unwrap();
    writer.finish().unwrap()
}

fn bzip2(data: &[u8]) -> Vec<u8> {
    let mut encoder = ::bzip2::write::BzEncoder::new(Vec::new(), ::bzip2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
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

/// A signal comes before every second read.
struct Interrupted<'a>(&'a [u8], bool);

impl Read for Interrupted<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.1 = !self.1;
        if self.1 { Err(std::io::ErrorKind::Interrupted.into()) } else { self.0.read(buf) }
    }
}

fn sample() -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    (0..300_000).map(|i| if i % 3 == 0 { random.u8(..) } else { b'x' }).collect()
}

#[test]
fn every_compression_by_its_magic() {
    let data = sample();
    let cases = [
        (data.clone(), Compression::Plain),
        (gzip(&data), Compression::Gzip),
        (zstd(&data), Compression::Zstd),
        (xz(&data), Compression::Xz),
        (bzip2(&data), Compression::Bzip2),
    ];
    for (bytes, compression) in cases {
        assert_eq!(Compression::of(&bytes[..Compression::MAGIC_LEN]).unwrap(), compression);
        assert!(decode(&bytes).unwrap() == data, "{compression:?}");
        let mut out = Vec::new();
        Decoder::new(Drip(&bytes)).unwrap().read_to_end(&mut out).unwrap();
        assert!(out == data, "{compression:?}, dripping");
        for first in [false, true] {
            let mut decoder = Decoder::new(Interrupted(&bytes, first)).unwrap();
            // What one call returns is all that it had.
            let mut buffer = crate::relay::PageBuffer::with_capacity(data.len() + 1);
            assert!(!buffer.fill(&mut decoder).unwrap() && *buffer == data[..], "{compression:?}, interrupted");
        }
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
    for whole in [gzip(data), zstd(data), xz(data), bzip2(data)] {
        // Fewer bytes than a magic has are plain bytes; whoever parses them will refuse them.
        for len in 6..whole.len() {
            let error = decode(&whole[..len]).unwrap_err().to_string();
            assert!(error.contains("cut") || error.contains("incomplete"), "{len} of {}: {error}", whole.len());
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
fn streams_of_xz_and_bzip2_follow_each_other() {
    let (mut xzs, mut bzip2s) = (Vec::new(), Vec::new());
    for part in [&b"one "[..], b"", b"two ", b"three"] {
        xzs.extend(xz(part));
        xzs.extend([0; 8]); // as padding, a multiple of four
        bzip2s.extend(bzip2(part));
    }
    assert_eq!(decode(&xzs).unwrap(), b"one two three");
    assert_eq!(decode(&bzip2s).unwrap(), b"one two three");
    bzip2s.extend([0; 1000]);
    assert_eq!(decode(&bzip2s).unwrap(), b"one two three", "zero padding is no stream");
    for mut stream in [xzs, bzip2s] {
        stream.push(b'x');
        assert!(decode(&stream).is_err(), "anything else after the last stream is an error");
    }
    assert_eq!(decode(&bzip2(b"")).unwrap(), b"");
}

#[test]
fn any_damage_to_xz_and_bzip2_is_found_or_does_not_matter() {
    let data = &sample()[..3000];
    for whole in [xz(data), bzip2(data)] {
        for at in 6..whole.len() {
            let mut bad = whole.clone();
            bad[at] ^= 0x10;
            assert!(decode(&bad).is_ok_and(|got| got == data) || decode(&bad).is_err(), "byte {at}");
        }
    }
}

/// An xz stream whose only block asks for a dictionary of 4 GiB - 1, as `--lzma2=dict=...` can write it.
#[test]
fn memory_is_bounded_whatever_a_header_asks_for() {
    let crc = |bytes: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum().to_le_bytes()
    };
    // Stream header: magic, flags (CRC-32), their CRC. Block header: its size, flags, LZMA2 with one byte of properties.
    let block = [2, 0, 0x21, 1, 40, 0, 0, 0];
    let mut stream = b"\xfd7zXZ\0\0\x01".to_vec();
    stream.extend(crc(&[0, 1]));
    stream.extend(block);
    stream.extend(crc(&block));
    let error = decode(&stream).unwrap_err().to_string();
    assert!(error.contains("more than 128 MiB of memory: pipe it through xz -dc"), "{error}");
    // A zstd frame whose window descriptor says 2 GiB.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00];
    let error = decode(&frame).unwrap_err().to_string();
    assert!(error.contains("more than 128 MiB of memory: pipe it through zstd -dc --long=31"), "{error}");
}

#[test]
fn other_compressions_are_named_with_what_decodes_them() {
    for (head, pipe) in [
        (&b"\x04\x22\x4d\x18\x64\x40"[..], "lz4 compression is not supported: pipe it through lz4 -dc"),
        (b"\x02\x21\x4c\x18....", "lz4 -dc"),
        (b"LZIP\x01\x0c", "lzip -dc"),
        (b"LRZI\x00\x06", "lrzip -d"),
        (b"\x89LZO\0\r\n\x1a\n", "lzop -dc"),
        (b"\x1f\x9d\x90...", "gzip -dc"),
        (b"\x5d\0\0\x80\0\xff\xff", "xz --format=lzma -dc"),
    ] {
        let error = decode(head).unwrap_err().to_string();
        assert!(error.contains(pipe), "{error}");
    }
    assert_eq!(Compression::of(b"]\0\0\0\0\0").unwrap(), Compression::Plain, "a member called ]");
}
