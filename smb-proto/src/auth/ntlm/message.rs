//! The three messages of NTLM ([MS-NLMP] 2.2.1).

use std::fmt;

use bitflags::bitflags;

use super::av::AvPairs;
use crate::auth::AuthError;

const SIGNATURE: &[u8; 8] = b"NTLMSSP\0";
/// 6.1 and the only NTLMSSP revision ([MS-NLMP] 2.2.2.10): diagnostic, but its presence tells a server that
/// the MIC comes after it.
const VERSION: [u8; 8] = [6, 1, 0, 0, 0, 0, 0, 15];
/// Where the MIC field stands in an AUTHENTICATE message with a version.
const MIC_AT: usize = 72;
const AUTHENTICATE_HEADER: usize = 88;
const CHALLENGE_HEADER: usize = 56;

bitflags! {
    /// NegotiateFlags ([MS-NLMP] 2.2.2.5), as far as this crate looks at them.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Flags: u32 {
        /// Text is UTF-16.
        const UNICODE = 1;
        /// The client wants the server's name.
        const REQUEST_TARGET = 1 << 2;
        /// Messages can be signed.
        const SIGN = 1 << 4;
        /// NTLM rather than LM alone.
        const NTLM = 1 << 9;
        /// The client claims no identity.
        const ANONYMOUS = 1 << 11;
        /// Signing keys always.
        const ALWAYS_SIGN = 1 << 15;
        /// The target is a server.
        const TARGET_TYPE_SERVER = 1 << 17;
        /// The session security of NTLMv2.
        const EXTENDED_SESSION_SECURITY = 1 << 19;
        /// TargetInfo is there.
        const TARGET_INFO = 1 << 23;
        /// The Version field is filled in.
        const VERSION = 1 << 25;
        /// Keys of 128 bits.
        const KEY_128 = 1 << 29;
        /// The client chooses the session key.
        const KEY_EXCHANGE = 1 << 30;
        const _ = !0;
    }
}

/// NEGOTIATE_MESSAGE ([MS-NLMP] 2.2.1.1), with no domain or workstation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Negotiate {
    /// What the client can do.
    pub flags: Flags,
}

impl Negotiate {
    /// Reads a message.
    ///
    /// # Errors
    /// [`AuthError::Malformed`], [`AuthError::Reflected`].
    pub fn decode(message: &[u8]) -> Result<Self, AuthError> {
        check_type(message, 1)?;
        Ok(Self { flags: flags(message, 12).ok_or(CUT_SHORT)? })
    }

    /// The message's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = header(1);
        out.extend_from_slice(&self.flags.bits().to_le_bytes());
        out.extend_from_slice(&[0; 16]);
        out.extend_from_slice(&VERSION);
        out
    }
}

/// CHALLENGE_MESSAGE ([MS-NLMP] 2.2.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// What both sides can do.
    pub flags: Flags,
    /// The server's nonce.
    pub server_challenge: [u8; 8],
    /// The server's or domain's name, UTF-16.
    pub target_name: Vec<u8>,
    /// What the server tells of itself.
    pub target_info: AvPairs,
}

impl Challenge {
    /// Reads a message.
    ///
    /// # Errors
    /// [`AuthError::Malformed`]; [`AuthError::Reflected`] for one of the messages that clients send.
    pub fn decode(message: &[u8]) -> Result<Self, AuthError> {
        check_type(message, 2)?;
        Ok(Self {
            flags: flags(message, 20).ok_or(CUT_SHORT)?,
            server_challenge: array(message, 24).ok_or(CUT_SHORT)?,
            target_name: field(message, 12).ok_or(CUT_SHORT)?.to_vec(),
            target_info: match field(message, 40).ok_or(CUT_SHORT)? {
                [] => AvPairs::default(),
                info => AvPairs::decode(info)?,
            },
        })
    }

    /// The message's bytes; `None` where a field is too long for the wire.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let info = self.target_info.encode()?;
        let mut fields = Fields::after(CHALLENGE_HEADER);
        let mut out = header(2);
        out.extend_from_slice(&fields.add(&self.target_name)?);
        out.extend_from_slice(&self.flags.bits().to_le_bytes());
        out.extend_from_slice(&self.server_challenge);
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&fields.add(&info)?);
        out.extend_from_slice(&VERSION);
        out.extend_from_slice(&fields.payload);
        Some(out)
    }
}

/// AUTHENTICATE_MESSAGE ([MS-NLMP] 2.2.1.3). Names are UTF-16.
///
/// Its `Debug` shows no response: passwords can be guessed against one.
#[derive(Clone, PartialEq, Eq)]
pub struct Authenticate {
    /// What was agreed on.
    pub flags: Flags,
    /// LmChallengeResponse.
    pub lm_response: Vec<u8>,
    /// NtChallengeResponse.
    pub nt_response: Vec<u8>,
    /// The domain that knows the user.
    pub domain: Vec<u8>,
    /// The user.
    pub user: Vec<u8>,
    /// The client's name.
    pub workstation: Vec<u8>,
    /// EncryptedRandomSessionKey.
    pub session_key: Vec<u8>,
}

impl Authenticate {
    /// Reads a message; its MIC is had with [`mic`](Self::mic).
    ///
    /// # Errors
    /// [`AuthError::Malformed`], [`AuthError::Reflected`].
    pub fn decode(message: &[u8]) -> Result<Self, AuthError> {
        check_type(message, 3)?;
        let take = |at| field(message, at).map(<[u8]>::to_vec).ok_or(CUT_SHORT);
        Ok(Self {
            lm_response: take(12)?,
            nt_response: take(20)?,
            domain: take(28)?,
            user: take(36)?,
            workstation: take(44)?,
            session_key: take(52)?,
            flags: flags(message, 60).ok_or(CUT_SHORT)?,
        })
    }

    /// The message's bytes with the MIC zero; `None` where a field is too long for the wire.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let mut fields = Fields::after(AUTHENTICATE_HEADER);
        let mut out = header(3);
        for field in [
            &self.lm_response,
            &self.nt_response,
            &self.domain,
            &self.user,
            &self.workstation,
            &self.session_key,
        ] {
            out.extend_from_slice(&fields.add(field)?);
        }
        out.extend_from_slice(&self.flags.bits().to_le_bytes());
        out.extend_from_slice(&VERSION);
        out.extend_from_slice(&[0; 16]);
        out.extend_from_slice(&fields.payload);
        Some(out)
    }

    /// The MIC field of an encoded message, `None` where the message is too short to have one.
    pub fn mic(message: &[u8]) -> Option<[u8; 16]> {
        array(message, MIC_AT)
    }

    /// Overwrites the MIC field of an encoded message.
    pub fn set_mic(message: &mut [u8], mic: [u8; 16]) {
        if let Some(field) = message.get_mut(MIC_AT..MIC_AT + 16) {
            field.copy_from_slice(&mic);
        }
    }
}

impl fmt::Debug for Authenticate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticate").field("flags", &self.flags).finish_non_exhaustive()
    }
}

const CUT_SHORT: AuthError = AuthError::Malformed("NTLM message is cut short");

fn check_type(message: &[u8], expected: u32) -> Result<(), AuthError> {
    if !message.starts_with(SIGNATURE) {
        return Err(AuthError::Malformed("not an NTLM message"));
    }
    match u32::from_le_bytes(array(message, 8).ok_or(CUT_SHORT)?) {
        found if found == expected => Ok(()),
        1 | 3 => Err(AuthError::Reflected),
        _ => Err(AuthError::Malformed("unknown NTLM message type")),
    }
}

fn header(message_type: u32) -> Vec<u8> {
    let mut out = SIGNATURE.to_vec();
    out.extend_from_slice(&message_type.to_le_bytes());
    out
}

fn array<const N: usize>(message: &[u8], at: usize) -> Option<[u8; N]> {
    message.get(at..)?.first_chunk().copied()
}

fn flags(message: &[u8], at: usize) -> Option<Flags> {
    Some(Flags::from_bits_retain(u32::from_le_bytes(array(message, at)?)))
}

/// What the length, maximum and offset at `at` point to.
fn field(message: &[u8], at: usize) -> Option<&[u8]> {
    let len = usize::from(u16::from_le_bytes(array(message, at)?));
    let offset = usize::try_from(u32::from_le_bytes(array(message, at + 4)?)).ok()?;
    // The offset of an empty field means nothing.
    if len == 0 { Some(&[]) } else { message.get(offset..)?.get(..len) }
}

/// Lays out a message's payload.
struct Fields {
    header: usize,
    payload: Vec<u8>,
}

impl Fields {
    const fn after(header: usize) -> Self {
        Self { header, payload: Vec::new() }
    }

    /// Appends `value` and returns the length, maximum and offset that point to it.
    fn add(&mut self, value: &[u8]) -> Option<[u8; 8]> {
        let len = u16::try_from(value.len()).ok()?.to_le_bytes();
        let offset = u32::try_from(self.header + self.payload.len()).ok()?.to_le_bytes();
        self.payload.extend_from_slice(value);
        Some([len[0], len[1], len[0], len[1], offset[0], offset[1], offset[2], offset[3]])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::auth::ntlm::v2::utf16;

    // [MS-NLMP] 4.2.4.3.
    #[test]
    fn the_specifications_challenge_is_read() {
        let message = hex::decode(
            "4e544c4d53535000020000000c000c003800000033828ae20123456789abcdef\
             00000000000000002400240044000000060070170000000f5300650072007600\
             6500720002000c0044006f006d00610069006e0001000c005300650072007600\
             6500720000000000",
        )
        .unwrap();
        let challenge = Challenge::decode(&message).unwrap();
        assert_eq!(challenge.flags.bits(), 0xe28a8233);
        assert_eq!(challenge.server_challenge, [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]);
        assert_eq!(challenge.target_name, utf16("Server"));
        assert_eq!(challenge.target_info.get(2), Some(&utf16("Domain")[..]));
        let mut made = challenge.encode().unwrap();
        made[48..56].copy_from_slice(&message[48..56]);
        assert_eq!(made, message);
    }

    // [MS-NLMP] 4.2.4.3; it has no room for a MIC.
    #[test]
    fn the_specifications_authenticate_is_read() {
        let message = hex::decode(
            "4e544c4d5353500003000000180018006c00000054005400840000000c000c00\
             480000000800080054000000100010005c00000010001000d8000000358288e2\
             0501280a0000000f44006f006d00610069006e00550073006500720043004f00\
             4d005000550054004500520086c35097ac9cec102554764a57cccc19aaaaaaaa\
             aaaaaaaa68cd0ab851e51c96aabc927bebef6a1c010100000000000000000000\
             00000000aaaaaaaaaaaaaaaa0000000002000c0044006f006d00610069006e00\
             01000c005300650072007600650072000000000000000000c5dad2544fc97990\
             94ce1ce90bc9d03e",
        )
        .unwrap();
        let message = Authenticate::decode(&message).unwrap();
        assert_eq!(message.user, utf16("User"));
        assert_eq!(message.domain, utf16("Domain"));
        assert_eq!(message.workstation, utf16("COMPUTER"));
        assert_eq!(hex::encode(&message.session_key), "c5dad2544fc9799094ce1ce90bc9d03e");
        assert_eq!((message.lm_response.len(), message.nt_response.len()), (24, 84));
    }

    #[test]
    fn a_clients_messages_count_as_reflected() {
        let ours = Negotiate { flags: Flags::UNICODE }.encode();
        assert_eq!(Challenge::decode(&ours), Err(AuthError::Reflected));
    }

    fn octets() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(any::<u8>(), 0..120)
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_message_or_an_error(kind in 0u32..5, bytes in octets()) {
            let message = [&header(kind), &bytes[..]].concat();
            for message in [&message, &bytes] {
                let _ = Negotiate::decode(message);
                let _ = Challenge::decode(message);
                let _ = Authenticate::decode(message);
                let _ = Authenticate::mic(message);
            }
        }

        #[test]
        fn messages_survive_a_round_trip(
            bits: u32,
            server_challenge: [u8; 8],
            fields in proptest::collection::vec(octets(), 6),
            info in octets(),
            mic: [u8; 16],
        ) {
            let flags = Flags::from_bits_retain(bits);
            prop_assert_eq!(Negotiate::decode(&Negotiate { flags }.encode()), Ok(Negotiate { flags }));
            let mut target_info = AvPairs::default();
            target_info.set(2, info);
            let challenge = Challenge { flags, server_challenge, target_name: fields[0].clone(), target_info };
            prop_assert_eq!(Challenge::decode(&challenge.encode().unwrap()), Ok(challenge));
            let [lm_response, nt_response, domain, user, workstation, session_key] = fields.try_into().unwrap();
            let message = Authenticate { flags, lm_response, nt_response, domain, user, workstation, session_key };
            let mut made = message.encode().unwrap();
            Authenticate::set_mic(&mut made, mic);
            prop_assert_eq!(Authenticate::mic(&made), Some(mic));
            prop_assert_eq!(Authenticate::decode(&made), Ok(message));
        }
    }
}
