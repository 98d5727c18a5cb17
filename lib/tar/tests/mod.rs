//! The oracles are other people's tools: GNU tar, bsdtar and Python's tarfile read what we write, and the other way
//! round. Devices, owners and ACLs need root and a TMPDIR whose file system has xattrs; both are missed loudly.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod damage;
mod disk;
mod foreign;
mod format;
mod round_trip;
mod tools;
