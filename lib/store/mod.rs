//! The blob store on disk: an OCI image layout with verified writes, resume and locking (R1, R6).
