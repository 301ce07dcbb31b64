//! From options to a share, and from an error to advice.

use anyhow::{Context, Result};
use smb_client::{Client, ConnectOptions, Credentials, Error, NtStatus, SessionError, Share};

use crate::codes;
use crate::credentials::is_azure;
use crate::options::RawOptions;
use crate::show::printable;
use crate::source::Source;

/// What `smb-client` calls the operation by which a server refuses a share as a whole.
pub(crate) const TREE_CONNECT: &str = "connecting to the share";

/// What the options say about the connection.
pub(crate) fn connect_options(
    source: &Source,
    options: &RawOptions,
    credentials: Credentials,
) -> ConnectOptions {
    let mut connect = ConnectOptions::new(&source.host, credentials);
    if let Some(port) = options.port.or(source.port) {
        connect.port = port;
    }
    connect.address = options.ip;
    connect.allow_guest = options.guest;
    connect.encrypt |= options.seal;
    connect.sign = options.sign.unwrap_or(true);
    if let Some((oldest, newest)) = options.dialects {
        connect.min_dialect = oldest;
        connect.max_dialect = newest;
    }
    connect
}

/// Logs in with the credentials that were found, and where these are refused with the second ones, which then stand
/// in the options.
pub(crate) async fn log_in(
    source: &Source,
    options: &mut ConnectOptions,
    second: Option<Credentials>,
) -> Result<Client> {
    let error = match Client::connect(options).await {
        Ok(client) => return Ok(client),
        Err(error) => error,
    };
    if let Some(second) = second.filter(|_| is_wrong_password(&error)) {
        let mut others = options.clone();
        others.credentials = second;
        if let Ok(client) = Client::connect(&others).await {
            tracing::warn!("{} refuses the first password and takes the second", source.host);
            *options = others;
            return Ok(client);
        }
    }
    Err(explain(source, error))
}

pub(crate) fn is_wrong_password(error: &Error) -> bool {
    use NtStatus as Status;
    matches!(error, Error::Session(SessionError::Refused(Status::LOGON_FAILURE | Status::WRONG_PASSWORD)))
}

/// The same, and connects to the share.
pub(crate) async fn connect_found(
    source: &Source,
    options: &mut ConnectOptions,
    second: Option<Credentials>,
) -> Result<(Client, Share)> {
    let client = log_in(source, options, second).await?;
    let share = share(source, &client).await?;
    Ok((client, share))
}

/// Logs in and connects to the share.
pub(crate) async fn connect(source: &Source, options: &ConnectOptions) -> Result<(Client, Share)> {
    let client = Client::connect(options).await.map_err(|error| explain(source, error))?;
    let share = share(source, &client).await?;
    Ok((client, share))
}

async fn share(source: &Source, client: &Client) -> Result<Share> {
    let share = client.share(&source.share).await;
    share.map_err(|error| explain(source, error).context(printable(&source.to_string())))
}

/// An error with what to do about it.
pub(crate) fn explain(source: &Source, error: Error) -> anyhow::Error {
    let advice = advice(source, &error);
    match advice {
        Some(advice) => codes::of_client(&error).says(format!("{error}\n  {advice}")),
        None => error.into(),
    }
}

fn advice(source: &Source, error: &Error) -> Option<String> {
    let azure = is_azure(&source.host);
    Some(match error {
        Error::Connect { .. } | Error::ConnectTimeout { .. } => format!(
            "Is {} the right server, is it up, and does the network let TCP port 445 (or -o port=) through?",
            source.host
        ),
        Error::Resolve { .. } => "Check the server's name, or give its address with -o ip=ADDRESS.".into(),
        Error::Session(SessionError::OnlyGuest) => {
            "Check the user name; or give -o guest if guest access, unsigned and unencrypted, is what you want.".into()
        }
        Error::Session(SessionError::Refused(status)) => match *status {
            NtStatus::LOGON_FAILURE | NtStatus::WRONG_PASSWORD if azure => {
                "User name or key is wrong. The user is the storage account's name, the password one of its keys."
                    .into()
            }
            NtStatus::LOGON_FAILURE | NtStatus::WRONG_PASSWORD => {
                "User name or password is wrong; some servers also want -o domain=.".into()
            }
            NtStatus::ACCESS_DENIED => {
                "The server refuses this kind of login. It may want encryption (-o seal), another dialect (-o vers=), \
                 or signed sessions; on Azure see the share's security settings and firewall."
                    .into()
            }
            NtStatus::ACCOUNT_DISABLED | NtStatus::ACCOUNT_EXPIRED | NtStatus::ACCOUNT_LOCKED_OUT => {
                "The account may not log in at present: ask the server's administrator.".into()
            }
            NtStatus::PASSWORD_EXPIRED | NtStatus::PASSWORD_MUST_CHANGE => {
                "The password must be changed first.".into()
            }
            _ => return None,
        },
        Error::Session(SessionError::EncryptionUnavailable(_)) => {
            "Drop -o seal, or let -o vers= include 3.0 or later.".into()
        }
        Error::Status { status: NtStatus::BAD_NETWORK_NAME, .. } => {
            format!("{} has no share {:?}.", source.host, source.share)
        }
        Error::Status { status: NtStatus::ACCESS_DENIED, operation: TREE_CONNECT } => {
            "The user may not use this share; if it requires encryption, give -o seal.".into()
        }
        Error::Status { status: NtStatus::ACCESS_DENIED, .. } => "The user may not do this.".into(),
        Error::Status { status: NtStatus::DISK_FULL | NtStatus::QUOTA_EXCEEDED, .. } => {
            "The share is full, or the user's part of it is.".into()
        }
        Error::Status { status: NtStatus::OBJECT_NAME_COLLISION, .. } => "There is one already.".into(),
        Error::Status { status: NtStatus::FILE_IS_A_DIRECTORY, .. } => "It is a directory.".into(),
        Error::Status { status: NtStatus::NOT_A_DIRECTORY, .. } => "It is not a directory.".into(),
        Error::Status { status: NtStatus::SHARING_VIOLATION, .. } => {
            "Another program has the file open and does not share it.".into()
        }
        Error::Status { status: NtStatus::OBJECT_NAME_NOT_FOUND | NtStatus::OBJECT_PATH_NOT_FOUND, .. } => {
            "There is no such file or directory on the server.".into()
        }
        Error::Status { status: NtStatus::DIRECTORY_NOT_EMPTY, .. } => {
            "It is not empty: use rm -r, if all in it may go.".into()
        }
        Error::Status { status: NtStatus::CANNOT_DELETE, .. } => {
            "It is read-only, or in use: somebody else has to let go of it first.".into()
        }
        Error::Status { status: NtStatus::MEDIA_WRITE_PROTECTED, .. } => {
            "The share may only be read.".into()
        }
        Error::Status { status: NtStatus::STOPPED_ON_SYMLINK, .. } => {
            "There is a symbolic link on the way: name what it leads to.".into()
        }
        Error::Status {
            status: NtStatus::NOT_A_REPARSE_POINT | NtStatus::IO_REPARSE_TAG_NOT_HANDLED, ..
        } => "It is a special file of the server's, which has no content: leave it out with --exclude.".into(),
        Error::Status { status: NtStatus::NOT_SUPPORTED | NtStatus::INVALID_DEVICE_REQUEST, .. } => {
            "The server cannot do this.".into()
        }
        Error::Connection(_) | Error::TimedOut => {
            "Try again when the server and the network are well; get and put go on with --resume.".into()
        }
        _ => return None,
    })
}

/// The same with the path that it was about.
pub(crate) trait Explain<T> {
    /// Adds what to do and where.
    fn explain(self, source: &Source, path: &str) -> Result<T>;
}

impl<T> Explain<T> for Result<T, Error> {
    fn explain(self, source: &Source, path: &str) -> Result<T> {
        self.map_err(|error| explain(source, error)).with_context(|| printable(&source.at(path)))
    }
}
