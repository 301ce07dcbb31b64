//! SPNEGO: the negotiation around the mechanisms (RFC 4178, [MS-SPNG]).

mod token;

pub use token::{NegState, NegTokenInit, NegTokenResp};

use super::{AuthError, Authenticator, Mechanism};
use crate::crypto::Key;

/// A login by one mechanism, negotiated with SPNEGO.
///
/// The mechanism list is protected by an exchange of mechListMICs (RFC 4178 5). The client's is sent with the
/// mechanism's last token whenever there is a key for it. The server's is verified if it comes; it has to come
/// unless the server chose what the client proposed first.
pub struct Spnego<M> {
    mechanism: M,
    stage: Stage,
    /// What the MICs cover: the encoded MechTypeList of our negTokenInit.
    mech_list: Vec<u8>,
    mic_required: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Fresh,
    /// Tokens go without SPNEGO around them.
    Bare,
    Negotiating,
    Over,
}

impl<M: Mechanism> Spnego<M> {
    /// A login yet to start.
    pub fn new(mechanism: M) -> Self {
        let mech_list = token::mech_list(mechanism.oids());
        Self { mechanism, stage: Stage::Fresh, mech_list, mic_required: false }
    }

    /// Whatever fails in between leaves the login over.
    fn leave(&mut self) -> Stage {
        std::mem::replace(&mut self.stage, Stage::Over)
    }

    fn negotiated_step(&mut self, token: &[u8]) -> Result<Vec<u8>, AuthError> {
        let reply = self.reply(token)?;
        if reply.state == Some(NegState::AcceptCompleted) {
            return Err(AuthError::Unexpected("SPNEGO completed while the status asks for more"));
        }
        let response_token = self.mechanism.step(reply.response_token.unwrap_or_default())?;
        if let Some(mic) = reply.mech_list_mic {
            self.mechanism.verify_mic(&self.mech_list, mic)?;
        }
        let mic = self.mechanism.mic(&self.mech_list);
        let answer = NegTokenResp {
            response_token: response_token.as_deref(),
            mech_list_mic: mic.as_deref(),
            ..NegTokenResp::default()
        };
        Ok(answer.encode())
    }

    fn negotiated_finish(&mut self, token: &[u8]) -> Result<(), AuthError> {
        let reply = if token.is_empty() { NegTokenResp::default() } else { self.reply(token)? };
        if matches!(reply.state, Some(NegState::AcceptIncomplete | NegState::RequestMic)) {
            return Err(AuthError::Unexpected("SPNEGO asks for more while the status is success"));
        }
        self.mechanism.finish(reply.response_token.unwrap_or_default())?;
        match reply.mech_list_mic {
            Some(mic) => self.mechanism.verify_mic(&self.mech_list, mic),
            None if self.mic_required => Err(AuthError::MissingMic),
            None => Ok(()),
        }
    }

    fn reply<'a>(&mut self, token: &'a [u8]) -> Result<NegTokenResp<'a>, AuthError> {
        let reply = NegTokenResp::decode(token)?;
        if let Some(chosen) = reply.supported_mech {
            match self.mechanism.oids().iter().position(|oid| *oid == chosen) {
                None => return Err(AuthError::UnsupportedMechanism),
                Some(0) => {}
                Some(_) => self.mic_required = true,
            }
        }
        match reply.state {
            Some(NegState::Reject) => return Err(AuthError::Rejected),
            Some(NegState::RequestMic) => self.mic_required = true,
            _ => {}
        }
        Ok(reply)
    }
}

impl<M: Mechanism> Authenticator for Spnego<M> {
    fn start(&mut self, hint: &[u8]) -> Result<Vec<u8>, AuthError> {
        if self.leave() != Stage::Fresh {
            return Err(AuthError::OutOfOrder);
        }
        if hint.is_empty() {
            let token = self.mechanism.initial()?;
            self.stage = Stage::Bare;
            return Ok(token);
        }
        let offered = NegTokenInit::decode(hint)?.mech_types;
        // An empty list leaves the choice to the client.
        if !offered.is_empty() && !self.mechanism.oids().iter().any(|oid| offered.contains(oid)) {
            return Err(AuthError::NotOffered(self.mechanism.name()));
        }
        let token = self.mechanism.initial()?;
        self.stage = Stage::Negotiating;
        let init = NegTokenInit { mech_types: self.mechanism.oids().to_vec(), mech_token: Some(&token) };
        Ok(init.encode())
    }

    fn step(&mut self, token: &[u8]) -> Result<Vec<u8>, AuthError> {
        let stage = self.leave();
        let answer = match stage {
            Stage::Negotiating => self.negotiated_step(token)?,
            Stage::Bare => self
                .mechanism
                .step(token)?
                .ok_or(AuthError::Unexpected("a token that calls for no answer"))?,
            Stage::Fresh | Stage::Over => return Err(AuthError::OutOfOrder),
        };
        self.stage = stage;
        Ok(answer)
    }

    fn finish(&mut self, token: &[u8]) -> Result<(), AuthError> {
        match self.leave() {
            Stage::Negotiating => self.negotiated_finish(token),
            Stage::Bare => self.mechanism.finish(token),
            Stage::Fresh | Stage::Over => Err(AuthError::OutOfOrder),
        }
    }

    fn session_key(&self) -> Option<&Key> {
        self.mechanism.session_key()
    }

    fn is_anonymous(&self) -> bool {
        self.mechanism.is_anonymous()
    }

    fn name(&self) -> &'static str {
        self.mechanism.name()
    }
}
