//! Every body there and back, and no bytes that a decoder cannot bear.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::fscc::{
    AllInfo, AttributeTagInfo, BasicInfo, ExtendedAttribute, FileAttributes, FileMode, FileTime,
    FullSizeInfo, NetworkOpenInfo, POSIX_EXTENSIONS, RenameInfo, StandardInfo, VolumeAttributes, VolumeInfo,
    from_bytes, to_bytes,
};
use crate::security::Sid;
use crate::status::NtStatus;

const FILE: FileId = FileId { persistent: 0x0102_0304_0506_0708, volatile: 0x1112_1314_1516_1718 };

fn times() -> FileTimes {
    FileTimes { created: FileTime(1), accessed: FileTime(2), written: FileTime(3), changed: FileTime(4) }
}

fn message(header: &Header, body: impl FnOnce(&mut Writer<'_>)) -> Bytes {
    let mut out = Vec::new();
    encode_message(&mut out, header, body);
    Bytes::from(out)
}

fn requests() -> Vec<Request> {
    let data = Bytes::from_static(b"payload");
    vec![
        Request::Negotiate(NegotiateRequest {
            security_mode: SecurityMode::SIGNING_REQUIRED,
            capabilities: Capabilities::LARGE_MTU,
            client_guid: Guid([3; 16]),
            dialects: vec![0x0202, 0x0311],
            contexts: vec![
                NegotiateContext::PreauthIntegrity { algorithms: vec![1], salt: data.clone() },
                NegotiateContext::Encryption { ciphers: vec![2, 4, 1] },
                NegotiateContext::Compression { flags: 1, algorithms: vec![3] },
                NegotiateContext::Netname("sérver".into()),
                NegotiateContext::Transport(1),
                NegotiateContext::RdmaTransform(vec![1]),
                NegotiateContext::Signing { algorithms: vec![2] },
                NegotiateContext::Posix(vec![POSIX_EXTENSIONS]),
                NegotiateContext::Other { kind: 99, data: data.clone() },
            ],
        }),
        Request::SessionSetup(SessionSetupRequest {
            flags: SessionSetupFlags::BINDING,
            security_mode: SecurityMode::SIGNING_ENABLED,
            capabilities: Capabilities::DFS,
            previous_session_id: 9,
            token: data.clone(),
        }),
        Request::Logoff(Empty),
        Request::TreeConnect(TreeConnectRequest { flags: 0, path: "\\\\s\\x€".into() }),
        Request::TreeConnectExtended(TreeConnectExtendedRequest {
            flags: TreeConnectFlags::EXTENSION_PRESENT | TreeConnectFlags::REDIRECT_TO_OWNER,
            path: "\\\\s\\x".into(),
            contexts: vec![
                TreeConnectContext::RemotedIdentity(Bytes::from_static(b"ticket")),
                TreeConnectContext::Other { kind: 7, data: data.clone() },
            ],
        }),
        Request::TreeConnectExtended(TreeConnectExtendedRequest {
            flags: TreeConnectFlags::EXTENSION_PRESENT,
            path: String::new(),
            contexts: Vec::new(),
        }),
        Request::TreeDisconnect(Empty),
        Request::Create(CreateRequest {
            oplock: OplockLevel::Lease,
            impersonation: 2,
            access: AccessMask::READ_DATA | AccessMask::SYNCHRONIZE,
            attributes: FileAttributes::NORMAL,
            share_access: ShareAccess::READ,
            disposition: CreateDisposition::OpenIf,
            options: CreateOptions::NON_DIRECTORY_FILE,
            name: "dir\\näme".into(),
            contexts: contexts(),
        }),
        Request::Create(CreateRequest {
            oplock: OplockLevel::None,
            impersonation: 2,
            access: AccessMask::empty(),
            attributes: FileAttributes::empty(),
            share_access: ShareAccess::empty(),
            disposition: CreateDisposition::Open,
            options: CreateOptions::empty(),
            name: String::new(),
            contexts: Vec::new(),
        }),
        Request::Close(CloseRequest { query_attributes: true, file_id: FILE }),
        Request::Flush(FlushRequest { file_id: FILE }),
        Request::Read(ReadRequest { flags: 1, length: 5, offset: 1 << 40, file_id: FILE, minimum_count: 1 }),
        Request::Write(WriteRequest { offset: 7, file_id: FILE, flags: 1, data: data.clone() }),
        Request::Write(WriteRequest { offset: 7, file_id: FILE, flags: 0, data: Bytes::new() }),
        Request::Lock(LockRequest {
            sequence: 3,
            file_id: FILE,
            locks: vec![LockElement { offset: 1, length: 2, flags: LockFlags::EXCLUSIVE }; 2],
        }),
        Request::Ioctl(IoctlRequest {
            code: fsctl::VALIDATE_NEGOTIATE_INFO,
            file_id: FileId::RELATED,
            max_output: 24,
            is_fsctl: true,
            input: data.clone(),
        }),
        Request::Cancel(Empty),
        Request::Echo(Empty),
        Request::QueryDirectory(QueryDirectoryRequest {
            info_class: 37,
            flags: QueryDirectoryFlags::RESTART_SCANS,
            file_index: 0,
            file_id: FILE,
            pattern: "*".into(),
            max_output: 65536,
        }),
        Request::ChangeNotify(ChangeNotifyRequest {
            watch_tree: true,
            max_output: 4096,
            file_id: FILE,
            filter: 0xFFF,
        }),
        Request::QueryInfo(QueryInfoRequest {
            info_type: InfoType::FileSystem,
            info_class: 7,
            max_output: 100,
            additional: 1,
            flags: 2,
            file_id: FILE,
            input: data.clone(),
        }),
        Request::SetInfo(SetInfoRequest {
            info_type: InfoType::File,
            info_class: 20,
            additional: 0,
            file_id: FILE,
            data,
        }),
        Request::OplockBreak(BreakBody::Oplock(OplockBreak { level: OplockLevel::LevelII, file_id: FILE })),
        Request::OplockBreak(BreakBody::LeaseAck(LeaseBreakAck { key: [1; 16], state: LeaseState::READ })),
    ]
}

fn contexts() -> Vec<CreateContext> {
    let lease = Lease { key: [5; 16], state: LeaseState::all(), flags: 4, v2: None };
    vec![
        CreateContext::QueryMaximalAccess,
        CreateContext::QueryOnDiskId,
        CreateContext::Lease(lease),
        CreateContext::Lease(Lease { v2: Some(LeaseV2 { parent_key: [6; 16], epoch: 3 }), ..lease }),
        CreateContext::DurableRequest,
        CreateContext::DurableReconnect(FILE),
        CreateContext::DurableV2Request { timeout: 1, flags: 2, create_guid: Guid([4; 16]) },
        CreateContext::DurableV2Reconnect { file_id: FILE, create_guid: Guid([4; 16]), flags: 2 },
        CreateContext::AllocationSize(9),
        CreateContext::TimeWarp(FileTime(5)),
        CreateContext::QueryMaximalAccessSince(FileTime(6)),
        CreateContext::ExtendedAttributes(vec![ExtendedAttribute {
            flags: 0,
            name: Bytes::from_static(b"n"),
            value: Bytes::from_static(b"v"),
        }]),
        CreateContext::SecurityDescriptor("O:SYD:P(A;OICI;FA;;;BA)".parse().unwrap()),
        CreateContext::AppInstanceId(Guid([5; 16])),
        CreateContext::AppInstanceVersion { high: 1, low: 2 },
        CreateContext::SharedDisk(Bytes::from_static(b"svhdx")),
        CreateContext::Apple(Bytes::from_static(b"aapl")),
        CreateContext::PosixRequest { mode: 0o600 },
        CreateContext::Other { name: Bytes::from_static(b"What"), data: Bytes::from_static(b"xyz") },
    ]
}

fn responses() -> Vec<Response> {
    let data = Bytes::from_static(b"payload");
    vec![
        Response::Negotiate(NegotiateResponse {
            security_mode: SecurityMode::SIGNING_ENABLED,
            dialect: 0x0311,
            server_guid: Guid([8; 16]),
            capabilities: Capabilities::LEASING,
            max_transact: 1,
            max_read: 2,
            max_write: 3,
            system_time: FileTime(4),
            start_time: FileTime(5),
            token: data.clone(),
            contexts: vec![
                NegotiateContext::PreauthIntegrity { algorithms: vec![1], salt: data.clone() },
                NegotiateContext::Signing { algorithms: vec![1] },
            ],
        }),
        Response::SessionSetup(SessionSetupResponse {
            flags: SessionFlags::ENCRYPT_DATA,
            token: data.clone(),
        }),
        Response::Logoff(Empty),
        Response::TreeConnect(TreeConnectResponse {
            share_type: ShareType::Pipe,
            flags: ShareFlags::ENCRYPT_DATA,
            capabilities: ShareCapabilities::DFS,
            maximal_access: 7,
        }),
        Response::TreeDisconnect(Empty),
        Response::Create(CreateResponse {
            oplock: OplockLevel::Batch,
            flags: 1,
            action: CreateAction::Overwritten,
            times: times(),
            allocation_size: 4096,
            end_of_file: 17,
            attributes: FileAttributes::ARCHIVE,
            file_id: FILE,
            contexts: vec![
                CreateContext::MaximalAccess { status: NtStatus::SUCCESS, access: 3 },
                CreateContext::OnDiskId { file: 1, volume: 2 },
                CreateContext::DurableGranted,
                CreateContext::DurableV2Granted { timeout: 60_000, flags: 2 },
                CreateContext::Apple(data.clone()),
                CreateContext::PosixResponse {
                    links: 1,
                    reparse_tag: 2,
                    mode: 0o600,
                    owner: Sid::unix_user(3),
                    group: Sid::unix_group(4),
                },
            ],
        }),
        Response::Close(CloseResponse { has_attributes: true, times: times(), ..CloseResponse::default() }),
        Response::Flush(Empty),
        Response::Read(ReadResponse { data: data.clone() }),
        Response::Read(ReadResponse { data: Bytes::new() }),
        Response::Write(WriteResponse { count: 5 }),
        Response::Lock(Empty),
        Response::Ioctl(IoctlResponse { code: 1, file_id: FILE, output: data.clone() }),
        Response::Echo(Empty),
        Response::QueryDirectory(BufferResponse { data: data.clone() }),
        Response::ChangeNotify(BufferResponse { data: Bytes::new() }),
        Response::QueryInfo(BufferResponse { data }),
        Response::SetInfo(SetInfoResponse),
        Response::OplockBreak(BreakBody::LeaseNotification(LeaseBreakNotification {
            epoch: 2,
            ack_required: true,
            key: [7; 16],
            current: LeaseState::all(),
            new: LeaseState::READ,
        })),
        Response::ServerNotification(ServerNotification::SessionClosed),
    ]
}

#[test]
fn each_request_survives_a_round_trip() {
    for request in requests() {
        let header = Header::request(request.command(), 1);
        let bytes = message(&header, |w| request.encode(w));
        assert_eq!(Request::decode(request.command(), &bytes).as_ref(), Ok(&request));
    }
}

#[test]
fn each_response_survives_a_round_trip() {
    for response in responses() {
        let header = Header::request(response.command(), 1);
        let bytes = message(&header, |w| response.encode(w));
        assert_eq!(Response::decode(response.command(), &bytes).as_ref(), Ok(&response));
    }
}

#[test]
fn each_command_has_a_test_above() {
    for command in Command::ALL {
        assert!(
            command == Command::ServerNotification
                || requests().iter().any(|request| request.command() == command),
            "{command:?}"
        );
        assert!(
            command == Command::Cancel || responses().iter().any(|response| response.command() == command),
            "{command:?}"
        );
    }
}

#[test]
fn no_message_can_be_cut_short_unnoticed() {
    for request in requests() {
        let bytes = message(&Header::request(request.command(), 1), |w| request.encode(w));
        for length in HEADER_LEN..bytes.len() {
            // Some bodies end in padding that nobody reads.
            if let Ok(decoded) = Request::decode(request.command(), &bytes.slice(..length)) {
                assert_eq!(decoded, request);
            }
        }
    }
}

#[test]
fn the_header_is_where_the_specification_puts_it() {
    let header = Header {
        credit_charge: 2,
        status: 0xC000_0022,
        credits: 3,
        flags: HeaderFlags::SERVER_TO_REDIR | HeaderFlags::ASYNC_COMMAND,
        next_command: 0,
        route: Route::Async { async_id: 0x0A0B },
        session_id: 0x0C0D,
        signature: [9; 16],
        ..Header::request(Command::Read, 0x0E0F)
    };
    let bytes = message(&header, |_| {});
    assert_eq!(bytes.len(), HEADER_LEN);
    assert_eq!(&bytes[..6], b"\xFESMB\x40\x00");
    assert_eq!((bytes[12], bytes[24], bytes[32], bytes[40], bytes[48]), (8, 0x0F, 0x0B, 0x0D, 9));
    assert_eq!(Header::decode(&mut Reader::new(&bytes, 0)), Ok(header));
}

#[test]
fn a_chain_splits_where_it_was_joined() {
    let first = Header { next_command: 72, ..Header::request(Command::Echo, 1) };
    let mut out = message(&first, |w| Empty.encode(w)).to_vec();
    out.resize(72, 0);
    encode_message(&mut out, &Header::request(Command::Echo, 2), |w| Empty.encode(w));
    let messages = split_compound(&Bytes::from(out.clone())).unwrap();
    assert_eq!(messages.iter().map(|(h, m)| (h.message_id, m.len())).collect::<Vec<_>>(), [(1, 72), (2, 68)]);
    for next in [1u32, 64 - 8, 68, 144, 10_000] {
        out[20..24].copy_from_slice(&next.to_le_bytes());
        assert!(split_compound(&Bytes::from(out.clone())).is_err(), "{next}");
    }
}

#[test]
fn error_responses_keep_their_contexts() {
    for contexts in [
        Vec::new(),
        vec![ErrorContext { id: 0, data: Bytes::from_static(b"link") }],
        vec![
            ErrorContext { id: 1, data: Bytes::from_static(b"abc") },
            ErrorContext { id: 2, data: Bytes::from_static(b"d") },
        ],
    ] {
        let error = ErrorResponse { contexts };
        assert_eq!(from_bytes(&to_bytes(&error)), Ok(error));
    }
}

#[test]
fn file_information_survives_a_round_trip() {
    let basic = BasicInfo { times: times(), attributes: FileAttributes::HIDDEN };
    let standard =
        StandardInfo { allocation_size: 1, end_of_file: 2, links: 3, delete_pending: true, directory: false };
    let all = AllInfo {
        basic,
        standard,
        index_number: 5,
        ea_size: 6,
        access: AccessMask::READ_DATA,
        position: 7,
        mode: FileMode::SEQUENTIAL_ONLY,
        alignment: 1,
        name: "\\ä".into(),
    };
    assert_eq!(from_bytes(&to_bytes(&basic)), Ok(basic));
    assert_eq!(from_bytes(&to_bytes(&standard)), Ok(standard));
    assert_eq!(from_bytes(&to_bytes(&all)), Ok(all));
    let open = NetworkOpenInfo {
        times: times(),
        allocation_size: 1,
        end_of_file: 2,
        attributes: FileAttributes::NORMAL,
    };
    assert_eq!(from_bytes(&to_bytes(&open)), Ok(open));
    let tag = AttributeTagInfo { attributes: FileAttributes::REPARSE_POINT, reparse_tag: 6 };
    assert_eq!(from_bytes(&to_bytes(&tag)), Ok(tag));
    let rename = RenameInfo { replace: true, name: "a\\b".into() };
    assert_eq!(from_bytes(&to_bytes(&rename)), Ok(rename));
    let size = FullSizeInfo {
        total_units: 1,
        caller_available_units: 2,
        available_units: 3,
        sectors_per_unit: 8,
        bytes_per_sector: 512,
    };
    assert_eq!(from_bytes(&to_bytes(&size)), Ok(size));
    let volume = VolumeInfo { created: FileTime(1), serial: 2, supports_objects: true, label: "v".into() };
    assert_eq!(from_bytes(&to_bytes(&volume)), Ok(volume));
    let attributes = VolumeAttributes { flags: 1, max_component: 255, file_system: "NTFS".into() };
    assert_eq!(from_bytes(&to_bytes(&attributes)), Ok(attributes));
}

#[test]
fn a_frame_prefix_is_one_zero_and_three_bytes() {
    assert_eq!(frame_length(frame_prefix(MAX_FRAME)), Ok(MAX_FRAME));
    assert_eq!(frame_prefix(0x01_0203), [0, 1, 2, 3]);
    assert!(frame_length([1, 0, 0, 0]).is_err());
}

proptest! {
    #[test]
    fn any_bytes_give_a_value_or_an_error(command in 0..20u16, body: Vec<u8>) {
        let command = Command::from_wire(command).unwrap();
        let bytes = message(&Header::request(command, 1), |w| w.bytes(&body));
        let _ = Request::decode(command, &bytes);
        let _ = Response::decode(command, &bytes);
        let _ = split_compound(&Bytes::from(body.clone()));
        let body = Bytes::from(body);
        let _ = from_bytes::<TransformHeader>(&body);
        let _ = from_bytes::<ErrorResponse>(&body);
        let _ = from_bytes::<ValidateNegotiateRequest>(&body);
        let _ = from_bytes::<ValidateNegotiateResponse>(&body);
        let _ = from_bytes::<AllInfo>(&body);
        let _ = from_bytes::<RenameInfo>(&body);
        let _ = from_bytes::<VolumeInfo>(&body);
        let _ = from_bytes::<VolumeAttributes>(&body);
    }

    #[test]
    fn no_flipped_bits_are_too_much(which in 0..64usize, flips in prop::collection::vec((0..400usize, 0..8u8), 1..8)) {
        let requests = requests();
        let request = &requests[which % requests.len()];
        let responses = responses();
        let response = &responses[which % responses.len()];
        let mut bytes = message(&Header::request(request.command(), 1), |w| request.encode(w)).to_vec();
        let mut answer = message(&Header::request(response.command(), 1), |w| response.encode(w)).to_vec();
        for (at, bit) in flips {
            let (here, there) = (at % bytes.len(), at % answer.len());
            bytes[here] ^= 1 << bit;
            answer[there] ^= 1 << bit;
        }
        // What can still be read can be written, and read again as the same.
        if let Ok(decoded) = Request::decode(request.command(), &Bytes::from(bytes)) {
            let again = message(&Header::request(decoded.command(), 1), |w| decoded.encode(w));
            prop_assert_eq!(Request::decode(decoded.command(), &again), Ok(decoded));
        }
        let _ = Response::decode(response.command(), &Bytes::from(answer));
    }
}
