//! Servers that lie: what they say must do no harm to whoever uses the client.

use std::future::Future;
use std::io::{ErrorKind, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sharefs_tests::{Answer, Impostor, Manner, listing};
use smb_client::wire::{
    BufferResponse, Command, Header, IoctlResponse, ReadResponse, Request, Response, SetInfoResponse,
    WriteResponse, fsctl,
};
use smb_client::{
    Client, ConnectionError, CreateDisposition, Error, NtStatus, OpenOptions, PeerMisbehaved, Result,
    SetAttributes, Share,
};
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::help::connect;

/// Long enough for the slowest machine; only what hangs for ever takes it.
const FOR_EVER: Duration = Duration::from_secs(60);

async fn ends<T>(future: impl Future<Output = T>) -> T {
    timeout(FOR_EVER, future).await.expect("no hanging")
}

async fn share(impostor: &Impostor) -> Share {
    connect(&impostor.options()).await.share("data").await.expect("the share")
}

fn units(name: &str) -> Vec<u16> {
    name.encode_utf16().collect()
}

fn entries(names: &[Vec<u16>]) -> Answer {
    Answer::Body(NtStatus::SUCCESS, Response::QueryDirectory(BufferResponse { data: listing(names) }))
}

/// A server whose directories hold these names, and then end.
async fn with_names(names: Vec<Vec<u16>>) -> Impostor {
    let told = AtomicBool::new(false);
    Impostor::start(Manner::Whole, move |_, request| match request {
        Request::QueryDirectory(_) if !told.swap(true, Ordering::Relaxed) => Some(entries(&names)),
        _ => None,
    })
    .await
}

async fn listed(impostor: &Impostor) -> Result<Vec<String>> {
    let directory = share(impostor).await.open_dir("").await?;
    Ok(ends(directory.all_entries()).await?.into_iter().map(|entry| entry.name).collect())
}

#[tokio::test]
async fn names_that_lead_elsewhere() {
    let lies = [
        "..",
        ".",
        "",
        "/",
        "\\",
        "a/b",
        "a\\b",
        "../etc/passwd",
        "..\\..\\x",
        "/etc/passwd",
        "a\0",
        "\0",
        "a\0b",
        "c:",
        "c:\\x",
        ".\u{F029}",
        "\u{F029}",
        "line\nbreak",
        "\u{1b}[2J",
        "end.",
        "end ",
        "a:stream",
    ];
    let mut names = vec![units("honest")];
    names.extend(lies.map(units));
    names.push(units("also honest"));
    let impostor = with_names(names).await;
    let listed = listed(&impostor).await.expect("a listing");
    assert_eq!(listed, ["honest", "also honest"]);
}

/// They can be shown, but never be taken for a name of something else.
#[tokio::test]
async fn names_that_are_no_text() {
    let impostor = with_names(vec![vec![0xD800], vec![0x61, 0xDC00, 0x62], vec![0xDC00, 0xD800]]).await;
    for name in listed(&impostor).await.expect("a listing") {
        assert!(name.contains('\u{FFFD}') && !name.contains(['/', '\0']) && name != "..", "{name:?}");
    }
}

#[tokio::test]
async fn names_longer_than_any_file_system_has() {
    // Within what may be asked for, so that the listing itself is no lie.
    let impostor = with_names(vec![vec![0x61; 32_768]]).await;
    let names = listed(&impostor).await.expect("a listing");
    for name in &names {
        assert!(share(&impostor).await.metadata(name).await.is_err(), "a name of {} bytes", name.len());
    }
}

/// A listing with a length field that says more than is there.
#[tokio::test]
async fn names_longer_than_their_entry() {
    for length in [100_u32, 65_536, u32::MAX, u32::MAX - 1] {
        let impostor = Impostor::start(Manner::Whole, move |_, request| match request {
            Request::QueryDirectory(_) => {
                let mut data = listing(&[units("name")]).to_vec();
                data[60..64].copy_from_slice(&length.to_le_bytes());
                let body = BufferResponse { data: data.into() };
                Some(Answer::Body(NtStatus::SUCCESS, Response::QueryDirectory(body)))
            }
            _ => None,
        })
        .await;
        assert!(matches!(listed(&impostor).await, Err(Error::Malformed(_))));
    }
}

/// Within one answer: the distance to the next entry leads back, or into the entry itself.
#[tokio::test]
async fn a_listing_that_leads_into_itself() {
    for next in [1_u32, 8, 96, 103, u32::MAX] {
        let impostor = Impostor::start(Manner::Whole, move |_, request| match request {
            Request::QueryDirectory(_) => {
                let mut data = listing(&[units("one"), units("two")]).to_vec();
                data[..4].copy_from_slice(&next.to_le_bytes());
                let body = BufferResponse { data: data.into() };
                Some(Answer::Body(NtStatus::SUCCESS, Response::QueryDirectory(body)))
            }
            _ => None,
        })
        .await;
        assert!(matches!(listed(&impostor).await, Err(Error::Malformed(_))), "{next}");
    }
}

#[tokio::test]
async fn a_directory_that_never_ends() {
    let impostor = Impostor::start(Manner::Whole, |_, request| match request {
        Request::QueryDirectory(_) => Some(entries(&[units("one"), units("two")])),
        _ => None,
    })
    .await;
    assert!(matches!(listed(&impostor).await, Err(Error::Malformed(_))));
}

/// The same with a longer way round.
#[tokio::test]
async fn a_directory_that_goes_round() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let impostor = Impostor::start(Manner::Whole, move |_, request| match request {
        Request::QueryDirectory(_) => {
            let turn = count.fetch_add(1, Ordering::Relaxed) % 50;
            Some(entries(&[units(&format!("name {turn}"))]))
        }
        _ => None,
    })
    .await;
    assert!(matches!(listed(&impostor).await, Err(Error::Malformed(_))));
}

#[tokio::test]
async fn a_directory_of_nothing_that_never_ends() {
    let impostor = Impostor::start(Manner::Whole, |_, request| match request {
        Request::QueryDirectory(_) => Some(entries(&[units("."), units("..")])),
        _ => None,
    })
    .await;
    assert!(matches!(listed(&impostor).await, Err(Error::Malformed(_))));
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing() {
    let impostor = Impostor::start(Manner::Mute, |_, _| None).await;
    let options = impostor.options().login_timeout(Duration::from_millis(300));
    let error = ends(Client::connect(&options)).await.expect_err("it says nothing");
    assert!(matches!(error, Error::TimedOut), "{error:?}");
    let options = impostor.options().dead_after(Duration::from_millis(300));
    let error = ends(Client::connect(&options)).await.expect_err("it says nothing");
    assert!(matches!(error, Error::Connection(ConnectionError::TimedOut)), "{error:?}");
}

#[tokio::test]
async fn a_server_that_falls_silent_in_the_middle_of_a_frame() {
    for at in [1, 3, 4, 5, 60, 100] {
        let impostor = Impostor::start(Manner::Whole, move |header, _| {
            (header.command == Command::Create).then_some(Answer::Cut(at))
        })
        .await;
        let options = impostor.options().request_timeout(Duration::from_millis(300));
        let share = connect(&options).await.share("data").await.expect("the share");
        let error = ends(share.open("x", &OpenOptions::read())).await.expect_err("half an answer");
        assert!(error.is_connection(), "{at}: {error:?}");
    }
}

#[tokio::test]
async fn a_server_that_answers_everything_but_what_is_asked() {
    let impostor = Impostor::start(Manner::Whole, |header, _| {
        (header.command == Command::Create).then_some(Answer::Silence)
    })
    .await;
    let options = impostor.options().request_timeout(Duration::from_millis(300));
    let client = connect(&options).await;
    let share = client.share("data").await.expect("the share");
    let error = ends(share.open("x", &OpenOptions::read())).await.expect_err("no answer");
    assert!(matches!(error, Error::TimedOut), "{error:?}");
    assert_eq!(client.activity().waiting, 0);
}

#[tokio::test]
async fn a_server_that_answers_byte_by_byte() {
    let impostor = Impostor::start(Manner::ByteByByte, |_, request| match request {
        Request::Read(body) => {
            let data = Bytes::from(vec![7; body.length as usize]);
            Some(Answer::Body(NtStatus::SUCCESS, Response::Read(ReadResponse { data })))
        }
        _ => None,
    })
    .await;
    let share = share(&impostor).await;
    let file = share.open("x", &OpenOptions::read()).await.expect("open");
    // Longer than what is received before a frame's own buffer is used.
    for length in [1, 100, 20_000] {
        let data = ends(file.read_at(0, length)).await.expect("read");
        assert!(data.len() == length as usize && data.iter().all(|byte| *byte == 7));
    }
}

async fn answering(answer: impl Fn(&Header, &Request) -> Option<Answer> + Send + Sync + 'static) -> Impostor {
    Impostor::start(Manner::Whole, answer).await
}

#[tokio::test]
async fn more_data_than_was_asked_for() {
    let impostor = answering(|_, request| match request {
        Request::Read(body) => {
            let data = Bytes::from(vec![7; body.length as usize + 1]);
            Some(Answer::Body(NtStatus::SUCCESS, Response::Read(ReadResponse { data })))
        }
        _ => None,
    })
    .await;
    let file = share(&impostor).await.open("x", &OpenOptions::read()).await.expect("open");
    let error = ends(file.read_at(0, 100)).await.expect_err("too much");
    assert!(matches!(error, Error::Malformed(_)), "{error:?}");
}

/// None, which would be asked for ever; more than there were.
#[tokio::test]
async fn a_wrong_count_of_bytes_written() {
    for count in [0, 101, u32::MAX] {
        let impostor = answering(move |_, request| match request {
            Request::Write(_) => {
                Some(Answer::Body(NtStatus::SUCCESS, Response::Write(WriteResponse { count })))
            }
            _ => None,
        })
        .await;
        let file = share(&impostor).await.open("x", &OpenOptions::write()).await.expect("open");
        let error = ends(file.write_at(0, Bytes::from(vec![1; 100]))).await.expect_err("a lie");
        assert!(matches!(error, Error::Malformed(_)), "{count}: {error:?}");
    }
}

#[tokio::test]
async fn a_longer_listing_than_was_asked_for() {
    let impostor = answering(|_, request| match request {
        Request::QueryDirectory(body) => {
            let data = Bytes::from(vec![0; body.max_output as usize + 8]);
            Some(Answer::Body(NtStatus::SUCCESS, Response::QueryDirectory(BufferResponse { data })))
        }
        _ => None,
    })
    .await;
    assert!(listed(&impostor).await.is_err());
}

#[tokio::test]
async fn another_commands_answer() {
    let impostor = answering(|_, request| match request {
        Request::Create(_) => {
            Some(Answer::Body(NtStatus::SUCCESS, Response::Read(ReadResponse { data: Bytes::new() })))
        }
        _ => None,
    })
    .await;
    let error = ends(share(&impostor).await.open("x", &OpenOptions::read())).await.expect_err("a lie");
    // The header says CREATE, the body READ: it cannot be read.
    assert!(matches!(error, Error::Malformed(_)), "{error:?}");
}

/// The error reaches the program with the name of whose fault it is.
#[tokio::test]
async fn a_pending_operation_without_a_name() {
    let impostor = answering(|header, _| {
        (header.command == Command::Create).then_some(Answer::Refusal(NtStatus::PENDING))
    })
    .await;
    let error = ends(share(&impostor).await.open("x", &OpenOptions::read())).await.expect_err("a lie");
    let blamed = Error::Connection(ConnectionError::PeerMisbehaved(PeerMisbehaved::Malformed(
        smb_client::wire::DecodeError::Invalid("interim response without an operation's name"),
    )));
    assert_eq!(format!("{error:?}"), format!("{blamed:?}"));
    assert!(error.to_string().contains("the server broke the protocol"), "{error}");
}

/// In a chain a server goes on after a WRITE that failed or fell short.
#[tokio::test]
async fn what_could_not_be_written_replaces_nothing() {
    let short = Response::Write(WriteResponse { count: 3 });
    for lie in [Answer::Refusal(NtStatus::DISK_FULL), Answer::Body(NtStatus::SUCCESS, short)] {
        let renamed = Arc::new(AtomicBool::new(false));
        let seen = renamed.clone();
        let impostor = Impostor::start(Manner::Whole, move |_, request| match request {
            Request::Write(_) => Some(lie.clone()),
            Request::SetInfo(info) => {
                // FileRenameInformation ([MS-FSCC] 2.4)
                seen.fetch_or(info.info_class == 10, Ordering::Relaxed);
                Some(Answer::Body(NtStatus::SUCCESS, Response::SetInfo(SetInfoResponse)))
            }
            _ => None,
        })
        .await;
        let share = share(&impostor).await;
        let set = SetAttributes::default();
        for result in [
            ends(share.replace_whole("file", "part", "content".into(), &set)).await,
            ends(share.create_whole("new", "content".into(), &set)).await,
            ends(share.write("file", "content")).await,
        ] {
            let status = result.err().and_then(|error| error.status());
            assert_eq!(status, Some(NtStatus::DISK_FULL));
        }
        assert!(!renamed.load(Ordering::Relaxed));
    }
}

/// The source is looked for before the target is emptied.
#[tokio::test]
async fn a_copy_of_nothing_empties_nothing() {
    let emptied = Arc::new(AtomicBool::new(false));
    let seen = emptied.clone();
    let impostor = Impostor::start(Manner::Whole, move |_, request| match request {
        Request::Create(create) if create.name == "none" => {
            Some(Answer::Refusal(NtStatus::OBJECT_NAME_NOT_FOUND))
        }
        Request::Create(_) => {
            seen.store(true, Ordering::Relaxed);
            None
        }
        _ => None,
    })
    .await;
    let share = share(&impostor).await;
    let copy = ends(share.copy("none", &share, "there", CreateDisposition::OverwriteIf, |_| {})).await;
    assert_eq!(copy.err().and_then(|error| error.status()), Some(NtStatus::OBJECT_NAME_NOT_FOUND));
    assert!(!emptied.load(Ordering::Relaxed));
}

/// A server that wants less than the least that is asked for, and then refuses that without a word.
#[tokio::test]
async fn a_copy_that_is_never_small_enough_goes_through_this_machine() {
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    let impostor = Impostor::start(Manner::Whole, move |_, request| {
        let (status, output) = match request {
            Request::Create(_) => return None,
            Request::Ioctl(body) if body.code == fsctl::SRV_REQUEST_RESUME_KEY => {
                (NtStatus::SUCCESS, vec![0; 32])
            }
            Request::Ioctl(_) if count.fetch_add(1, Ordering::Relaxed) == 0 => {
                (NtStatus::INVALID_PARAMETER, [1_u32, 32 << 10, 32 << 10].map(u32::to_le_bytes).concat())
            }
            Request::Ioctl(_) => return Some(Answer::Refusal(NtStatus::INVALID_PARAMETER)),
            _ => return None,
        };
        let Request::Ioctl(body) = request else { return None };
        let response = IoctlResponse { code: body.code, file_id: body.file_id, output: output.into() };
        Some(Answer::Body(status, Response::Ioctl(response)))
    })
    .await;
    let share = share(&impostor).await;
    let file = Arc::new(share.open("file", &OpenOptions::read()).await.expect("a file"));
    // The impostor does not read either: what matters is that it comes to an end.
    assert!(ends(file.copy_range(0, &file, 0, 1 << 20, |_| {})).await.is_err());
    assert!(asked.load(Ordering::Relaxed) < 10);
}

#[tokio::test]
async fn a_stream_does_not_go_on_behind_an_error() {
    let impostor = Impostor::start(Manner::Whole, |_, request| match request {
        Request::Read(read) if read.offset == 0 => Some(Answer::Refusal(NtStatus::ACCESS_DENIED)),
        Request::Read(read) => {
            let data = vec![7; read.length as usize].into();
            Some(Answer::Body(NtStatus::SUCCESS, Response::Read(ReadResponse { data })))
        }
        _ => None,
    })
    .await;
    let share = share(&impostor).await;
    let file = Arc::new(share.open("file", &OpenOptions::read()).await.expect("a file"));
    let mut pieces = file.read_stream(0, 16 << 20);
    assert!(ends(pieces.next()).await.is_err());
    assert!(ends(pieces.next()).await.expect("the end").is_none());
}

#[tokio::test]
async fn an_answer_in_empty_pieces_ends() {
    // A response's header, its flags (the first of it), its length, the call, and no results.
    let piece = |flags| {
        let head = [5, 0, 2, flags, 0x10, 0, 0, 0, 24, 0, 0, 0, 1, 0, 0, 0];
        Bytes::from([head, [0; 16]].concat()).slice(..24)
    };
    let impostor = Impostor::start(Manner::Whole, move |_, request| match request {
        Request::Ioctl(body) => {
            let response = IoctlResponse { code: body.code, file_id: body.file_id, output: piece(1) };
            Some(Answer::Body(NtStatus::SUCCESS, Response::Ioctl(response)))
        }
        Request::Read(_) => {
            Some(Answer::Body(NtStatus::SUCCESS, Response::Read(ReadResponse { data: piece(0) })))
        }
        _ => None,
    })
    .await;
    let client = connect(&impostor.options()).await;
    let error = ends(client.shares()).await.expect_err("no answer");
    assert!(matches!(error, Error::Malformed("an answer without an end")), "{error}");
}

#[tokio::test]
async fn no_cursor_writes_behind_the_end_of_all_files() {
    let impostor = Impostor::start(Manner::Whole, |_, _| None).await;
    let file = Arc::new(share(&impostor).await.open("file", &OpenOptions::write()).await.expect("a file"));
    let mut cursor = file.cursor();
    cursor.seek(SeekFrom::Start(u64::MAX)).await.expect("a position");
    let refused = ends(cursor.write(b"content")).await.expect_err("no such place");
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
}
