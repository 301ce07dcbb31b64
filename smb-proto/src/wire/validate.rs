//! FSCTL_VALIDATE_NEGOTIATE_INFO: the proof that nobody rewrote the negotiation of 2.x and 3.0.x
//! ([MS-SMB2] 2.2.31.4, 2.2.32.6).

use super::buf::{DecodeError, Guid, Reader, Wire, Writer, len16};
use super::negotiate::{Capabilities, SecurityMode};

/// VALIDATE_NEGOTIATE_INFO Request: the NEGOTIATE request once more ([MS-SMB2] 2.2.31.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidateNegotiateRequest {
    /// As in the request.
    pub capabilities: Capabilities,
    /// As in the request.
    pub client_guid: Guid,
    /// As in the request.
    pub security_mode: SecurityMode,
    /// As in the request.
    pub dialects: Vec<u16>,
}

impl Wire for ValidateNegotiateRequest {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u32(self.capabilities.bits());
        w.bytes(&self.client_guid.0);
        w.u16(self.security_mode.bits());
        w.u16(len16(self.dialects.len()));
        self.dialects.iter().for_each(|dialect| w.u16(*dialect));
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let capabilities = Capabilities::from_bits_retain(r.u32()?);
        let client_guid = r.guid()?;
        let security_mode = SecurityMode::from_bits_retain(r.u16()?);
        let count = usize::from(r.u16()?);
        if count * 2 > r.remaining() {
            return Err(DecodeError::Truncated);
        }
        let dialects = (0..count).map(|_| r.u16()).collect::<Result<_, _>>()?;
        Ok(Self { capabilities, client_guid, security_mode, dialects })
    }
}

/// VALIDATE_NEGOTIATE_INFO Response: the NEGOTIATE response once more, signed ([MS-SMB2] 2.2.32.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidateNegotiateResponse {
    /// As in the response.
    pub capabilities: Capabilities,
    /// As in the response.
    pub server_guid: Guid,
    /// As in the response.
    pub security_mode: SecurityMode,
    /// As in the response.
    pub dialect: u16,
}

impl Wire for ValidateNegotiateResponse {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u32(self.capabilities.bits());
        w.bytes(&self.server_guid.0);
        w.u16(self.security_mode.bits());
        w.u16(self.dialect);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            capabilities: Capabilities::from_bits_retain(r.u32()?),
            server_guid: r.guid()?,
            security_mode: SecurityMode::from_bits_retain(r.u16()?),
            dialect: r.u16()?,
        })
    }
}
