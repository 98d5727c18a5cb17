//! Where an image comes from: registry, OCI layout, archives, overlay2 (R rules).
