use crate::Retry;

macro_rules! kinds {
    ($( $(#[$doc:meta])* $variant:ident, $reason:literal, $name:literal, $exit:literal, $retry:expr; )+) => {
        /// What went wrong, in the words of the caller's options.
        ///
        /// Each kind has a default [`Retry`] class; an error may carry a more exact one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum ErrorKind { $( $(#[$doc])* $variant, )+ }

        impl ErrorKind {
            /// Every kind, in order of declaration.
            pub const ALL: &'static [Self] = &[ $( Self::$variant, )+ ];

            /// Upper-case name used as the `reason` of `google.rpc.ErrorInfo`.
            #[must_use]
            pub const fn reason(self) -> &'static str {
                match self { $( Self::$variant => $reason, )+ }
            }

            /// Lower-case name used in JSON.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( Self::$variant => $name, )+ }
            }

            /// Retry class of an error of this kind that says nothing more exact.
            #[must_use]
            pub const fn default_retry(self) -> Retry {
                match self { $( Self::$variant => $retry, )+ }
            }

            /// Process exit code for an error of this kind that carries no registered code.
            #[must_use]
            pub const fn exit_code(self) -> u8 {
                match self { $( Self::$variant => $exit, )+ }
            }

            /// The kind with this [`ErrorKind::reason`].
            #[must_use]
            pub fn from_reason(reason: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| kind.reason() == reason)
            }
        }
    };
}

kinds! {
    /// The request is malformed or breaks a rule that does not depend on state.
    InvalidInput, "INVALID_INPUT", "invalid_input", 2, Retry::AfterFix;
    /// The configuration of this process is malformed or incomplete.
    Config, "CONFIG", "config", 2, Retry::AfterFix;
    /// A value lies outside the range that exists at present (a page past the end).
    OutOfRange, "OUT_OF_RANGE", "out_of_range", 2, Retry::AfterFix;
    /// The caller could not be identified.
    Unauthenticated, "UNAUTHENTICATED", "unauthenticated", 7, Retry::AfterFix;
    /// The caller is known and may not do this.
    Denied, "DENIED", "denied", 3, Retry::AfterFix;
    /// The thing named does not exist.
    NotFound, "NOT_FOUND", "not_found", 1, Retry::AfterFix;
    /// The thing to be created exists.
    AlreadyExists, "ALREADY_EXISTS", "already_exists", 1, Retry::AfterFix;
    /// The state does not allow the operation, and will not until somebody changes it.
    Precondition, "PRECONDITION", "precondition", 1, Retry::AfterFix;
    /// Somebody else changed the state in between.
    Conflict, "CONFLICT", "conflict", 1, Retry::RestartTransaction;
    /// A quota, a budget, the stock or a size limit is used up.
    Exhausted, "EXHAUSTED", "exhausted", 1, Retry::AfterFix;
    /// The service cannot answer now and did not start the work.
    Unavailable, "UNAVAILABLE", "unavailable", 1, Retry::WithBackoff { after: None };
    /// No connection could be made or it broke before the request was taken.
    Network, "NETWORK", "network", 1, Retry::WithBackoff { after: None };
    /// The deadline passed; whether the work was done is unknown.
    Timeout, "TIMEOUT", "timeout", 1, Retry::Never;
    /// The caller gave up.
    Cancelled, "CANCELLED", "cancelled", 130, Retry::Never;
    /// This backend or version cannot do it.
    Unsupported, "UNSUPPORTED", "unsupported", 1, Retry::Never;
    /// Stored data is missing or damaged.
    DataLoss, "DATA_LOSS", "data_loss", 1, Retry::Never;
    /// The state store failed; whether the write happened is unknown.
    Database, "DATABASE", "database", 1, Retry::Never;
    /// A file or a device failed.
    Io, "IO", "io", 1, Retry::Never;
    /// A cloud answered with an error that fits no other kind.
    Provider, "PROVIDER", "provider", 1, Retry::Never;
    /// A mistake in this program.
    Internal, "INTERNAL", "internal", 1, Retry::Never;
    /// A foreign error about which nothing is known.
    Unknown, "UNKNOWN", "unknown", 1, Retry::Never;
}
