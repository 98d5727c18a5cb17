//! HTTP registry client (R rules): the only user of reqwest.
