//! The tokens of SPNEGO (RFC 4178 4.2, [MS-SPNG] 2.2).

use crate::auth::AuthError;
use crate::auth::der::{self, APPLICATION_0, ENUMERATED, OCTET_STRING, OID, Reader, SEQUENCE, context};

/// 1.3.6.1.5.5.2, SPNEGO itself.
const SPNEGO: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x02];

/// The MechTypeList, encoded as the mechListMIC covers it.
pub(super) fn mech_list(oids: &[&[u8]]) -> Vec<u8> {
    let oids: Vec<_> = oids.iter().map(|oid| der::element(OID, &[oid])).collect();
    let oids: Vec<_> = oids.iter().map(Vec::as_slice).collect();
    der::element(SEQUENCE, &oids)
}

/// The opening token: ours, or the server's hint (there [MS-SPNG] 2.2.1's NegTokenInit2).
///
/// reqFlags, negHints and a MIC are skipped: they have no bearing on a client that proposes one mechanism.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NegTokenInit<'a> {
    /// The contents octets of the mechanisms' object identifiers, the preferred one first.
    pub mech_types: Vec<&'a [u8]>,
    /// The first mechanism's first token.
    pub mech_token: Option<&'a [u8]>,
}

impl<'a> NegTokenInit<'a> {
    /// Reads a token with the GSS-API header around it. What follows the token is ignored.
    ///
    /// # Errors
    /// [`AuthError::Malformed`].
    pub fn decode(token: &'a [u8]) -> Result<Self, AuthError> {
        let mut outer = Reader::new(der::only(token, APPLICATION_0)?);
        if outer.expect(OID)? != SPNEGO {
            return Err(AuthError::Malformed("the token is not of SPNEGO"));
        }
        let mut fields = Reader::new(der::only(outer.expect(context(0))?, SEQUENCE)?);
        let mut init = Self::default();
        while !fields.is_empty() {
            match fields.read()? {
                (0xa0, types) => {
                    let mut types = Reader::new(der::only(types, SEQUENCE)?);
                    while !types.is_empty() {
                        init.mech_types.push(types.expect(OID)?);
                    }
                }
                (0xa2, token) => init.mech_token = Some(der::only(token, OCTET_STRING)?),
                _ => {}
            }
        }
        Ok(init)
    }

    /// The token with the GSS-API header around it.
    pub fn encode(&self) -> Vec<u8> {
        let types = der::element(context(0), &[&mech_list(&self.mech_types)]);
        let token = self.mech_token.map(|token| octets(2, token)).unwrap_or_default();
        let fields = der::element(SEQUENCE, &[&types, &token]);
        der::element(APPLICATION_0, &[&der::element(OID, &[SPNEGO]), &der::element(context(0), &[&fields])])
    }
}

/// Where the server sees the negotiation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NegState {
    /// The login is complete.
    AcceptCompleted,
    /// The mechanism needs another token.
    AcceptIncomplete,
    /// The login is refused.
    Reject,
    /// As `AcceptIncomplete`, and the MICs have to be exchanged.
    RequestMic,
}

impl NegState {
    fn from_wire(contents: &[u8]) -> Result<Self, AuthError> {
        match contents {
            [0] => Ok(Self::AcceptCompleted),
            [1] => Ok(Self::AcceptIncomplete),
            [2] => Ok(Self::Reject),
            [3] => Ok(Self::RequestMic),
            _ => Err(AuthError::Malformed("unknown negState")),
        }
    }

    const fn to_wire(self) -> u8 {
        match self {
            Self::AcceptCompleted => 0,
            Self::AcceptIncomplete => 1,
            Self::Reject => 2,
            Self::RequestMic => 3,
        }
    }
}

/// Every token after the opening one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NegTokenResp<'a> {
    /// Sent by the server only.
    pub state: Option<NegState>,
    /// The contents octets of the chosen mechanism's object identifier; in the server's first answer.
    pub supported_mech: Option<&'a [u8]>,
    /// The mechanism's token.
    pub response_token: Option<&'a [u8]>,
    /// The MIC over the client's MechTypeList.
    pub mech_list_mic: Option<&'a [u8]>,
}

impl<'a> NegTokenResp<'a> {
    /// Reads a token. What follows it is ignored.
    ///
    /// # Errors
    /// [`AuthError::Malformed`].
    pub fn decode(token: &'a [u8]) -> Result<Self, AuthError> {
        let mut fields = Reader::new(der::only(der::only(token, context(1))?, SEQUENCE)?);
        let mut resp = Self::default();
        while !fields.is_empty() {
            match fields.read()? {
                (0xa0, state) => resp.state = Some(NegState::from_wire(der::only(state, ENUMERATED)?)?),
                (0xa1, mech) => resp.supported_mech = Some(der::only(mech, OID)?),
                (0xa2, token) => resp.response_token = Some(der::only(token, OCTET_STRING)?),
                (0xa3, mic) => resp.mech_list_mic = Some(der::only(mic, OCTET_STRING)?),
                _ => {}
            }
        }
        Ok(resp)
    }

    /// The encoded token.
    pub fn encode(&self) -> Vec<u8> {
        let state = self
            .state
            .map(|state| der::element(context(0), &[&der::element(ENUMERATED, &[&[state.to_wire()]])]))
            .unwrap_or_default();
        let mech = self
            .supported_mech
            .map(|mech| der::element(context(1), &[&der::element(OID, &[mech])]))
            .unwrap_or_default();
        let token = self.response_token.map(|token| octets(2, token)).unwrap_or_default();
        let mic = self.mech_list_mic.map(|mic| octets(3, mic)).unwrap_or_default();
        der::element(context(1), &[&der::element(SEQUENCE, &[&state, &mech, &token, &mic])])
    }
}

fn octets(number: u8, contents: &[u8]) -> Vec<u8> {
    der::element(context(number), &[&der::element(OCTET_STRING, &[contents])])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // [MS-SPNG] 2.2.1: the hint of a Windows server, with a negHints that RFC 4178 does not know.
    #[test]
    fn a_hint_with_neg_hints_is_read() {
        let kerberos: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02];
        let ntlm: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x02, 0x0a];
        let types = der::element(context(0), &[&mech_list(&[kerberos, ntlm])]);
        let name =
            der::element(context(0), &[&der::element(0x1b, &[b"not_defined_in_RFC4178@please_ignore"])]);
        let hints = der::element(context(3), &[&der::element(SEQUENCE, &[&name])]);
        let fields = der::element(context(0), &[&der::element(SEQUENCE, &[&types, &hints])]);
        let hint = der::element(APPLICATION_0, &[&der::element(OID, &[SPNEGO]), &fields]);
        let init = NegTokenInit::decode(&hint).unwrap();
        assert_eq!(init, NegTokenInit { mech_types: vec![kerberos, ntlm], mech_token: None });
    }

    // The final response in the 3.1.1 example of Microsoft's "anatomy of signing and cryptographic keys".
    #[test]
    fn microsofts_final_response_is_read() {
        let token = hex::decode("A11B3019A0030A0100A3120410010000003B453CDC3524164200000000").unwrap();
        let resp = NegTokenResp::decode(&token).unwrap();
        assert_eq!(resp.state, Some(NegState::AcceptCompleted));
        assert_eq!(resp.mech_list_mic.unwrap(), hex::decode("010000003B453CDC3524164200000000").unwrap());
        assert_eq!(resp.encode(), token);
    }

    fn octets() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(any::<u8>(), 0..300)
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_token_or_an_error(bytes in octets(), tag in prop::sample::select(vec![0x60u8, 0xa1])) {
            let _ = NegTokenInit::decode(&bytes);
            let _ = NegTokenResp::decode(&bytes);
            let framed = der::element(tag, &[&der::element(SEQUENCE, &[&bytes])]);
            let _ = NegTokenResp::decode(&framed);
            let inner = der::element(context(0), &[&der::element(SEQUENCE, &[&bytes])]);
            let _ = NegTokenInit::decode(&der::element(APPLICATION_0, &[&der::element(OID, &[SPNEGO]), &inner]));
        }

        #[test]
        fn tokens_survive_a_round_trip(
            types in proptest::collection::vec(octets(), 0..4),
            token in proptest::option::of(octets()),
            mic in proptest::option::of(octets()),
            state in proptest::option::of(0u8..4),
        ) {
            let init = NegTokenInit {
                mech_types: types.iter().map(Vec::as_slice).collect(),
                mech_token: token.as_deref(),
            };
            let made = init.encode();
            prop_assert_eq!(NegTokenInit::decode(&made), Ok(init));
            let resp = NegTokenResp {
                state: state.map(|state| NegState::from_wire(&[state]).unwrap()),
                supported_mech: types.first().map(Vec::as_slice),
                response_token: token.as_deref(),
                mech_list_mic: mic.as_deref(),
            };
            let made = resp.encode();
            prop_assert_eq!(NegTokenResp::decode(&made), Ok(resp));
        }
    }
}
