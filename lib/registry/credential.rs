//! Who we are to a registry.

use super::Secret;

/// What proves who we are.
#[derive(Clone, Debug)]
pub(super) enum Credential {
    /// A user name and a password.
    Basic {
        /// The user.
        user: Vec<u8>,
        /// The password.
        password: Secret,
    },
    /// A refresh token, which a token server changes for an access token.
    Identity(Secret),
    /// An access token that needs no token server.
    Bearer(Secret),
}

impl Credential {
    /// What must not be shown of it.
    pub(super) fn secret(&self) -> &Secret {
        match self {
            Self::Basic { password, .. } => password,
            Self::Identity(secret) | Self::Bearer(secret) => secret,
        }
    }
}
