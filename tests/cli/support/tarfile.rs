//! Tars by Python's tarfile.

use super::filter::Filter;

/// The pax archive in which `script` puts members: it finds `tar`, open for writing.
#[track_caller]
pub fn python_tar(script: &str) -> Vec<u8> {
    let open = "import io, sys, tarfile
tar = tarfile.open(fileobj=sys.stdout.buffer, mode='w|', format=tarfile.PAX_FORMAT)";
    let script = format!("{open}\n{script}\ntar.close()");
    Filter::tool("python3").args(["-c", &script]).run().succeeds().stdout
}
