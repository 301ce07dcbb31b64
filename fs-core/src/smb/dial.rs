//! Connections to a folder of a share, one after the other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use smb_client::{Client, ConnectOptions, Error, SessionError};
use smb_proto::NtStatus;

use super::{SmbOptions, SmbRemote};
use crate::lasting::{Dial, DialError};
use crate::remote::{Cause, Remote};

/// Says how to connect, anew each time: what was true when the mount was made may not be true any more. Of several ways the
/// next is tried where the server does not take the password of one. It may block.
pub type HowToConnect = dyn Fn() -> Result<Vec<ConnectOptions>, Cause> + Send + Sync;

/// Makes connections to a folder of a share.
pub struct SmbDial {
    how: Arc<HowToConnect>,
    share: String,
    base: String,
    options: SmbOptions,
    last: Mutex<Option<Arc<SmbRemote>>>,
    made: AtomicU64,
}

impl SmbDial {
    /// For the folder `base` of the share of this name; the empty string is the share's root.
    pub fn new(how: Arc<HowToConnect>, share: &str, base: &str, options: SmbOptions) -> Self {
        Self {
            how,
            share: share.into(),
            base: base.into(),
            options,
            last: Mutex::new(None),
            made: AtomicU64::new(0),
        }
    }

    /// The last connection that was made.
    pub fn last(&self) -> Option<Arc<SmbRemote>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many connections it has made.
    pub fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    async fn connect(&self) -> Result<Arc<SmbRemote>, Error> {
        let refused = |error: Cause| Error::Options(error.to_string());
        let how = self.how.clone();
        let ways = tokio::task::spawn_blocking(move || how()).await;
        let ways = ways.unwrap_or_else(|error| Err(Arc::new(error))).map_err(refused)?;
        let last = self.last();
        let mut connected = Err(Error::Options("there is no password".into()));
        for options in ways {
            let options = match &last {
                Some(last) => options.resuming(last.client.resume()),
                None => options,
            };
            connected = Client::connect(&options).await;
            if !connected.as_ref().is_err_and(is_wrong_password) {
                break;
            }
        }
        let client = connected?;
        let share = client.share(&self.share).await?;
        let remote = match last {
            Some(last) => last.succeeded_by(&client, share),
            None => SmbRemote::with(&client, share, &self.base, self.options),
        };
        Ok(Arc::new(remote))
    }
}

fn is_wrong_password(error: &Error) -> bool {
    matches!(error.status(), Some(NtStatus::LOGON_FAILURE | NtStatus::WRONG_PASSWORD))
}

/// Whether the server was reached and said no.
fn is_refusal(error: &Error) -> bool {
    match error {
        Error::Session(SessionError::Connection(_)) => false,
        Error::Session(_) | Error::Downgrade | Error::Options(_) => true,
        Error::Status { status, .. } => {
            matches!(*status, NtStatus::BAD_NETWORK_NAME | NtStatus::ACCESS_DENIED)
        }
        _ => false,
    }
}

#[async_trait]
impl Dial for SmbDial {
    async fn dial(&self) -> Result<Arc<dyn Remote>, DialError> {
        match self.connect().await {
            Ok(remote) => {
                *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(remote.clone());
                self.made.fetch_add(1, Ordering::Relaxed);
                Ok(remote)
            }
            Err(error) => Err(DialError { refused: is_refusal(&error), cause: Arc::new(error) }),
        }
    }
}
