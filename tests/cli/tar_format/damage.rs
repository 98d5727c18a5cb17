//! Archives that were cut or damaged: a clean error or the same members, never a panic.

use fastrand::Rng;

use super::sample::{Sample, random, read, write};
use oci2ext4::tar::*;

fn archive(members: usize) -> (Vec<Sample>, Vec<u8>) {
    let mut rng = Rng::with_seed(7);
    let samples: Vec<_> = (0..members).map(|_| random(&mut rng)).collect();
    let archive = write(&samples);
    (read(&archive).unwrap().0, archive)
}

/// Where in the archive each member begins, its end marker last.
fn borders(archive: &[u8]) -> Vec<usize> {
    let mut reader = Reader::new(archive);
    let mut at = Vec::new();
    while let Some(member) = reader.next_member().unwrap() {
        at.push(usize::try_from(member.offset).unwrap());
    }
    at.push(archive.len() - 2 * BLOCK);
    at
}

#[test]
fn every_prefix_is_cut_or_ends_on_a_border() {
    let (samples, archive) = archive(10);
    let borders = borders(&archive);
    for len in 0..archive.len() {
        let end = match read(&archive[..len]) {
            Err(error) => {
                assert!(error.is_cut(), "{len}: {error}");
                assert_eq!(error.offset, len as u64, "{error}");
                continue;
            }
            Ok((got, end)) => {
                assert_eq!(got, samples[..got.len()]);
                end
            }
        };
        let lone = len == archive.len() - BLOCK;
        assert_eq!(end, Some(if lone { End::LoneZeroBlock } else { End::CleanEof }), "{len}");
        assert!(lone || borders.contains(&len), "{len}");
    }
}

#[test]
fn a_flipped_bit_in_a_header_is_an_error_or_does_not_matter() {
    let (samples, archive) = archive(60);
    let (mut errors, mut same) = (0, 0);
    for (at, sample) in borders(&archive).windows(2).zip(&samples) {
        // That member alone; its PAX header stands first where it has one.
        let mut alone = [&archive[at[0]..at[1]], &END_MARKER].concat();
        for bit in 0..BLOCK * 8 {
            alone[bit / 8] ^= 1 << (bit % 8);
            match read(&alone) {
                Ok((got, end)) => {
                    assert!(got == [sample.clone()] && end == Some(End::Marker), "bit {bit} at {}", at[0]);
                    same += 1;
                }
                Err(error) => {
                    assert_eq!(error.offset, 0, "bit {bit}: {error}");
                    errors += 1;
                }
            }
            alone[bit / 8] ^= 1 << (bit % 8);
        }
    }
    assert!(errors > 100 * same, "{errors} errors, {same} without effect");
}

#[test]
fn random_damage_never_panics() {
    let (_, archive) = archive(20);
    let mut rng = Rng::with_seed(99);
    for _ in 0..3000 {
        let mut damaged = archive.clone();
        for _ in 0..rng.usize(1..6) {
            let at = rng.usize(..damaged.len());
            let len = rng.usize(..20).min(damaged.len() - at);
            match rng.u8(..4) {
                0 => damaged[at] = rng.u8(..),
                1 => drop(damaged.drain(at..at + len)),
                2 => damaged[at..at + len].fill(b'9'),
                _ => damaged.truncate(at),
            }
            if damaged.is_empty() {
                break;
            }
        }
        // Right checksums let the damage through to what is behind them.
        for block in damaged.chunks_exact_mut(BLOCK) {
            if block[257..262] == *b"ustar" {
                block[148..156].fill(b' ');
                let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
                block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
        }
        let mut reader = Reader::new(&damaged[..]);
        while let Ok(Some(_)) = reader.next_member() {}
    }
}
