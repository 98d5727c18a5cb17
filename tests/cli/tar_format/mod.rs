//! Whole archives as the library reads and writes them. The oracles are other people's tools: GNU tar, bsdtar and Python's
//! tarfile read what we write, and the other way round. Devices, owners and ACLs need root and a scratch directory whose
//! file system has xattrs; both are missed loudly.

mod damage;
mod disk;
mod extracted;
mod foreign;
mod format;
mod round_trip;
mod sample;
