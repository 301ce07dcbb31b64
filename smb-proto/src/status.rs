//! NTSTATUS values: what a server answers ([MS-ERREF] 2.3).

use std::fmt;

/// A status code as a server sends it ([MS-ERREF] 2.3.1).
///
/// Any 32-bit value is representable: a server may answer with codes that this crate has no name for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NtStatus(pub u32);

impl NtStatus {
    /// The two top bits: 0 success, 1 informational, 2 warning, 3 error.
    pub const fn severity(self) -> u32 {
        self.0 >> 30
    }

    /// Success or informational.
    pub const fn is_success(self) -> bool {
        self.severity() < 2
    }

    /// Severity 3. Warnings such as [`Self::BUFFER_OVERFLOW`] are neither success nor error.
    pub const fn is_error(self) -> bool {
        self.severity() == 3
    }

    /// The specification's name, where this crate knows one.
    pub fn name(self) -> Option<&'static str> {
        NAMES.iter().find(|(code, _)| *code == self.0).map(|(_, name)| *name)
    }
}

impl fmt::Display for NtStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "STATUS_{name}"),
            None => write!(f, "NTSTATUS {:#010x}", self.0),
        }
    }
}

impl fmt::Debug for NtStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! statuses {
    ($($name:ident = $value:literal;)*) => {
        impl NtStatus {
            $(
                #[doc = concat!("`STATUS_", stringify!($name), "` ([MS-ERREF] 2.3.1).")]
                pub const $name: Self = Self($value);
            )*
        }

        const NAMES: &[(u32, &str)] = &[$(($value, stringify!($name)),)*];
    };
}

statuses! {
    SUCCESS = 0x0000_0000;
    PENDING = 0x0000_0103;
    NOTIFY_CLEANUP = 0x0000_010B;
    NOTIFY_ENUM_DIR = 0x0000_010C;
    BUFFER_OVERFLOW = 0x8000_0005;
    NO_MORE_FILES = 0x8000_0006;
    INVALID_EA_NAME = 0x8000_0013;
    EA_LIST_INCONSISTENT = 0x8000_0014;
    STOPPED_ON_SYMLINK = 0x8000_002D;
    UNSUCCESSFUL = 0xC000_0001;
    NOT_IMPLEMENTED = 0xC000_0002;
    INVALID_INFO_CLASS = 0xC000_0003;
    INFO_LENGTH_MISMATCH = 0xC000_0004;
    INVALID_HANDLE = 0xC000_0008;
    INVALID_PARAMETER = 0xC000_000D;
    NO_SUCH_DEVICE = 0xC000_000E;
    NO_SUCH_FILE = 0xC000_000F;
    INVALID_DEVICE_REQUEST = 0xC000_0010;
    END_OF_FILE = 0xC000_0011;
    NO_MEDIA_IN_DEVICE = 0xC000_0013;
    MORE_PROCESSING_REQUIRED = 0xC000_0016;
    NO_MEMORY = 0xC000_0017;
    ACCESS_DENIED = 0xC000_0022;
    BUFFER_TOO_SMALL = 0xC000_0023;
    OBJECT_TYPE_MISMATCH = 0xC000_0024;
    OBJECT_NAME_INVALID = 0xC000_0033;
    OBJECT_NAME_NOT_FOUND = 0xC000_0034;
    OBJECT_NAME_COLLISION = 0xC000_0035;
    OBJECT_PATH_INVALID = 0xC000_0039;
    OBJECT_PATH_NOT_FOUND = 0xC000_003A;
    OBJECT_PATH_SYNTAX_BAD = 0xC000_003B;
    DATA_ERROR = 0xC000_003E;
    CRC_ERROR = 0xC000_003F;
    SHARING_VIOLATION = 0xC000_0043;
    QUOTA_EXCEEDED = 0xC000_0044;
    EAS_NOT_SUPPORTED = 0xC000_004F;
    EA_TOO_LARGE = 0xC000_0050;
    NONEXISTENT_EA_ENTRY = 0xC000_0051;
    NO_EAS_ON_FILE = 0xC000_0052;
    FILE_LOCK_CONFLICT = 0xC000_0054;
    LOCK_NOT_GRANTED = 0xC000_0055;
    DELETE_PENDING = 0xC000_0056;
    PRIVILEGE_NOT_HELD = 0xC000_0061;
    WRONG_PASSWORD = 0xC000_006A;
    PASSWORD_RESTRICTION = 0xC000_006C;
    LOGON_FAILURE = 0xC000_006D;
    ACCOUNT_RESTRICTION = 0xC000_006E;
    INVALID_LOGON_HOURS = 0xC000_006F;
    INVALID_WORKSTATION = 0xC000_0070;
    PASSWORD_EXPIRED = 0xC000_0071;
    ACCOUNT_DISABLED = 0xC000_0072;
    RANGE_NOT_LOCKED = 0xC000_007E;
    DISK_FULL = 0xC000_007F;
    INSUFFICIENT_RESOURCES = 0xC000_009A;
    MEDIA_WRITE_PROTECTED = 0xC000_00A2;
    BAD_IMPERSONATION_LEVEL = 0xC000_00A5;
    IO_TIMEOUT = 0xC000_00B5;
    FILE_FORCED_CLOSED = 0xC000_00B6;
    FILE_IS_A_DIRECTORY = 0xC000_00BA;
    NOT_SUPPORTED = 0xC000_00BB;
    DUPLICATE_NAME = 0xC000_00BD;
    BAD_NETWORK_PATH = 0xC000_00BE;
    NETWORK_BUSY = 0xC000_00BF;
    UNEXPECTED_NETWORK_ERROR = 0xC000_00C4;
    NETWORK_NAME_DELETED = 0xC000_00C9;
    NETWORK_ACCESS_DENIED = 0xC000_00CA;
    BAD_DEVICE_TYPE = 0xC000_00CB;
    BAD_NETWORK_NAME = 0xC000_00CC;
    TOO_MANY_SESSIONS = 0xC000_00CE;
    REQUEST_NOT_ACCEPTED = 0xC000_00D0;
    NOT_SAME_DEVICE = 0xC000_00D4;
    FILE_RENAMED = 0xC000_00D5;
    OPLOCK_NOT_GRANTED = 0xC000_00E2;
    INVALID_OPLOCK_PROTOCOL = 0xC000_00E3;
    INTERNAL_ERROR = 0xC000_00E5;
    DIRECTORY_NOT_EMPTY = 0xC000_0101;
    NOT_A_DIRECTORY = 0xC000_0103;
    TOO_MANY_OPENED_FILES = 0xC000_011F;
    CANCELLED = 0xC000_0120;
    CANNOT_DELETE = 0xC000_0121;
    FILE_DELETED = 0xC000_0123;
    FILE_CLOSED = 0xC000_0128;
    LOGON_TYPE_NOT_GRANTED = 0xC000_015B;
    NO_TRUST_SAM_ACCOUNT = 0xC000_018B;
    TRUSTED_RELATIONSHIP_FAILURE = 0xC000_018D;
    ACCOUNT_EXPIRED = 0xC000_0193;
    NETWORK_SESSION_EXPIRED = 0xC000_035C;
    USER_SESSION_DELETED = 0xC000_0203;
    CONNECTION_DISCONNECTED = 0xC000_020C;
    CONNECTION_RESET = 0xC000_020D;
    INSUFF_SERVER_RESOURCES = 0xC000_0205;
    PASSWORD_MUST_CHANGE = 0xC000_0224;
    NOT_FOUND = 0xC000_0225;
    ACCOUNT_LOCKED_OUT = 0xC000_0234;
    CONNECTION_REFUSED = 0xC000_0236;
    PATH_NOT_COVERED = 0xC000_0257;
    IO_REPARSE_TAG_INVALID = 0xC000_0276;
    IO_REPARSE_TAG_MISMATCH = 0xC000_0277;
    IO_REPARSE_DATA_INVALID = 0xC000_0278;
    IO_REPARSE_TAG_NOT_HANDLED = 0xC000_0279;
    REPARSE_POINT_NOT_RESOLVED = 0xC000_0280;
    NOT_A_REPARSE_POINT = 0xC000_0275;
    DOWNGRADE_DETECTED = 0xC000_0388;
    TOO_MANY_LINKS = 0xC000_0265;
    FILE_TOO_LARGE = 0xC000_0904;
    BAD_TOKEN_TYPE = 0xC000_00A8;
    FILE_NOT_AVAILABLE = 0xC000_0467;
    FILE_SYSTEM_LIMITATION = 0xC000_0427;
    SERVER_UNAVAILABLE = 0xC000_0466;
    SHARE_UNAVAILABLE = 0xC000_0480;
    SMB_NO_PREAUTH_INTEGRITY_HASH_OVERLAP = 0xC05D_0000;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severity_follows_the_two_top_bits() {
        assert!(NtStatus::SUCCESS.is_success() && NtStatus::PENDING.is_success());
        assert!(!NtStatus::BUFFER_OVERFLOW.is_success() && !NtStatus::BUFFER_OVERFLOW.is_error());
        assert!(NtStatus::ACCESS_DENIED.is_error());
    }

    #[test]
    fn unknown_codes_keep_their_number() {
        assert_eq!(NtStatus(0xC123_4567).to_string(), "NTSTATUS 0xc1234567");
        assert_eq!(NtStatus::LOGON_FAILURE.to_string(), "STATUS_LOGON_FAILURE");
    }

    #[test]
    fn no_code_has_two_names() {
        for (i, (code, name)) in NAMES.iter().enumerate() {
            assert!(!NAMES[..i].iter().any(|(c, _)| c == code), "{name} repeats a code");
        }
    }
}
