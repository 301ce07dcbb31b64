//! Server-side copy: FSCTL_SRV_REQUEST_RESUME_KEY, FSCTL_SRV_COPYCHUNK and FSCTL_SRV_COPYCHUNK_WRITE
//! ([MS-SMB2] 2.2.31.1, 2.2.32.1, 2.2.32.3).

use crate::wire::{DecodeError, Reader, Wire, Writer, len32, record};

/// Names an open as the source of a copy ([MS-SMB2] 2.2.32.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResumeKey(pub [u8; 24]);

impl Wire for ResumeKey {
    fn encode(&self, w: &mut Writer<'_>) {
        w.bytes(&self.0);
        // ContextLength, and Windows' four bytes of no context.
        w.zeros(8);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let key = r.array()?;
        r.u32()?;
        Ok(Self(key))
    }
}

record! {
    /// One range to copy ([MS-SMB2] 2.2.31.1.1).
    #[derive(Copy)]
    pub struct CopyChunk {
        /// Where to read.
        pub source: u64,
        /// Where to write.
        pub target: u64,
        /// Bytes.
        pub length: u32 => 4,
    }
}

/// SRV_COPYCHUNK_COPY ([MS-SMB2] 2.2.31.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyChunkRequest {
    /// The source.
    pub key: [u8; 24],
    /// What to copy.
    pub chunks: Vec<CopyChunk>,
}

impl Wire for CopyChunkRequest {
    fn encode(&self, w: &mut Writer<'_>) {
        w.bytes(&self.key);
        w.u32(len32(self.chunks.len()));
        w.u32(0);
        self.chunks.iter().for_each(|chunk| chunk.encode(w));
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let key = r.array()?;
        let count = r.u32()? as usize;
        r.u32()?;
        if count > r.remaining() / 24 {
            return Err(DecodeError::Truncated);
        }
        Ok(Self { key, chunks: (0..count).map(|_| CopyChunk::decode(r)).collect::<Result<_, _>>()? })
    }
}

record! {
    /// SRV_COPYCHUNK_RESPONSE ([MS-SMB2] 2.2.32.1). With STATUS_INVALID_PARAMETER it says what the server takes at
    /// most: chunks, bytes of a chunk, bytes altogether.
    #[derive(Copy)]
    pub struct CopyChunkResponse {
        /// Chunks written whole.
        pub chunks_written: u32,
        /// Bytes written of the chunk that was not.
        pub chunk_bytes_written: u32,
        /// Bytes written altogether.
        pub total_bytes_written: u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::check::{bear, both_ways, vector};
    use bytes::Bytes;
    use proptest::prelude::*;

    #[test]
    fn copies_survive_a_round_trip() {
        both_ways(&ResumeKey([7; 24]));
        let chunk = CopyChunk { source: 1, target: 2, length: 3 };
        both_ways(&CopyChunkRequest { key: [1; 24], chunks: vec![chunk, chunk] });
        vector(
            &CopyChunkResponse { chunks_written: 1, chunk_bytes_written: 2, total_bytes_written: 3 },
            &[1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0],
        );
    }

    #[test]
    fn a_count_is_not_believed() {
        let mut bytes = vec![0; 32];
        bytes[24..28].fill(0xFF);
        let read = CopyChunkRequest::decode(&mut Reader::new(&Bytes::from(bytes), 0));
        assert_eq!(read, Err(DecodeError::Truncated));
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_value_or_an_error(mut data in prop::collection::vec(0..4u8, 0..100)) {
            data.splice(0..0, [0; 24]);
            bear::<CopyChunkRequest>(&Bytes::from(data));
        }
    }
}
