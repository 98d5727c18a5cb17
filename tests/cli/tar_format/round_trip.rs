//! What the writer writes, the reader reads.

use fastrand::Rng;
use oci2ext4::meta::Named;
use oci2ext4::tar::*;

use super::sample::{Sample, random, read, write};

/// What must come back: holes only where they are whole blocks.
fn canonical(mut s: Sample) -> Sample {
    let size = s.content.len() as u64;
    let file = FileLayout { size, sparse: s.sparse.as_deref() };
    let named =
        Named { path: &s.path, entry: s.entry.as_deref().map(|()| file), meta: s.meta, xattrs: s.xattrs.clone() };
    let body = encode(&named, &mut Vec::new()).unwrap();
    s.sparse = s.sparse.map(|_| body.segments);
    s.sparse = s.sparse.filter(|segments| segments.iter().map(|s| s.len).sum::<u64>() != size);
    s
}

#[test]
fn random_members_come_back() {
    for seed in 0..60 {
        let mut rng = Rng::with_seed(seed);
        let samples: Vec<_> = (0..50).map(|_| random(&mut rng)).collect();
        let archive = write(&samples);
        let (got, end) = read(&archive).unwrap();
        assert_eq!(end, Some(End::Marker));
        for (got, wanted) in got.iter().zip(&samples) {
            assert_eq!(*got, canonical(wanted.clone()), "seed {seed}");
        }
        assert_eq!(got.len(), samples.len());
        assert_eq!(write(&got), archive, "seed {seed}: writing again gives other bytes");
    }
}
