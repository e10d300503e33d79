//! The registry of stable codes `HPC-<AREA>-<nnnn>`: what each means and what to try.
//!
//! A code is never removed, renumbered or given another meaning; a test compares this file with the list
//! it had before. `hpc explain CODE` prints the entry.
//!
//! | area | about | area | about |
//! | --- | --- | --- | --- |
//! | `USG` | request, arguments, configuration | `PRC` | price |
//! | `POL` | policy, approval | `PLN` | plan |
//! | `BUD` | budget | `NET` | daemon, ports |
//! | `CAP` | capacity | `DAT` | data directory |
//! | `QUO` | quota | `AUD` | audit |
//! | `AUT` | identity, certificates | `PRV` | provider |
//! | `DEV` | development mode | `LSE` | lease |
//! | `INT` | the program itself | | |

use serde::Serialize;

use crate::{ErrorKind, Retry};

/// One stable code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode {
    /// The code, `HPC-<AREA>-<nnnn>`.
    pub code: &'static str,
    /// What happened, in a few words.
    pub title: &'static str,
    /// Why it happens.
    pub cause: &'static str,
    /// What to try.
    pub remedy: &'static str,
    /// Kind of every error with this code.
    pub kind: ErrorKind,
    /// Exit code of a process that ends with it.
    pub exit_code: u8,
}

impl ErrorCode {
    /// The three letters between the dashes: `CAP`.
    #[must_use]
    pub fn area(&self) -> &'static str {
        self.code.split('-').nth(1).unwrap_or_default()
    }

    /// Whether an error with this code may be retried, unless the error itself says more.
    #[must_use]
    pub const fn retry(&self) -> Retry {
        self.kind.default_retry()
    }
}

/// `{code, area, title, cause, try, kind, retry, exit_code}`.
impl Serialize for ErrorCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut out = serializer.serialize_struct("ErrorCode", 8)?;
        out.serialize_field("code", self.code)?;
        out.serialize_field("area", self.area())?;
        out.serialize_field("title", self.title)?;
        out.serialize_field("cause", self.cause)?;
        out.serialize_field("try", self.remedy)?;
        out.serialize_field("kind", self.kind.name())?;
        out.serialize_field("retry", self.retry().name())?;
        out.serialize_field("exit_code", &self.exit_code)?;
        out.end()
    }
}

/// Every code, in order of areas and numbers.
#[must_use]
pub fn all() -> &'static [&'static ErrorCode] {
    ALL
}

/// The entry of a code; upper and lower case and blanks around it do not matter.
#[must_use]
pub fn find(code: &str) -> Option<&'static ErrorCode> {
    let code = code.trim();
    ALL.iter().copied().find(|entry| entry.code.eq_ignore_ascii_case(code))
}

macro_rules! codes {
    ($( $name:ident = $code:literal, $kind:ident, $exit:literal, $title:literal, $cause:literal, $remedy:literal; )+) => {
        $(
            #[doc = concat!("`", $code, "`: ", $title, ".")]
            pub static $name: ErrorCode = ErrorCode {
                code: $code, title: $title, cause: $cause, remedy: $remedy,
                kind: ErrorKind::$kind, exit_code: $exit,
            };
        )+
        static ALL: &[&ErrorCode] = &[ $( &$name, )+ ];
    };
}

// name = code, kind, exit code,
//     title,
//     cause,
//     remedy;
codes! {
    USG_UNKNOWN_FIELD = "HPC-USG-0001", InvalidInput, 2,
        "unknown field",
        "a document or configuration file has a key that nothing reads, most often a typing mistake",
        "use the key the message suggests, or remove the line it points at";
    USG_WRONG_TYPE = "HPC-USG-0002", InvalidInput, 2,
        "wrong type of value",
        "a value has another type than its field: text for a number, a list for a single value",
        "change the value at the line and column in the message; put quotes around text that looks like a number";
    USG_TOO_LARGE = "HPC-USG-0003", InvalidInput, 2,
        "input too large",
        "a document, message or list is over its fixed limit",
        "split the input; the limit is in the message";
    USG_TOO_DEEP = "HPC-USG-0004", InvalidInput, 2,
        "nested too deeply",
        "a document has more levels of lists and maps than any valid document needs",
        "flatten the document; the limit is in the message";
    USG_FILE_MISSING = "HPC-USG-0005", NotFound, 2,
        "file not found",
        "a file named on the command line or in the configuration does not exist",
        "check the path; a relative path starts at the current directory";
    USG_FILE_PERMISSION = "HPC-USG-0006", Io, 2,
        "file may not be read",
        "the operating system refused to open a file, or a secret file is readable by others",
        "make the file belong to the user of this process; for a secret file: chmod 600 FILE";
    USG_BAD_AMOUNT = "HPC-USG-0007", InvalidInput, 2,
        "not an amount of money",
        "an amount is negative, too large, has too many digits after the point or no known currency",
        "write it like `30.00 USD` or `30.00`";
    USG_SYNTAX = "HPC-USG-0008", InvalidInput, 2,
        "document cannot be parsed",
        "a YAML, TOML or JSON document breaks the rules of its format",
        "repair the line and column in the message; the format follows from the file's extension";
    USG_DUPLICATE_KEY = "HPC-USG-0009", InvalidInput, 2,
        "key given twice",
        "a map has the same key twice, so one of the two values would be lost silently",
        "remove one of the two lines";
    USG_MISSING_FIELD = "HPC-USG-0010", InvalidInput, 2,
        "missing field",
        "a document or configuration lacks a value that has no default",
        "add the field named in the message";
    USG_OUT_OF_RANGE = "HPC-USG-0011", InvalidInput, 2,
        "value out of range",
        "a number, duration or time lies outside what is allowed",
        "use a value within the bounds in the message";
    USG_UNKNOWN_VALUE = "HPC-USG-0012", InvalidInput, 2,
        "unknown name",
        "a GPU model, region, provider, format or other name is not one of the known ones",
        "use one of the names in the message";
    USG_BAD_ID = "HPC-USG-0013", InvalidInput, 2,
        "malformed id",
        "an id does not look like one of ours (`pln_...`, `req_...`, `lse_...`)",
        "copy the id from the output of `hpc request list` or `hpc lease list`";
    USG_NEEDS_CONFIRMATION = "HPC-USG-0014", InvalidInput, 2,
        "confirmation needed",
        "the command spends money or destroys something, and there is no terminal to ask",
        "run it in a terminal, or pass the confirmation flag named in the message";
    USG_UNKNOWN_FORMAT = "HPC-USG-0015", InvalidInput, 2,
        "unknown file format",
        "the extension of a document is none of .yaml, .yml, .toml and .json",
        "rename the file, or pass the format";
    USG_IDEMPOTENCY_REUSED = "HPC-USG-0016", InvalidInput, 2,
        "idempotency key used for another request",
        "the same idempotency key arrived before with a different request",
        "use a new key for a new request, and the old key only to repeat the very same one";
    USG_UNKNOWN_CODE = "HPC-USG-0017", NotFound, 2,
        "unknown error code",
        "the code is not in the registry of this version",
        "check the code; a newer daemon may use codes that an older client does not know";
    USG_NOT_TEXT = "HPC-USG-0018", InvalidInput, 2,
        "not UTF-8 text",
        "a document holds bytes that are not UTF-8",
        "save the file as UTF-8";
    USG_NOT_BUILT_IN = "HPC-USG-0019", Unsupported, 2,
        "not built into this program",
        "a setting names a part that this program was built without",
        "build it with the feature that the message names";

    POL_DENIED = "HPC-POL-0001", Denied, 3,
        "denied by policy",
        "at least one policy rule denies the request; every failing rule is listed",
        "change what the reasons name, or ask the owner of the rule: hpc request explain PLAN --rule RULE";
    POL_APPROVAL_NEEDED = "HPC-POL-0002", Precondition, 4,
        "approval needed",
        "a policy rule asks for a second person before the plan may be applied",
        "ask somebody who may approve to run: hpc approval approve PLAN";
    POL_SELF_APPROVAL = "HPC-POL-0003", Denied, 3,
        "own request cannot be approved",
        "the person who approves must be a different one from the person who asked",
        "ask somebody else";
    POL_INVALID = "HPC-POL-0004", InvalidInput, 2,
        "invalid policy",
        "a policy document cannot be loaded, so nothing of it is in force",
        "repair the rule in the message";
    POL_APPROVAL_MISMATCH = "HPC-POL-0005", Precondition, 4,
        "approval is for another plan",
        "an approval is bound to the exact plan that was shown; the plan has changed since",
        "ask for approval of the present plan";
    POL_EVALUATION_FAILED = "HPC-POL-0006", Denied, 3,
        "policy could not be evaluated",
        "a rule that could deny failed to evaluate, and what cannot be judged is denied",
        "repair the rule in the message, or give the request the attribute the rule reads";
    POL_NO_MATCH = "HPC-POL-0007", Denied, 3,
        "no policy allows this",
        "no rule allows the action, and what is not allowed is denied",
        "ask the policy's owner for a rule that allows it: hpc policy show";
    POL_APPROVAL_DENIED = "HPC-POL-0008", Denied, 3,
        "approval refused",
        "somebody who may approve has refused the plan",
        "read the reason with `hpc request show PLAN`, and make a new plan";
    POL_CANDIDATE_MISMATCH = "HPC-POL-0009", Precondition, 1,
        "candidate is another one",
        "policies are promoted only by the digest of the very candidate that was tried, and that is not it",
        "look at the candidate and its differences again, then promote the digest it names";
    POL_BUNDLE_INVALID = "HPC-POL-0010", DataLoss, 1,
        "policy bundle is damaged",
        "a policy bundle is not one, is of another version, or its documents are not those that were signed; nothing of it is used",
        "get the bundle from its author again, or make it anew: hpc policy bundle create";
    POL_BUNDLE_UNTRUSTED = "HPC-POL-0011", Denied, 1,
        "policy bundle of an untrusted author",
        "the signature of a policy bundle is not one of a key that is trusted here; nothing of it is used",
        "compare the keys with the author over another channel: hpc policy bundle verify FILE --key KEYS";
    POL_BUNDLE_OLD = "HPC-POL-0012", Precondition, 1,
        "policy bundle is not newer",
        "a bundle with this or a higher number was in force already, or the bundle has another name; the old one stays in force",
        "make a bundle with a higher number: hpc policy bundle create --after LAST";
    POL_UNSIGNED = "HPC-POL-0013", Precondition, 1,
        "policies are not signed",
        "the daemon was started with keys of policy authors, and takes nothing that none of them has signed",
        "sign the policies: hpc policy bundle create; unsigned ones may be tried, but not put in force";

    BUD_EXCEEDED = "HPC-BUD-0001", Exhausted, 3,
        "budget exceeded",
        "the worst case of the plan is more than what is left of the budget",
        "ask for less or for a shorter time, or let the budget's owner raise it: hpc cost show";
    BUD_HARD_STOP = "HPC-BUD-0002", Exhausted, 3,
        "budget used up while running",
        "the lease reached its hold; it was released to stop the spending",
        "raise the budget, then make a new plan";
    BUD_UNKNOWN = "HPC-BUD-0003", NotFound, 3,
        "no budget for this team",
        "the caller's team has no budget, and unknown is not unlimited",
        "let an administrator set one";
    BUD_CURRENCY = "HPC-BUD-0004", InvalidInput, 3,
        "currencies differ",
        "the request, the offer and the budget are not in one currency",
        "use the budget's currency";
    BUD_HOLD_LOST = "HPC-BUD-0005", Conflict, 3,
        "budget was spent by somebody else",
        "another plan took the money between planning and applying",
        "make a new plan: hpc request plan";

    CAP_NO_CAPACITY = "HPC-CAP-0001", Exhausted, 5,
        "no capacity",
        "every provider that was tried is out of stock; nothing was created",
        "try another region, GPU model or purchase kind, or wait: the plan lists what each provider answered";
    CAP_ALL_EXCLUDED = "HPC-CAP-0002", Exhausted, 5,
        "all offers excluded",
        "there are offers, but each is excluded by quota, price, policy or size",
        "change the knob named beside each exclusion in the plan's `Not offered` block";
    CAP_NO_PROVIDER = "HPC-CAP-0003", Unavailable, 5,
        "no provider answered",
        "every provider failed or ran into its deadline while quotes were collected",
        "see what each says in: hpc request show PLAN";
    CAP_DOES_NOT_FIT = "HPC-CAP-0004", Exhausted, 5,
        "no instance type is large enough",
        "no known instance type has that many GPUs, cores or that much memory in one machine",
        "ask for fewer per node, or for more nodes";
    CAP_NO_OFFER = "HPC-CAP-0005", Exhausted, 5,
        "no offer matches",
        "no provider sells what was asked for",
        "name another accelerator; a plan says what was left out and why";

    QUO_EXCEEDED = "HPC-QUO-0001", Exhausted, 6,
        "team quota exceeded",
        "the request would take the team over its quota",
        "release a lease, ask for less, or let an administrator raise the quota";
    QUO_PROVIDER = "HPC-QUO-0002", Exhausted, 6,
        "provider quota exceeded",
        "the cloud account's quota in that region is used up",
        "see the need in `hpc request show PLAN`, and ask the provider for more";
    QUO_RATE = "HPC-QUO-0003", Exhausted, 6,
        "too many requests",
        "the caller sent more requests than it may",
        "wait as long as the answer says, then send the same request again";

    AUT_CERTIFICATE_MISSING = "HPC-AUT-0001", Unauthenticated, 7,
        "no client certificate",
        "the connection carries no certificate, so nobody knows who is asking",
        "choose a context that has a certificate: hpc context list; a development daemon writes one when it starts";
    AUT_CERTIFICATE_EXPIRED = "HPC-AUT-0002", Unauthenticated, 7,
        "certificate expired",
        "the certificate's time is over, or one of the two clocks is wrong",
        "start the daemon anew, which issues new ones; compare the clocks with `hpc doctor`";
    AUT_WRONG_TRUST_DOMAIN = "HPC-AUT-0003", Unauthenticated, 7,
        "wrong trust domain",
        "the certificate belongs to another installation than this daemon",
        "use the context of this daemon: hpc context list";
    AUT_UNTRUSTED = "HPC-AUT-0004", Unauthenticated, 7,
        "certificate not trusted",
        "no known authority signed the peer's certificate; a development daemon makes a new authority at every start",
        "start again from the daemon's present context; `hpcd dev` saves it on start";
    AUT_NOT_ALLOWED = "HPC-AUT-0005", Denied, 7,
        "caller may not use this method",
        "the caller's identity is known and has no right to this call",
        "use another identity, or let an administrator grant the right";
    AUT_TOKEN_INVALID = "HPC-AUT-0006", Unauthenticated, 7,
        "token not valid",
        "a join or login token is unknown, used up, expired or meant for another node",
        "get a new one: hpc node join-token NAME";
    AUT_KEY_UNREADABLE = "HPC-AUT-0007", Io, 7,
        "private key cannot be used",
        "the key file is missing, damaged, or readable by others",
        "make it readable by its owner alone: chmod 600 FILE; or log in again";

    PRC_MOVED = "HPC-PRC-0001", Conflict, 8,
        "price moved",
        "the price is higher than the plan allows",
        "make a new plan with present prices: hpc request plan";
    PRC_STALE = "HPC-PRC-0002", Conflict, 8,
        "price too old",
        "the provider's last price is older than a plan may rest on",
        "make a new plan; if it happens again, leave that provider out";
    PRC_UNKNOWN = "HPC-PRC-0003", Precondition, 8,
        "price unknown",
        "the provider gives no price for this offer, and unknown is not zero",
        "choose another offer, or configure the price";

    PLN_EXPIRED = "HPC-PLN-0001", Precondition, 9,
        "plan expired",
        "a plan holds for a few minutes only, because prices and stock move",
        "make a new one: hpc request plan";
    PLN_UNKNOWN = "HPC-PLN-0002", NotFound, 1,
        "unknown plan",
        "no plan has this id, or it was made by a daemon whose memory is gone",
        "list the plans with `hpc request list`, or make a new one";
    PLN_ALREADY_APPLIED = "HPC-PLN-0003", AlreadyExists, 1,
        "plan already applied",
        "a plan can be applied once",
        "see its lease: hpc request show PLAN; for more capacity make a new plan";
    PLN_DENIED = "HPC-PLN-0004", Denied, 3,
        "plan was denied",
        "the plan's verdict is deny, so it cannot be applied",
        "read the reasons: hpc request explain PLAN";
    PLN_CANCELLED = "HPC-PLN-0005", Precondition, 1,
        "plan cancelled",
        "somebody cancelled the plan",
        "make a new one: hpc request plan";
    PLN_IN_PROGRESS = "HPC-PLN-0006", Conflict, 1,
        "plan is being applied",
        "another call applies this plan at this moment",
        "watch it instead: hpc request show PLAN";

    NET_DAEMON_UNREACHABLE = "HPC-NET-0001", Network, 10,
        "daemon unreachable",
        "nothing answers at the daemon's address",
        "start it with `hpcd dev`, or choose another context: hpc context list";
    NET_PORT_IN_USE = "HPC-NET-0002", Io, 1,
        "port in use",
        "another process listens on the address already",
        "stop that process, or choose another port in the configuration";
    NET_TIMEOUT = "HPC-NET-0003", Timeout, 10,
        "no answer in time",
        "the deadline passed before the answer came; whether the work was done is unknown",
        "look before trying again: hpc request list, hpc lease list";
    NET_TLS = "HPC-NET-0004", Unavailable, 10,
        "no secure connection",
        "the two sides could not agree on TLS, or what answers is not the daemon",
        "check the address and port of the context: hpc context show";
    NET_VERSION = "HPC-NET-0005", Unsupported, 10,
        "versions do not match",
        "client and daemon are more than one minor version apart",
        "upgrade the older of the two, named in the message";
    NET_OVERLOADED = "HPC-NET-0006", Unavailable, 10,
        "daemon overloaded",
        "the daemon has as many requests in work as it takes; this one was not begun",
        "wait as long as the answer says, then send the same request again";
    NET_BIND = "HPC-NET-0007", Io, 1,
        "address cannot be listened on",
        "the address does not belong to this machine, or the port needs more rights",
        "choose an address of this machine and a port above 1023";
    NET_SHUTTING_DOWN = "HPC-NET-0008", Unavailable, 10,
        "daemon is shutting down",
        "the daemon takes no new work; this request was not begun",
        "send the same request again after the restart";

    DAT_CORRUPT = "HPC-DAT-0001", DataLoss, 1,
        "data directory corrupt",
        "a file of the data directory fails its checksum or has the wrong form",
        "keep a copy of the directory, then restore it from a backup; never repair it by hand";
    DAT_LOCKED = "HPC-DAT-0002", Unavailable, 1,
        "data directory in use",
        "another process has the data directory open",
        "stop the other process, named in the message if known; or use another directory";
    DAT_TRUNCATED = "HPC-DAT-0003", DataLoss, 1,
        "data file cut short",
        "a file ends in the middle of a record that was already acknowledged",
        "keep a copy of the directory, then restore it from a backup";
    DAT_NOT_WRITABLE = "HPC-DAT-0004", Io, 1,
        "data directory not writable",
        "the directory does not exist, belongs to another user, or is on a read-only file system",
        "create it and make it belong to the user of this process";
    DAT_DISK_FULL = "HPC-DAT-0005", Io, 1,
        "disk full",
        "the file system has no room; nothing that changes state is taken until there is some",
        "make room; reading and releasing go on meanwhile where possible";
    DAT_VERSION = "HPC-DAT-0006", Precondition, 1,
        "data directory of another version",
        "the directory was written by a version this program cannot read",
        "use the newer program, or an empty directory";
    DAT_UNSAFE_PERMISSIONS = "HPC-DAT-0007", Io, 1,
        "data directory open to others",
        "other users may read or write the directory that holds keys",
        "chmod 700 DIRECTORY";

    AUD_NOT_WRITABLE = "HPC-AUD-0001", Unavailable, 1,
        "audit log cannot be written",
        "what cannot be recorded is not done: the request was refused before anything happened",
        "make room or repair the audit directory, then send the same request again";
    AUD_VERIFICATION_FAILED = "HPC-AUD-0002", DataLoss, 1,
        "audit verification failed",
        "a proof does not match its checkpoint: an entry was changed, removed or put in another order",
        "keep everything as it is and compare with an older checkpoint; treat it as an incident";
    AUD_UNKNOWN_ENTRY = "HPC-AUD-0003", NotFound, 1,
        "no such audit entry",
        "no entry has this index, lease or request",
        "search for it: hpc audit search";
    AUD_UNTRUSTED_KEY = "HPC-AUD-0004", DataLoss, 1,
        "checkpoint signed by an unknown key",
        "the checkpoint's signature is by a key that is not among the trusted ones",
        "pass the log's public key, got over a channel you trust";
    AUD_ROLLBACK = "HPC-AUD-0005", DataLoss, 11,
        "audit log went back",
        "the log now signs fewer entries than it once did: it was put back to an earlier state, or cut",
        "keep the file with both checkpoints, stop relying on the log, and ask its operator and its witnesses; if a backup was put back knowingly, start a log with a new key";
    AUD_SPLIT_VIEW = "HPC-AUD-0006", DataLoss, 11,
        "audit log shows two histories",
        "the log signed two checkpoints that cannot be of one growing log, so somebody is being shown another history",
        "keep the file with both checkpoints, stop trusting the key, and compare with others who read the log and with its witnesses";
    AUD_QUORUM = "HPC-AUD-0007", DataLoss, 1,
        "checkpoint without enough witnesses",
        "fewer witnesses cosigned the checkpoint than the policy asks for, or the cosignatures do not hold",
        "wait until the daemon has asked its witnesses and look again with `hpc audit checkpoint`; verify with the right --policy";

    PRV_THROTTLED = "HPC-PRV-0001", Unavailable, 1,
        "provider throttles",
        "the cloud refuses more calls for now; nothing was created",
        "wait; the daemon tries again by itself, more slowly";
    PRV_UNKNOWN_OUTCOME = "HPC-PRV-0002", Provider, 1,
        "outcome unknown",
        "the cloud's answer got lost: the instance may exist or not",
        "do nothing: the daemon looks for it by its tag and settles it; watch with `hpc request show`";
    PRV_UNSUPPORTED = "HPC-PRV-0003", Unsupported, 1,
        "provider cannot do this",
        "the provider lacks the operation",
        "choose another provider for this";
    PRV_CREDENTIALS = "HPC-PRV-0004", Unauthenticated, 7,
        "provider refused the credentials",
        "the cloud credentials are missing, expired or lack a right",
        "renew the provider's credentials where the daemon reads them";
    PRV_UNAVAILABLE = "HPC-PRV-0005", Unavailable, 1,
        "provider unavailable",
        "the cloud answers with errors of its own or not at all",
        "wait, or leave the provider out";
    PRV_UNKNOWN = "HPC-PRV-0006", NotFound, 2,
        "unknown provider",
        "no provider of this name is configured",
        "see the configured ones: hpc doctor";
    PRV_INVALID_ANSWER = "HPC-PRV-0007", Provider, 1,
        "provider answered nonsense",
        "an answer of the cloud breaks its own contract and was not used",
        "report it with the request id in the context";
    PRV_SPOT_RECLAIMED = "HPC-PRV-0008", Exhausted, 5,
        "capacity taken back",
        "the provider reclaimed a spot instance",
        "make a new plan, on demand if it must not happen again";

    DEV_NON_LOOPBACK = "HPC-DEV-0001", Denied, 2,
        "development mode listens on loopback only",
        "development mode has a throwaway certificate authority, which must not face a network",
        "for a shared server run: hpcd init";
    DEV_NOT_AVAILABLE = "HPC-DEV-0002", Unsupported, 2,
        "not available in development mode",
        "the operation needs something that development mode leaves out",
        "use a configured daemon: hpcd serve";

    LSE_UNKNOWN = "HPC-LSE-0001", NotFound, 1,
        "unknown lease",
        "no lease has this id, or the caller may not see it",
        "list the leases: hpc lease list";
    LSE_ALREADY_RELEASED = "HPC-LSE-0002", Precondition, 1,
        "lease already released",
        "the lease has ended, so it cannot be extended or changed",
        "make a new plan: hpc request plan";
    LSE_NOT_ACTIVE = "HPC-LSE-0003", Precondition, 1,
        "lease not active yet",
        "the lease is still being provisioned",
        "wait for it: hpc lease show LEASE";
    LSE_RELEASE_PENDING = "HPC-LSE-0004", Unavailable, 1,
        "release not confirmed yet",
        "the provider has not confirmed that the instance is gone; the daemon keeps trying and says so in the lease",
        "watch it: hpc lease show LEASE";
    LSE_NOT_YOURS = "HPC-LSE-0005", Denied, 3,
        "lease of somebody else",
        "the lease belongs to another team",
        "ask its owner to release it";
    LSE_DRAINING = "HPC-LSE-0006", Precondition, 1,
        "lease is draining",
        "the lease takes no new work and ends soon, so it cannot be extended",
        "make a new plan: hpc request plan";
    LSE_BUSY = "HPC-LSE-0007", Unavailable, 1,
        "lease is being changed",
        "another call works on the lease at this moment",
        "try again: hpc lease show LEASE says what became of it";
    LSE_TOO_OFTEN = "HPC-LSE-0008", Exhausted, 1,
        "lease renewed too often",
        "a lease keeps each of its renewals, and has no room for another one",
        "make a new plan: hpc request plan";

    INT_BUG = "HPC-INT-0001", Internal, 1,
        "internal error",
        "a mistake in the program",
        "report it with the version and the id in the context";
    INT_UNIMPLEMENTED = "HPC-INT-0002", Unsupported, 1,
        "not in this version",
        "the operation is known and this version does not have it",
        "see `hpc --help` for what it has";
    INT_CANCELLED = "HPC-INT-0003", Cancelled, 130,
        "interrupted",
        "the call was interrupted; the daemon carries on with what it had begun",
        "see what became of it: hpc request list";
    INT_STORE = "HPC-INT-0004", Database, 1,
        "state store failed",
        "a write to the ledger failed and may or may not have happened",
        "look before trying again: hpc request list; check the disk of the daemon";
}
