//! The hash that orders the names in an indexed directory: half-MD4.
//!
//! Format: "Hash Tree Directories" in the kernel's ext4 documentation. MD4 is RFC 1320, but here each round mixes 8 words
//! instead of 16. `debugfs -R "dx_hash -h half_md4 -s SEED NAME"` computes the same.

use crate::ext4::number::exact;

/// The seed of a file system's directory hashes: `s_hash_seed`, the 16 bytes of a UUID as little-endian words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HashSeed([u32; 4]);

impl HashSeed {
    /// The seed from its bytes in the superblock.
    #[must_use]
    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        let mut words = [0; 4];
        for (word, raw) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = u32::from_le_bytes([raw[0], raw[1], raw[2], raw[3]]);
        }
        Self(words)
    }

    /// The words for the superblock.
    pub(crate) fn words(self) -> [u32; 4] {
        self.0
    }
}

/// The position of a name in an indexed directory: first by major, then by minor hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NameHash {
    /// The hash in the index. It is even: the low bit marks a collision that continues in the next leaf.
    pub(crate) major: u32,
    /// Orders names with the same major hash.
    pub(crate) minor: u32,
}

/// In `s_flags`: in hashes, bytes of names are signed.
pub(crate) const EXT2_FLAGS_SIGNED_HASH: u32 = 1;

/// The initial state of MD4, used for the all-zero seed.
const MD4_STATE: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
/// The kernel reserves this major hash for the end of a directory.
const END_OF_DIRECTORY: u32 = 0x7fff_ffff << 1;

/// Hashes a name of at most 255 bytes.
///
/// Bytes above 127 count as negative, as with mke2fs on x86, and as the superblock declares ([`EXT2_FLAGS_SIGNED_HASH`]):
/// so the image is the same on every machine (S6), and every kernel can read it.
#[must_use]
pub(crate) fn half_md4(name: &[u8], seed: HashSeed) -> NameHash {
    let mut state = if seed.0 == [0; 4] { MD4_STATE } else { seed.0 };
    let mut rest = name;
    while !rest.is_empty() {
        transform(&mut state, &words(rest));
        rest = rest.get(32..).unwrap_or_default();
    }
    let major = state[1] & !1;
    let major = if major == END_OF_DIRECTORY { END_OF_DIRECTORY - 2 } else { major };
    NameHash { major, minor: state[2] }
}

/// The first 32 bytes of `rest` as 8 big-endian words, padded with the length of all of `rest`.
fn words(rest: &[u8]) -> [u32; 8] {
    let length = exact::<u32, _>(rest.len());
    let pad = length | (length << 8);
    let pad = pad | (pad << 16);
    let mut words = [pad; 8];
    for (word, raw) in words.iter_mut().zip(rest.chunks(4)) {
        for &byte in raw {
            let byte = u32::from_ne_bytes(i32::from(i8::from_ne_bytes([byte])).to_ne_bytes());
            *word = (*word << 8).wrapping_add(byte);
        }
    }
    words
}

/// Three rounds of MD4 over half a block.
fn transform(state: &mut [u32; 4], x: &[u32; 8]) {
    const ROUND_2: u32 = 0x5a82_7999;
    const ROUND_3: u32 = 0x6ed9_eba1;
    let [mut a, mut b, mut c, mut d] = *state;

    macro_rules! round {
        ($f:expr, $constant:expr, $order:expr, $shifts:expr) => {
            for half in $order.chunks_exact(4) {
                a = mix(a, $f(b, c, d), x[half[0]], $constant, $shifts[0]);
                d = mix(d, $f(a, b, c), x[half[1]], $constant, $shifts[1]);
                c = mix(c, $f(d, a, b), x[half[2]], $constant, $shifts[2]);
                b = mix(b, $f(c, d, a), x[half[3]], $constant, $shifts[3]);
            }
        };
    }
    round!(|x: u32, y: u32, z: u32| z ^ (x & (y ^ z)), 0, [0_usize, 1, 2, 3, 4, 5, 6, 7], [3, 7, 11, 19]);
    round!(
        |x: u32, y: u32, z: u32| (x & y).wrapping_add((x ^ y) & z),
        ROUND_2,
        [1_usize, 3, 5, 7, 0, 2, 4, 6],
        [3, 5, 9, 13]
    );
    round!(|x: u32, y: u32, z: u32| x ^ y ^ z, ROUND_3, [3_usize, 7, 2, 6, 1, 5, 0, 4], [3, 9, 11, 15]);

    for (word, mixed) in state.iter_mut().zip([a, b, c, d]) {
        *word = word.wrapping_add(mixed);
    }
}

fn mix(a: u32, f: u32, x: u32, constant: u32, shift: u32) -> u32 {
    a.wrapping_add(f).wrapping_add(x).wrapping_add(constant).rotate_left(shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZERO: [u8; 16] = [0; 16];
    const SEED: [u8; 16] =
        [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef];

    type Vector = (&'static [u8], [u8; 16], u32, u32);

    /// What `debugfs -R "dx_hash -h half_md4"` of e2fsprogs 1.47.0 prints.
    #[test]
    fn hashes_are_those_of_debugfs() {
        let vectors: &[Vector] = &[
            (b"a", SEED, 0x35dc_0cc4, 0x3f1d_acef),
            (b"a", ZERO, 0xd5fa_7d7a, 0xacb4_8187),
            (b"lost+found", SEED, 0x663b_dc72, 0x562e_f5d8),
            (b"lost+found", ZERO, 0x591d_e422, 0x6ffc_56e0),
            (b"hello.txt", SEED, 0x42a8_5304, 0xcb5c_9f78),
            (b"hello.txt", ZERO, 0xa26e_1d86, 0x133b_3f98),
            (&[b'x'; 31], SEED, 0x05bd_533c, 0x204c_2fd7),
            (&[b'x'; 31], ZERO, 0x4157_98c2, 0xe259_11d8),
            (&[b'x'; 32], SEED, 0x6b80_0086, 0x4f02_b48c),
            (&[b'x'; 32], ZERO, 0xae38_ae70, 0x439d_c1ad),
            (&[b'x'; 33], SEED, 0x9a80_601e, 0x88c9_761b),
            (&[b'x'; 33], ZERO, 0xebd0_861e, 0x1d9a_f8b6),
            (&[b'y'; 255], SEED, 0x86f7_304e, 0x8402_5928),
            (&[b'y'; 255], ZERO, 0x6877_c5f0, 0x7350_56c1),
            (b"\xc3\xa9t\xc3\xa9", SEED, 0xff32_9f74, 0x4e9c_30cd),
            (b"\xc3\xa9t\xc3\xa9", ZERO, 0xa69a_4d3a, 0x22ba_c128),
            (b"\xff\xfe\x80abc", SEED, 0x42e5_c5ce, 0x8bb2_edd0),
            (b"\xff\xfe\x80abc", ZERO, 0xa513_04d2, 0xc84a_ba77),
        ];
        for &(name, seed, major, minor) in vectors {
            let hash = half_md4(name, HashSeed::from_bytes(seed));
            assert_eq!(hash, NameHash { major, minor }, "{name:x?} {seed:x?}");
        }
    }
}
