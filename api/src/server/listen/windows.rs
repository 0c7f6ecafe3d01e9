//! A named pipe that only its owner and the system may open.

use std::io;

use interprocess::os::windows::named_pipe::tokio::{DuplexPipeStream, PipeListener};
use interprocess::os::windows::named_pipe::{PipeListenerOptions, pipe_mode};
use interprocess::os::windows::security_descriptor::SecurityDescriptor;
use widestring::u16cstr;

use super::super::caller::Peer;
use super::ListenError;
use crate::paths::Paths;

/// Full access for the owner and the system, none for anybody else.
const DESCRIPTOR: &widestring::U16CStr = u16cstr!("D:P(A;;GA;;;OW)(A;;GA;;;SY)");

/// Where clients come in.
#[derive(Debug)]
pub struct Listener {
    pipe: PipeListener<pipe_mode::Bytes, pipe_mode::Bytes>,
}

impl Listener {
    /// Makes the pipe of these paths; the first instance, so that nobody else stands behind the
    /// name already. Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// If somebody listens already, or the system refuses.
    pub fn bind(paths: &Paths) -> Result<Self, ListenError> {
        let socket = paths.socket();
        let make = || {
            PipeListenerOptions::new()
                .path(socket)
                .security_descriptor(Some(SecurityDescriptor::deserialize(DESCRIPTOR)?))
                .create_tokio_duplex::<pipe_mode::Bytes>()
        };
        let pipe = make().map_err(|source: io::Error| match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::AddrInUse => ListenError::Taken {
                socket: socket.to_owned(),
            },
            _ => ListenError::Io {
                socket: socket.to_owned(),
                source,
            },
        })?;
        Ok(Self { pipe })
    }

    pub(in crate::server) async fn accept(
        &mut self,
    ) -> io::Result<(DuplexPipeStream<pipe_mode::Bytes>, Peer)> {
        Ok((self.pipe.accept().await?, Peer::default()))
    }
}
