//! The control socket of a mount: other processes of the user ask and tell the serving process.
//!
//! A request is a line, a JSON object as [`Request`] has it: `{"request":"flush"}`. The reply to each is a line too,
//! `{"ok":…}` or `{"error":"why","code":"not-saved"}`. Several requests may follow each other on a connection.

mod client;
mod listener;

use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use client::{PATIENCE, ask, commands, run};
pub(crate) use listener::Control;

/// Longest line of a request, in bytes.
const LONGEST_REQUEST: u64 = 4096;
/// Longest line of a reply.
const LONGEST_REPLY: u64 = 1 << 20;
/// Connections at one time.
const CLIENTS: u32 = 16;
/// How long a connection may say nothing, or read nothing.
const IDLE: Duration = Duration::from_secs(30);

/// What a mount can be asked and told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "lowercase")]
pub(crate) enum Request {
    /// Its record, as `sharefs status --json` has it.
    Status,
    /// [`crate::serving::Statistics`]
    Statistics,
    /// Try at once for a connection if there is none, with the password as it is saved now.
    Reload,
    /// Have the server save all that programs have written. Answered when that is done or has failed.
    Flush,
    /// Log by another filter.
    Log {
        /// As `SHAREFS_LOG` has it.
        filter: String,
    },
    /// Unmount. Answered before the process ends.
    Unmount {
        /// What is in use is detached.
        #[serde(default)]
        lazy: bool,
    },
}

/// The answer to a request.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Reply {
    Failed { error: String, code: String },
    Done { ok: Value },
}

impl From<Result<Value>> for Reply {
    fn from(result: Result<Value>) -> Self {
        match result {
            Ok(ok) => Self::Done { ok },
            Err(error) => {
                Self::Failed { error: format!("{error:#}"), code: crate::codes::of(&error).name.into() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_lines_of_json() {
        let parse = |text: &str| serde_json::from_str::<Request>(text);
        assert_eq!(parse(r#"{"request":"flush"}"#).unwrap(), Request::Flush);
        assert_eq!(parse(r#"{"request":"unmount"}"#).unwrap(), Request::Unmount { lazy: false });
        let log = Request::Log { filter: "debug".into() };
        assert_eq!(parse(r#"{"request":"log","filter":"debug"}"#).unwrap(), log);
        for wrong in ["", "{}", "[]", r#"{"request":"log"}"#, r#"{"request":"reboot"}"#] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn failures_keep_their_code() {
        let failed = Reply::from(Err(crate::codes::NOT_SAVED.says("no")));
        assert_eq!(serde_json::to_string(&failed).unwrap(), r#"{"error":"no","code":"not-saved"}"#);
        let done = Reply::from(Ok(Value::Null));
        assert_eq!(serde_json::to_string(&done).unwrap(), r#"{"ok":null}"#);
        assert!(matches!(serde_json::from_str(r#"{"ok":null}"#).unwrap(), Reply::Done { .. }));
    }
}
