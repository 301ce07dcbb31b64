//! Named pipes: FSCTL_PIPE_PEEK and FSCTL_PIPE_WAIT ([MS-FSCC] 2.3).

use bytes::Bytes;

use crate::wire::{DecodeError, Reader, Wire, Writer, len32, utf16_len};

/// FSCTL_PIPE_PEEK Reply ([MS-FSCC] 2.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PipePeek {
    /// 1 disconnected, 2 listening, 3 connected, 4 closing.
    pub state: u32,
    /// Bytes to be read.
    pub available: u32,
    /// Messages to be read, of a pipe of messages.
    pub messages: u32,
    /// Bytes of the first message.
    pub message_length: u32,
    /// As much as fitted.
    pub data: Bytes,
}

impl Wire for PipePeek {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u32(self.state);
        w.u32(self.available);
        w.u32(self.messages);
        w.u32(self.message_length);
        w.bytes(&self.data);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            state: r.u32()?,
            available: r.u32()?,
            messages: r.u32()?,
            message_length: r.u32()?,
            data: r.rest(),
        })
    }
}

/// FSCTL_PIPE_WAIT Request ([MS-FSCC] 2.3): wait until an instance of the pipe is free.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PipeWait {
    /// 100 ns ticks to wait; `None` leaves the pipe's maker the choice.
    pub timeout: Option<u64>,
    /// The pipe's name without a prefix.
    pub name: String,
}

impl Wire for PipeWait {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u64(self.timeout.unwrap_or(0));
        w.u32(len32(utf16_len(&self.name)));
        self.timeout.is_some().encode(w);
        w.u8(0);
        w.utf16(&self.name);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let timeout = r.u64()?;
        let length = r.u32()? as usize;
        let timeout = bool::decode(r)?.then_some(timeout);
        r.u8()?;
        Ok(Self { timeout, name: r.utf16(length)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::check::{both_ways, vector};

    #[test]
    fn pipe_codes_survive_a_round_trip() {
        let data = Bytes::from_static(b"message");
        both_ways(&PipePeek { state: 3, available: 7, messages: 1, message_length: 7, data });
        both_ways(&PipeWait::default());
        vector(
            &PipeWait { timeout: Some(5), name: "x".into() },
            &[5, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, b'x', 0],
        );
    }
}
